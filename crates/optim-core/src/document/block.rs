//! Literal (`|`) and folded (`>`) block scalars as lines of a text.

use std::ops::Range;

use super::{Node, Style, edit::Splice, quote::is_printable};

/// Folded lines are filled up to this column, or to the longest line there was.
const FILL: usize = 80;

/// A block scalar in its text.
pub(super) struct Block<'a> {
    source: &'a str,
    folded: bool,
    /// `|` or `>` and its indicators.
    header: Range<usize>,
    /// What follows the header on its line: a comment, the line break.
    header_end: usize,
    indentation: usize,
    lines: Vec<Line<'a>>,
    /// The end of the lines: past the line break of the last one that is not empty.
    lines_end: usize,
    /// The end of the empty lines that follow.
    end: usize,
}

/// A line with content.
struct Line<'a> {
    /// The line without its indentation and line break.
    content: &'a str,
    /// The bytes of the line without its line break.
    range: Range<usize>,
    /// How many empty lines are before it.
    empty_before: usize,
}

impl<'a> Block<'a> {
    /// The block scalar that `node` is.
    pub(super) fn find(source: &'a str, node: &Node) -> Option<Self> {
        let span = node.span.range();
        // The span begins in the first line with content; the header is the last line with any
        // above it.
        let above = source.get(..span.start)?.trim_end_matches([' ', '\t', '\r', '\n']);
        let line_start = above.rfind(is_break).map_or(0, |at| at + 1);
        let below = source.get(line_start..)?;
        let line = below.get(..below.find(is_break).unwrap_or(below.len()))?;
        let header = header_in(line)?;
        let header = line_start + header.start..line_start + header.end;
        let header_end = line_start + line.len() + line_break(below.get(line.len()..)?).len();
        let indentation = usize::try_from(node.span.start.column).ok()?.checked_sub(1)?;
        let mut block = Self {
            source,
            folded: node.style == Style::Folded,
            header,
            header_end,
            indentation,
            lines: Vec::new(),
            lines_end: header_end,
            end: header_end,
        };
        block.read_lines(span.end)?;
        Some(block)
    }

    fn read_lines(&mut self, end: usize) -> Option<()> {
        let mut empty_before = 0;
        // The span may go on into the indentation of what follows.
        let lines = self.source.get(self.header_end..end)?.trim_end_matches(' ');
        for line in lines.split_inclusive('\n') {
            let start = self.end;
            self.end += line.len();
            let bare = line.trim_end_matches(is_break);
            let indented = bare.len() - bare.trim_start_matches(' ').len();
            let content = bare.get(indented.min(self.indentation)..)?;
            if content.is_empty() {
                empty_before += 1;
                continue;
            }
            let range = start..start + bare.len();
            self.lines.push(Line { content, range, empty_before });
            empty_before = 0;
            self.lines_end = self.end;
        }
        Some(())
    }

    /// `text`, which is on one line, in the place of the block. The comment of the header stays.
    pub(super) fn replace(&self, text: &str) -> Splice {
        let comment = self.source.get(self.header.end..self.header_end).unwrap_or_default();
        Splice { range: self.header.start..self.lines_end, text: format!("{text}{comment}") }
    }

    /// Changes from `old` to `new` only the lines between the first and the last that differ.
    pub(super) fn change_lines(&self, old: &str, new: &str) -> Option<Splice> {
        let (old, old_breaks) = split_breaks(old);
        let (new, new_breaks) = split_breaks(new);
        if old_breaks != new_breaks || !new.chars().all(is_writable) {
            return None;
        }
        let ranges = self.value_ranges();
        let prefix = common_prefix(old, new);
        let shorter = old.len().min(new.len()) - prefix;
        let suffix = common_suffix(old, new).min(shorter);
        let first = ranges.iter().rposition(|range| range.start <= prefix)?;
        let last = ranges.iter().position(|range| range.end + suffix >= old.len())?;
        let (first_range, last_range) = (ranges.get(first)?, ranges.get(last)?);
        let changed = new.get(first_range.start..(new.len() + last_range.end) - old.len())?;
        let range = self.lines.get(first)?.range.start..self.lines.get(last)?.range.end;
        Some(Splice { range, text: self.write(changed) })
    }

    /// The whole block anew, in the style and with the indentation that it has.
    pub(super) fn rewrite(&self, new: &str) -> Option<Splice> {
        let (text, breaks) = split_breaks(new);
        if text.is_empty() || !text.chars().all(is_writable) {
            return None;
        }
        let header = self.source.get(self.header.clone())?;
        let keeps = header.contains('+');
        let chomping = match breaks {
            0 => "-",
            1 if keeps => "+",
            1 => "",
            _ => "+",
        };
        let unchomped = header.replace(['-', '+'], "");
        let comment = self.source.get(self.header.end..self.header_end)?;
        let line_break = self.line_break();
        let lines = self.write(text);
        let more_breaks = line_break.repeat(breaks.saturating_sub(1));
        // Empty lines below the block are part of the value where they are kept.
        let end = if keeps || chomping == "+" { self.end } else { self.lines_end };
        let ends_line = self.source.get(..end)?.ends_with(is_break);
        let last_break = if ends_line { line_break } else { "" };
        Some(Splice {
            range: self.header.start..end,
            text: format!("{unchomped}{chomping}{comment}{lines}{last_break}{more_breaks}"),
        })
    }

