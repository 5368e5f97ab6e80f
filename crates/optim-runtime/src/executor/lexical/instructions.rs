//! What a node's instructions define: for each value that may be answered, the words that describe it.

use super::tokens::stems;

/// The words that instructions give for each of some values.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Definitions {
    /// One list of stems for each value, in the order in which the values were asked for.
    pub(super) words: Vec<Vec<String>>,
}

/// Finds the definitions of `values` in `texts`.
///
/// A definition is a line that names a value, then `:`, `-`, `=`, `->` or `means`, then words; the
/// line may begin with a list mark. An example is a line that ends in `-> value`. Lines that mention a
/// value in passing define nothing.
pub(super) fn definitions(values: &[&str], texts: &[&str]) -> Definitions {
    let mut words = vec![Vec::new(); values.len()];
    for line in texts.iter().flat_map(|text| text.lines()) {
        if let Some((index, description)) = definition(line, values)
            && let Some(words) = words.get_mut(index)
        {
            words.extend(stems(description));
        }
    }
    Definitions { words }
}

/// The value that a line defines, by index, and the words that it gives for it.
fn definition<'a>(line: &'a str, values: &[&str]) -> Option<(usize, &'a str)> {
    let line = line.trim().trim_start_matches(['-', '*', '•']).trim_start();
    if let Some((text, value)) = ["->", "=>", "→"].iter().find_map(|arrow| line.rsplit_once(arrow))
        && let Some(index) = position(values, value)
    {
        return Some((index, text));
    }
    ["->", "=>", "→", ":", " - ", " – ", "=", " means "].iter().find_map(|mark| {
        let (value, description) = line.split_once(mark)?;
        Some((position(values, value)?, description))
    })
}

fn position(values: &[&str], text: &str) -> Option<usize> {
    let named = text.trim().trim_matches(['`', '"', '\'', '*', '.', ',']).trim();
    values.iter().position(|value| value.eq_ignore_ascii_case(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_in_the_forms_that_people_write() {
        let values = ["warm", "cold"];
        for line in [
            "- warm: sun heat",
            "warm - sun heat",
            "* `warm` = sun heat",
            "Warm means sun heat",
            "\"sun heat\" -> warm",
        ] {
            let found = definitions(&values, &[line]);
            assert_eq!(found.words[0], ["sun", "heat"], "{line}");
            assert_eq!(found.words[1], Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn a_line_that_only_mentions_a_value_defines_nothing() {
        let found =
            definitions(&["warm"], &["Choose warm or cold: think twice", "is it warm outside?"]);
        assert_eq!(found.words[0], Vec::<String>::new());
    }
}
