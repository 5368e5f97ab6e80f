//! Foreign text made harmless: one line, no invisible characters, no markup, bounded.

/// Whether a character shows nothing itself but can change how text around it is shown or read.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether a character can open or close something: code, quotation, emphasis, a tag, a table.
fn is_markup(c: char) -> bool {
    matches!(
        c,
        '`' | '*'
            | '#'
            | '<'
            | '>'
            | '['
            | ']'
            | '{'
            | '}'
            | '|'
            | '\\'
            | '~'
            | '^'
            | '='
            | '"'
            | '“'
            | '”'
            | '„'
            | '«'
            | '»'
            | '‘'
            | '‹'
            | '›'
    )
}

/// `text` as one line of plain words: invisible characters and markup become spaces, web addresses
/// go, runs of spaces become one.
pub(super) fn line(text: &str) -> String {
    let visible = text.replace(is_invisible, " ").replace(is_markup, " ");
    let words = visible
        .split_whitespace()
        .filter(|word| !word.contains("://") && word.contains(char::is_alphanumeric))
        .map(|word| word.trim_matches('_'));
    words.collect::<Vec<_>>().join(" ")
}

/// The beginning of `line`, whole words of at most `max` characters; all of it when it fits.
pub(super) fn cut(line: &str, max: usize) -> &str {
    let Some((end, next)) = line.char_indices().nth(max) else {
        return line;
    };
    let head = line.get(..end).unwrap_or_default();
    if next.is_whitespace() {
        return head.trim_end();
    }
    head.rfind(char::is_whitespace)
        .and_then(|space| head.get(..space))
        .unwrap_or_default()
        .trim_end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_and_hidden_characters_are_gone() {
        let hostile = "Say **yes**\n\u{202e}`rm -rf`\u{200b} <b>\"now\"</b> see https://x.example/a?b [x] {y}";
        assert_eq!(line(hostile), "Say yes rm -rf b now /b see x y");
    }

    #[test]
    fn a_cut_falls_between_words() {
        assert_eq!(cut("größte Datei finden", 13), "größte Datei");
        assert_eq!(cut("größte Datei finden", 12), "größte Datei");
        assert_eq!(cut("größte Datei finden", 11), "größte");
        assert_eq!(cut("größte Datei", 99), "größte Datei");
        assert_eq!(cut("unteilbar", 3), "");
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_harmless_bounded_line(text in any::<String>(), max in 0..50usize) {
            let line = line(&text);
            prop_assert!(!line.contains(is_invisible) && !line.contains(is_markup));
            prop_assert!(line.split(' ').all(|word| line.is_empty() || !word.is_empty()));
            let head = cut(&line, max);
            prop_assert!(head.chars().count() <= max && line.starts_with(head));
            let rest = line.strip_prefix(head).unwrap();
            prop_assert!(head.is_empty() || rest.is_empty() || rest.starts_with(' '));
        }
    }
}
