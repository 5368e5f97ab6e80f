//! The eval pack: one case per line, frozen by digest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assertion::Expectation;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Position};
use crate::digest::Digest;
use crate::document;
use crate::id::CaseId;
use crate::suggest::did_you_mean;
use crate::workflow::Workflow;
use crate::workflow::graph::Graph;

/// The largest pack, in bytes.
pub const PACK_BYTES_MAX: usize = 64 << 20;
/// The longest line of a pack, in bytes.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// The most cases in a pack.
pub const CASES_MAX: usize = 100_000;
/// After this many faults the rest of a pack is not worth reading.
const FAULTS_MAX: usize = 100;
/// A message may repeat what is in the file; no more than this many characters of it are shown.
const MESSAGE_CHARS_MAX: usize = 200;

/// The cases of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Pack {
    /// The digest of the bytes that the cases were read from.
    pub digest: Digest,
    /// The cases in file order; at least one, ids unique.
    pub cases: Vec<Case>,
}

/// One case: inputs for the root nodes, and what the outputs are expected to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique in the pack.
    pub id: CaseId,
    /// Handed to every root node.
    pub inputs: Map<String, Value>,
    /// Checks beyond the contracts' validators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
    /// Which decisions the case feeds.
    #[serde(default)]
    pub split: Split,
}

/// What a case may be used for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Feeds the proposer and the decision.
    #[default]
    Search,
    /// Feeds the confirmation of a winner, and nothing else.
    Holdout,
}

impl Split {
    /// The name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Holdout => "holdout",
        }
    }
}

impl Pack {
    /// The cases of `split`, in file order.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(move |case| case.split == split)
    }

    /// The pack of a workflow without one: a single case with empty inputs.
    #[must_use]
    pub fn implicit() -> Self {
        let case = Case {
            id: CaseId::implicit(),
            inputs: Map::new(),
            expect: Vec::new(),
            split: Split::Search,
        };
        Self {
            digest: Digest::of(b""),
            cases: vec![case],
        }
    }
}

/// Reads a pack from JSONL: one case a line; blank lines are skipped.
///
/// # Errors
/// Every bad line with its place, up to a hundred; a pack without cases or without search cases.
pub fn read(name: &str, bytes: &[u8]) -> Result<Pack, Diagnostics> {
    let file = || Place::file(name);
    if bytes.len() > PACK_BYTES_MAX {
        let message = format!(
            "the pack has {} bytes, at most {PACK_BYTES_MAX} are read",
            bytes.len()
        );
        return Err(Diagnostic::error("too_large", file(), message)
            .help("refer to big inputs by path instead of writing them into the pack")
            .into());
    }
    let text = document::utf8(name, bytes)?;
    let mut reader = Reader::default();
    for line in lines(text) {
        reader
            .line(line)
            .unwrap_or_else(|fault| reader.faults.push(fault.at(name, line)));
        if reader.cases.len() > CASES_MAX || reader.faults.len() >= FAULTS_MAX {
            break;
        }
    }
    let Reader {
        cases, mut faults, ..
    } = reader;
    if cases.len() > CASES_MAX {
        let message = format!("the pack has more than {CASES_MAX} cases");
        faults.push(Diagnostic::error("too_many_cases", file(), message).help("split it"));
    } else if faults.is_empty() && cases.is_empty() {
        let message = "the pack has no cases";
        let help = r#"write one case a line, such as {"id": "c1", "inputs": {"text": "…"}}"#;
        faults.push(Diagnostic::error("empty_pack", file(), message).help(help));
    } else if faults.is_empty() && cases.iter().all(|case| case.split == Split::Holdout) {
        let message = "every case is a holdout case, so nothing can guide the search";
        let help = r#"mark most cases `"split": "search"`, or leave `split` out"#;
        faults.push(Diagnostic::error("no_search_case", file(), message).help(help));
    }
    if faults.is_empty() {
        Ok(Pack {
            digest: Digest::of(bytes),
            cases,
        })
    } else {
        Err(Diagnostics(faults))
    }
}

/// A line of a pack.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// From 1.
    number: usize,
    /// Where it begins in the file.
    byte: usize,
    text: &'a str,
}

/// The lines of `text` that are not blank.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let bom = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut byte = bom;
    let lines = text.get(bom..).unwrap_or_default().split_inclusive('\n');
    lines
        .zip(1..)
        .map(move |(text, number)| {
            let line = Line {
                number,
                byte,
                text: text.trim_end(),
            };
            byte += text.len();
            line
        })
        .filter(|line| !line.text.trim_start().is_empty())
}