    /// The line break that the header ends with.
    fn line_break(&self) -> &'a str {
        let header = self.source.get(self.header.end..self.header_end).unwrap_or_default();
        header.get(header.trim_end_matches(is_break).len()..).unwrap_or_default()
    }

    /// The bytes of the value, without its trailing line breaks, that each line stands for.
    fn value_ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(self.lines.len());
        let mut above: Option<&Line<'_>> = None;
        for line in &self.lines {
            let separator = match above {
                None => line.empty_before,
                // A single line break is folded to a space, of others one is dropped.
                Some(above) if self.folds(above.content) && self.folds(line.content) => {
                    line.empty_before.max(1)
                }
                Some(_) => line.empty_before + 1,
            };
            let start = ranges.last().map_or(0, |range| range.end) + separator;
            ranges.push(start..start + line.content.len());
            above = Some(line);
        }
        ranges
    }

    /// Whether the line breaks around a line are folded.
    fn folds(&self, line: &str) -> bool {
        self.folded && !line.starts_with([' ', '\t'])
    }

    /// The lines that `text` is written as, without the last line break.
    fn write(&self, text: &str) -> String {
        let mut lines: Vec<&str> = Vec::new();
        let mut above: Option<&str> = None;
        let mut breaks = 0;
        for (i, line) in text.split('\n').enumerate() {
            breaks += usize::from(i > 0);
            if line.is_empty() {
                continue;
            }
            let folded_both = above.is_some_and(|above| self.folds(above)) && self.folds(line);
            let empty = if above.is_none() || folded_both { breaks } else { breaks - 1 };
            lines.extend(std::iter::repeat_n("", empty));
            if self.folds(line) {
                lines.extend(fill(line, self.width()))
            } else {
                lines.push(line)
            }
            above = Some(line);
            breaks = 0;
        }
        let indentation = " ".repeat(self.indentation);
        let indented = lines.iter().map(|line| match *line {
            "" => String::new(),
            line => format!("{indentation}{line}"),
        });
        indented.collect::<Vec<_>>().join(self.line_break())
    }

    /// How many characters a folded line may have.
    fn width(&self) -> usize {
        let longest = self.lines.iter().map(|line| line.content.chars().count()).max();
        longest.unwrap_or(0).max(FILL.saturating_sub(self.indentation))
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

fn is_writable(c: char) -> bool {
    is_printable(c) || matches!(c, '\n' | '\t')
}

/// The line break that `text` begins with.
fn line_break(text: &str) -> &str {
    ["\r\n", "\n", "\r"].into_iter().find(|line_break| text.starts_with(line_break)).unwrap_or("")
}

/// The header of a block scalar in its line: `key: |2- # comment`.
fn header_in(line: &str) -> Option<Range<usize>> {
    line.match_indices(['|', '>']).map(|(start, _)| start).find_map(|start| {
        let (before, header) = (line.get(..start)?, line.get(start..)?);
        let word = header.split([' ', '\t']).next()?;
        let comment = header.get(word.len()..)?.trim_start();
        let is_header = (before.is_empty() || before.ends_with([' ', '\t']))
            && word.chars().skip(1).all(|c| c.is_ascii_digit() || matches!(c, '+' | '-'))
            && (comment.is_empty() || comment.starts_with('#'));
        is_header.then(|| start..start + word.len())
    })
}

/// The text without its trailing line breaks, and how many there are.
fn split_breaks(text: &str) -> (&str, usize) {
    let trimmed = text.trim_end_matches('\n');
    (trimmed, text.len() - trimmed.len())
}

/// How many bytes two texts begin with alike, in whole characters.
fn common_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// How many bytes two texts end with alike, in whole characters.
fn common_suffix(a: &str, b: &str) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// Breaks a line at single spaces into lines of at most `width` characters, where it can.
fn fill(line: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = line;
    while rest.chars().nth(width).is_some()
        && let Some((head, tail)) = break_line(rest, width)
    {
        lines.push(head);
        rest = tail;
    }
    lines.push(rest);
    lines
}

/// Breaks a line at the last single space within `width` characters, else at the first after them.
fn break_line(line: &str, width: usize) -> Option<(&str, &str)> {
    let limit = line.char_indices().nth(width).map_or(line.len(), |(at, _)| at);
    let is_blank = |c: char| matches!(c, ' ' | '\t');
    let mut best = None;
    for (at, _) in line.match_indices(' ') {
        let (head, tail) = (line.get(..at)?, line.get(at + 1..)?);
        let single = !head.is_empty()
            && !tail.is_empty()
            && !head.ends_with(is_blank)
            && !tail.starts_with(is_blank);
        if single && (at <= limit || best.is_none()) {
            best = Some((head, tail));
        }
        if at > limit && best.is_some() {
            break;
        }
    }
    best
}
