//! Ranks documents against a query.

use std::collections::{BTreeMap, BTreeSet};

/// How fast a repeated word stops counting (Okapi BM25's usual value).
const SATURATION: f64 = 1.2;
/// How much a document longer than the average is discounted (0 = not, 1 = fully).
const LENGTH_DISCOUNT: f64 = 0.75;

/// Scores each document against the query with Okapi BM25. A word counts once however often the
/// query repeats it, and a word that no document holds counts nothing.
///
/// The rarity of a word is `1/holders - 1/documents` instead of the usual logarithm: zero for a
/// word that all documents hold, and free of functions that round differently between machines.
pub(super) fn scores(documents: &[Vec<String>], query: &[String]) -> Vec<f64> {
    let counts: Vec<BTreeMap<&str, f64>> = documents.iter().map(|words| count(words)).collect();
    let number = to_float(documents.len());
    let average = documents.iter().map(|words| to_float(words.len())).sum::<f64>() / number;
    let words: BTreeSet<&str> = query.iter().map(String::as_str).collect();
    let rarities: Vec<(&str, f64)> = words
        .into_iter()
        .filter_map(|word| {
            let holders = counts.iter().filter(|held| held.contains_key(word)).count();
            (holders > 0).then(|| (word, 1.0 / to_float(holders) - 1.0 / number))
        })
        .collect();
    documents
        .iter()
        .zip(&counts)
        .map(|(document, held)| {
            let length = to_float(document.len()) / average;
            let discount = SATURATION * (1.0 - LENGTH_DISCOUNT + LENGTH_DISCOUNT * length);
            rarities
                .iter()
                .filter_map(|(word, rarity)| held.get(word).map(|n| (n, rarity)))
                .map(|(n, rarity)| rarity * n * (SATURATION + 1.0) / (n + discount))
                .sum()
        })
        .collect()
}

/// The first of the documents with the highest score; `None` if nothing scored.
pub(super) fn best(scores: &[f64]) -> Option<usize> {
    let mut best = None;
    let mut highest = 0.0;
    for (index, &score) in scores.iter().enumerate() {
        if score > highest {
            (best, highest) = (Some(index), score);
        }
    }
    best
}

fn count(words: &[String]) -> BTreeMap<&str, f64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word.as_str()).or_insert(0.0) += 1.0;
    }
    counts
}

fn to_float(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