/// What is wrong with a line, at a byte of it.
struct Fault {
    code: &'static str,
    byte: usize,
    message: String,
    help: &'static str,
}

impl Fault {
    fn at(self, name: &str, line: Line<'_>) -> Diagnostic {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let before = line.text.bytes().take(self.byte);
        // The first bytes of characters are those that do not look like 10xxxxxx.
        let characters = before.filter(|byte| byte & 0xc0 != 0x80).count();
        let place = Place::file(name).at(Position {
            byte: narrow(line.byte + self.byte),
            line: narrow(line.number),
            column: narrow(characters + 1),
        });
        Diagnostic::error(self.code, place, self.message).help(self.help)
    }
}

/// What has been read of a pack.
#[derive(Default)]
struct Reader {
    cases: Vec<Case>,
    lines: BTreeMap<CaseId, usize>,
    faults: Vec<Diagnostic>,
}

impl Reader {
    fn line(&mut self, line: Line<'_>) -> Result<(), Fault> {
        let refuse = |code, byte, message, help| {
            Err(Fault {
                code,
                byte,
                message,
                help,
            })
        };
        if line.text.len() > LINE_BYTES_MAX {
            let message = format!(
                "this line has {} bytes, at most {LINE_BYTES_MAX} are read",
                line.text.len()
            );
            return refuse("line_too_long", 0, message, "refer to big inputs by path");
        }
        let case: Case = match serde_json::from_str(line.text) {
            Ok(case) => case,
            Err(error) => {
                let code = if error.is_data() {
                    "wrong_case"
                } else {
                    "json_syntax"
                };
                let text = error.to_string();
                let (message, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
                let message = message.escape_debug().take(MESSAGE_CHARS_MAX).collect();
                let help =
                    "a case is {\"id\": …, \"inputs\": {…}} with optional `expect` and `split`";
                return refuse(code, error.column().saturating_sub(1), message, help);
            }
        };
        if let Some(first) = self.lines.get(&case.id) {
            let message = format!(
                "case `{}` is on line {first} and line {}",
                case.id, line.number
            );
            return refuse(
                "duplicate_case_id",
                0,
                message,
                "give every case an id of its own",
            );
        }
        self.lines.insert(case.id.clone(), line.number);
        self.cases.push(case);
        Ok(())
    }
}

impl Pack {
    /// What the cases expect of `workflow` that it cannot give: outputs of nodes that it does not
    /// have, or of "the only sink" when it has several. `name` is what messages call the pack.
    #[must_use]
    pub fn check(&self, name: &str, workflow: &Workflow) -> Diagnostics {
        let ids: BTreeSet<_> = workflow
            .nodes()
            .iter()
            .map(|node| node.id().as_str())
            .collect();
        // A graph that is broken is reported by the workflow's own check.
        let sinks: Vec<_> = Graph::new(workflow)
            .iter()
            .flat_map(|graph| graph.sinks().filter_map(|sink| workflow.nodes().get(sink)))
            .map(|node| node.id().as_str())
            .collect();
        let mut faults = Vec::new();
        let expectations = self.cases.iter().enumerate().flat_map(|(index, case)| {
            case.expect
                .iter()
                .enumerate()
                .map(move |(place, expect)| (index, case, place, expect))
        });
        for (index, case, place, expectation) in expectations {
            let at = Place::file(name).path(format!("/{index}/expect/{place}/node"));
            match &expectation.node {
                Some(node) if !ids.contains(node.as_str()) => {
                    let message = format!(
                        "case `{}` expects something of `{node}`, which is not a node",
                        case.id
                    );
                    let help = did_you_mean(node.as_str(), ids.iter().copied());
                    faults
                        .push(Diagnostic::error("unknown_node", at, message).help(
                            help.unwrap_or_else(|| "name a node of the workflow".to_owned()),
                        ));
                }
                None if sinks.len() > 1 => {
                    let message = format!(
                        "case `{}` does not say whose output it expects something of",
                        case.id
                    );
                    faults.push(Diagnostic::error("node_needed", at, message).help(format!(
                        "add `\"node\"`; the workflow ends in {}",
                        sinks.join(", ")
                    )));
                }
                _ => {}
            }
        }
        Diagnostics(faults)
    }
}
