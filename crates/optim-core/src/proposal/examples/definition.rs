//! Where a text defines values, and how to add to it in its own form.

/// The definitions that a text holds.
#[derive(Debug)]
pub(super) struct Definitions<'a> {
    text: &'a str,
    /// The lines that define a value: the value, and where the line ends in the text.
    lines: Vec<(String, usize)>,
    /// What such lines begin with, and what stands between the value and its words.
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    lead: String,
    mark: String,
}

impl<'a> Definitions<'a> {
    /// Finds the lines of `text` that define one of `values`.
    pub(super) fn of(text: &'a str, values: &[&str]) -> Self {
        let mut lines = Vec::new();
        let mut form = None;
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            if let Some((value, found)) = definition(bare, values) {
                lines.push((value.to_owned(), start + bare.trim_end().len()));
                form.get_or_insert(found);
            }
            start += line.len();
        }
        let form = form.unwrap_or_else(|| Form { lead: "- ".to_owned(), mark: ": ".to_owned() });
        Self { text, lines, form }
    }

    /// Whether the text defines values at all.
    pub(super) fn is_home(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The characters that a new line for `value` costs besides its words.
    pub(super) fn line_cost(&self, value: &str) -> u64 {
        let Form { lead, mark } = &self.form;
        let cost = 1 + lead.chars().count() + value.chars().count() + mark.chars().count();
        u64::try_from(cost).unwrap_or(u64::MAX)
    }

    /// The text with one more line for each value, after the last definition.
    pub(super) fn with_lines(&self, lines: &[(&str, Vec<&str>)]) -> String {
        let Form { lead, mark } = &self.form;
        let lines =
            lines.iter().map(|(value, words)| format!("\n{lead}{value}{mark}{}", words.join(", ")));
        self.insert(self.end(), &lines.collect::<String>())
    }

    /// The text with more words behind the definition of `value`; with a line of its own when there is
    /// none.
    pub(super) fn extended(&self, value: &str, words: &[&str]) -> String {
        let Some((_, end)) = self.lines.iter().find(|(defined, _)| defined == value) else {
            return self.with_lines(&[(value, words.to_vec())]);
        };
        let before = self.text.get(..*end).unwrap_or(self.text);
        let stops = before.ends_with('.');
        let end = if stops { end - 1 } else { *end };
        let comma = before.trim_end_matches('.').ends_with([',', ';', ':']);
        let lead = if comma { " " } else { ", " };
        self.insert(end, &format!("{lead}{}", words.join(", ")))
    }

    /// The text with an example of `value`, after the last definition.
    pub(super) fn with_example(&self, quote: &str, value: &str) -> String {
        self.insert(self.end(), &format!("\n{}\"{quote}\" -> {value}", self.form.lead))
    }

    /// The end of the last definition, or of the text.
    fn end(&self) -> usize {
        self.lines.iter().map(|(_, end)| *end).max().unwrap_or(self.text.trim_end().len())
    }

    fn insert(&self, at: usize, addition: &str) -> String {
        match (self.text.get(..at), self.text.get(at..)) {
            (Some(before), Some(after)) => format!("{before}{addition}{after}"),
            _ => format!("{}{addition}", self.text),
        }
    }
}

/// The value that a line defines, and the line's form.
fn definition<'v>(line: &str, values: &[&'v str]) -> Option<(&'v str, Form)> {
    let content = line.trim_start().trim_start_matches(['-', '*', '•']).trim_start();
    let lead = line.strip_suffix(content)?;
    values.iter().find_map(|value| {
        let rest = content.trim_start_matches(['`', '"', '\'']).strip_prefix(value)?;
        let rest = rest.trim_start_matches(['`', '"', '\'']);
        let mark = [": ", ":", " - ", " – ", " = ", "=", " means "]
            .into_iter()
            .find(|mark| rest.starts_with(mark))?;
        Some((*value, Form { lead: lead.to_owned(), mark: mark.to_owned() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Sort it.\n\n- hot: sun, fire.\n- cold: ice\n\nBe quick.\n";

    #[test]
    fn words_go_behind_their_definition_in_its_form() {
        let definitions = Definitions::of(TEXT, &["hot", "cold"]);
        assert!(definitions.is_home());
        assert_eq!(
            definitions.extended("hot", &["stove", "lava"]),
            TEXT.replace("sun, fire.", "sun, fire, stove, lava.")
        );
        assert_eq!(
            definitions.extended("cold", &["snow"]),
            TEXT.replace("cold: ice", "cold: ice, snow")
        );
    }

    #[test]
    fn new_lines_follow_the_last_definition() {
        let definitions = Definitions::of(TEXT, &["hot", "cold"]);
        let added =
            definitions.with_lines(&[("cold", vec!["snow", "frost"]), ("hot", vec!["lava"])]);
        assert_eq!(
            added,
            TEXT.replace("cold: ice\n", "cold: ice\n- cold: snow, frost\n- hot: lava\n")
        );
        let quoted = definitions.with_example("my hands are numb", "cold");
        assert_eq!(
            quoted,
            TEXT.replace("cold: ice\n", "cold: ice\n- \"my hands are numb\" -> cold\n")
        );
    }

    #[test]
    fn a_text_without_definitions_gets_them_at_its_end() {
        let definitions = Definitions::of("Sort it.", &["hot"]);
        assert!(!definitions.is_home());
        assert_eq!(definitions.extended("hot", &["lava"]), "Sort it.\n- hot: lava");
    }
}
