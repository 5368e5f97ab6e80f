//! What the text fields share: the delta of two texts, and its limits.

use super::{Summary, Violation};
use crate::mutation::FieldValue;
use crate::policy::MutationPolicy;
use crate::secret::{Secret, secrets};

/// The text in `value`.
pub(super) fn owned(value: FieldValue) -> Result<String, Violation> {
    match value {
        FieldValue::Text(text) => Ok(text),
        FieldValue::Integer(value) => Err(Violation::NotAText { value }),
    }
}

/// The text rule: not blank, changed, within both limits of the policy, and without a secret.
pub(super) fn check(
    before: &str,
    after: &str,
    policy: &MutationPolicy,
) -> Result<Summary, Violation> {
    if after.trim().is_empty() {
        return Err(Violation::TextBlank);
    }
    let (removed, added) = delta(before, after);
    let delta = removed.saturating_add(added);
    let old = chars(before);
    if delta == 0 {
        return Err(Violation::NothingChanged);
    }
    let max = u64::from(policy.max_text_delta_chars);
    if delta > max {
        return Err(Violation::TextDeltaChars { delta, max });
    }
    let max = share(old, policy);
    if delta > max {
        return Err(Violation::TextDeltaRatio {
            delta,
            old,
            max,
            ratio: policy.max_text_delta_ratio,
            floor: policy.text_delta_floor_chars.into(),
        });
    }
    match secrets(after).next() {
        Some(Secret { kind, .. }) => Err(Violation::SecretLiteral { kind }),
        None => Ok(Summary::Text { removed, added, old }),
    }
}

/// The largest delta that `policy` allows for `text`, in characters.
pub(crate) fn allowance(text: &str, policy: &MutationPolicy) -> u64 {
    share(chars(text), policy).min(policy.max_text_delta_chars.into())
}

/// What ratio and floor allow for a text of `old` characters.
fn share(old: u64, policy: &MutationPolicy) -> u64 {
    let share = policy.max_text_delta_ratio.of_floor(old.max(1));
    share.max(policy.text_delta_floor_chars.into())
}

/// The characters (Unicode scalar values) that remain of either text when the longest common
/// prefix is taken off both, and then the longest common suffix.
fn delta(before: &str, after: &str) -> (u64, u64) {
    // Equal bytes before a character boundary of one text are whole characters in both, so the
    // comparison can run over bytes and step back to a boundary.
    let (mut old, mut new) = (before, after);
    let mut prefix = common_prefix(old.as_bytes(), new.as_bytes());
    while !old.is_char_boundary(prefix) {
        prefix -= 1;
    }
    old = old.get(prefix..).unwrap_or_default();
    new = new.get(prefix..).unwrap_or_default();
    let mut suffix = common_suffix(old.as_bytes(), new.as_bytes());
    while !old.is_char_boundary(old.len() - suffix) {
        suffix -= 1;
    }
    let middle = |text: &str| chars(text.get(..text.len() - suffix).unwrap_or_default());
    (middle(old), middle(new))
}

/// Bytes compared at once: the compiler makes one instruction of it.
const BLOCK: usize = 32;

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_blocks, b_blocks) = (a.as_chunks::<BLOCK>().0, b.as_chunks::<BLOCK>().0);
    let blocks = a_blocks.iter().zip(b_blocks);
    let whole = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    let rest = |text| <[u8]>::get(text, whole..).unwrap_or_default().iter();
    whole + rest(a).zip(rest(b)).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let (a_blocks, b_blocks) = (a.as_rchunks::<BLOCK>().1, b.as_rchunks::<BLOCK>().1);
    let blocks = a_blocks.iter().rev().zip(b_blocks.iter().rev());
    let whole = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    let rest = |text| <[u8]>::get(text, ..text.len() - whole).unwrap_or_default().iter().rev();
    whole + rest(a).zip(rest(b)).take_while(|(a, b)| a == b).count()
}

fn chars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The rule as it is written, character by character.
    fn delta_by_characters(before: &str, after: &str) -> (u64, u64) {
        let (mut old, mut new) =
            (before.chars().collect::<Vec<_>>(), after.chars().collect::<Vec<_>>());
        while let ([a, ..], [b, ..]) = (old.as_slice(), new.as_slice())
            && a == b
        {
            old.remove(0);
            new.remove(0);
        }
        while let ([.., a], [.., b]) = (old.as_slice(), new.as_slice())
            && a == b
        {
            old.pop();
            new.pop();
        }
        (u64::try_from(old.len()).unwrap(), u64::try_from(new.len()).unwrap())
    }

    #[test]
    fn a_replaced_middle_counts_what_goes_and_what_comes() {
        assert_eq!(delta("a cat sat", "a dog sat"), (3, 3));
        assert_eq!(delta("aa", "aaa"), (0, 1));
        // The two letters share their first byte, and the other two their last.
        assert_eq!(delta("é", "è"), (1, 1));
        assert_eq!(delta("x\u{e9}", "x\u{5e9}"), (1, 1));
        assert_eq!(delta("", ""), (0, 0));
    }

    proptest! {
        #[test]
        fn the_delta_over_bytes_is_the_delta_over_characters(
            prefix in "[ab é€👍]{0,80}", old in "[abéè€👍]{0,9}", new in "[abéè€👍]{0,9}", suffix in "[ab é€👍]{0,80}",
        ) {
            let (before, after) = (format!("{prefix}{old}{suffix}"), format!("{prefix}{new}{suffix}"));
            prop_assert_eq!(delta(&before, &after), delta_by_characters(&before, &after));
        }
    }
}
