//! The eval pack: one case per line, frozen by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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

/// What a line looks like.
const SHAPE: &str = r#"a case is {"id": …, "inputs": {…}} with optional `expect` and `split`"#;

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
    /// What the case may be used for.
    #[serde(default, rename = "split")]
    pub role: Role,
}

/// What a case may be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Feeds the decision; without tune cases in the pack, the proposers as well.
    #[default]
    Search,
    /// Feeds the proposers, and nothing else.
    Tune,
    /// Feeds the confirmation of a winner, and nothing else.
    Holdout,
}

/// The cases that candidates are measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Those that decide.
    Search,
    /// Those that confirm.
    Holdout,
}

/// How many cases there are of each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseCounts {
    /// Search cases.
    pub search: u32,
    /// Tune cases.
    pub tune: u32,
    /// Holdout cases.
    pub holdout: u32,
}

impl fmt::Display for CaseCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { search, tune: 0, holdout } => {
                write!(f, "{search} search and {holdout} holdout cases")
            }
            Self { search, tune, holdout } => {
                write!(f, "{tune} tune, {search} search and {holdout} holdout cases")
            }
        }
    }
}

impl From<Split> for Role {
    fn from(split: Split) -> Self {
        match split {
            Split::Search => Self::Search,
            Split::Holdout => Self::Holdout,
        }
    }
}

impl Pack {
    /// The cases of `split`, in file order.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &Case> {
        self.with(split.into())
    }

    /// The cases with `role`, in file order.
    pub fn with(&self, role: Role) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(move |case| case.role == role)
    }

    /// How many cases there are of each role.
    #[must_use]
    pub fn counts(&self) -> CaseCounts {
        let count = |role| u32::try_from(self.with(role).count()).unwrap_or(u32::MAX);
        let (search, tune) = (count(Role::Search), count(Role::Tune));
        CaseCounts { search, tune, holdout: count(Role::Holdout) }
    }

    /// The cases whose results a proposer may see: where the pack sets some apart for that, only those. So
    /// what it learns by heart does not help it in the decision.
    pub fn seen_by_proposers(&self) -> impl Iterator<Item = &Case> {
        let set_apart = self.with(Role::Tune).next().is_some();
        self.with(if set_apart { Role::Tune } else { Role::Search })
    }

    /// The pack of a workflow without one: a single case with empty inputs.
    #[must_use]
    pub fn implicit() -> Self {
        let case = Case {
            id: CaseId::implicit(),
            inputs: Map::new(),
            expect: Vec::new(),
            role: Role::Search,
        };
        Self { digest: Digest::of(b""), cases: vec![case] }
    }
}

/// Reads a pack from JSONL: one case a line; blank lines are skipped.
///
/// # Errors
/// Every bad line with its place, up to a hundred; a pack without cases or without search cases.
pub fn read(name: &str, bytes: &[u8]) -> Result<Pack, Diagnostics> {
    let file = || Place::file(name);
    if bytes.len() > PACK_BYTES_MAX {
        let message =
            format!("the pack has {} bytes, at most {PACK_BYTES_MAX} are read", bytes.len());
        return Err(Diagnostic::error("too_large", file(), message)
            .help("refer to big inputs by path instead of writing them into the pack")
            .into());
    }
    let text = document::utf8(name, bytes)?;
    let mut reader = Reader::default();
    for line in lines(text) {
        reader.line(line).unwrap_or_else(|fault| reader.faults.push(fault.at(name, line)));
        if reader.cases.len() > CASES_MAX || reader.faults.len() >= FAULTS_MAX {
            break;
        }
    }
    let Reader { cases, mut faults, .. } = reader;
    if cases.len() > CASES_MAX {
        let message = format!("the pack has more than {CASES_MAX} cases");
        faults.push(Diagnostic::error("too_many_cases", file(), message).help("split it"));
    } else if faults.is_empty() && cases.is_empty() {
        let message = "the pack has no cases";
        let help = r#"write one case a line, such as {"id": "c1", "inputs": {"text": "…"}}"#;
        faults.push(Diagnostic::error("empty_pack", file(), message).help(help));
    } else if faults.is_empty() && cases.iter().all(|case| case.role != Role::Search) {
        let message = "no case is a search case, so there is nothing to decide by";
        let help = r#"mark most cases `"split": "search"`, or leave `split` out"#;
        faults.push(Diagnostic::error("no_search_case", file(), message).help(help));
    }
    if faults.is_empty() {
        Ok(Pack { digest: Digest::of(bytes), cases })
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
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut byte = bom;
    let lines = text.get(bom..).unwrap_or_default().split_inclusive('\n');
    lines
        .zip(1..)
        .map(move |(text, number)| {
            let line = Line { number, byte, text: text.trim_end() };
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
        let refuse = |code, byte, message, help| Err(Fault { code, byte, message, help });
        if line.text.len() > LINE_BYTES_MAX {
            let message = format!(
                "this line has {} bytes, at most {LINE_BYTES_MAX} are read",
                line.text.len()
            );
            return refuse("line_too_long", 0, message, "refer to big inputs by path");
        }
        if !line.text.trim_start().starts_with('{') {
            // Serde would read the fields of a case from a list, too.
            return refuse("wrong_case", 0, "this line is no JSON object".to_owned(), SHAPE);
        }
        let case: Case = match serde_json::from_str(line.text) {
            Ok(case) => case,
            Err(error) => {
                let code = if error.is_data() { "wrong_case" } else { "json_syntax" };
                let text = error.to_string();
                let (message, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
                let plain = |c: char| if c.is_control() { ' ' } else { c };
                let message = message.chars().map(plain).take(MESSAGE_CHARS_MAX).collect();
                return refuse(code, error.column().saturating_sub(1), message, SHAPE);
            }
        };
        if let Some(first) = self.lines.get(&case.id) {
            let message = format!("case `{}` is on line {first} and line {}", case.id, line.number);
            return refuse("duplicate_case_id", 0, message, "give every case an id of its own");
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
        let ids: BTreeSet<_> = workflow.nodes().iter().map(|node| node.id().as_str()).collect();
        // A graph that is broken is reported by the workflow's own check.
        let sinks: Vec<_> = Graph::new(workflow)
            .iter()
            .flat_map(|graph| graph.sinks().filter_map(|sink| workflow.nodes().get(sink)))
            .map(|node| node.id().as_str())
            .collect();
        let mut faults = Vec::new();
        let expectations = self.cases.iter().enumerate().flat_map(|(index, case)| {
            case.expect.iter().enumerate().map(move |(place, expect)| (index, case, place, expect))
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

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    fn faults(bytes: &[u8]) -> String {
        read("cases.jsonl", bytes).unwrap_err().to_string()
    }

    #[test]
    fn cases_are_read_in_file_order_with_their_splits() {
        let text = "\u{feff}{\"id\": \"b\", \"inputs\": {\"n\": 1}}\r\n\r\n  \n\
                    {\"id\": \"a\", \"inputs\": {}, \"split\": \"holdout\"}";
        let pack = read("cases.jsonl", text.as_bytes()).unwrap();
        let ids = |split| pack.split(split).map(|case| case.id.as_str()).collect::<Vec<_>>();
        assert_eq!(pack.digest, Digest::of(text.as_bytes()));
        assert_eq!(pack.cases[0].inputs["n"], 1);
        assert_eq!(ids(Split::Search), ["b"]);
        assert_eq!(ids(Split::Holdout), ["a"]);
    }

    #[test]
    fn every_bad_line_is_reported_with_its_place() {
        let text = r#"{"id": "a", "inputs": {}}

{"id": "größe", "inputs": [1]}
{"id": "a", "inputs": {}}
{"id": "c", "input": {}}
{"id": "d", "inputs": {"x": NaN}}
{"id": " ", "inputs": {}}
{"id": "e", "inputs": {}, "split": "test"}
{"inputs": {}}
[]
{"id": "f", "inputs": {}} {}
{"id": "g", "inputs": {"x": 1e400}}
"#;
        expect![[r#"
            cases.jsonl:3:26: error[wrong_case]: invalid type: sequence, expected a map
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:4:1: error[duplicate_case_id]: case `a` is on line 1 and line 4
            help: give every case an id of its own
            cases.jsonl:5:19: error[wrong_case]: unknown field `input`, expected one of `id`, `inputs`, `expect`, `split`
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:6:29: error[json_syntax]: expected value
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:7:10: error[wrong_case]: case id " " is refused: it must not be blank
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:8:41: error[wrong_case]: unknown variant `test`, expected one of `search`, `tune`, `holdout`
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:9:14: error[wrong_case]: missing field `id`
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:10:1: error[wrong_case]: this line is no JSON object
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:11:27: error[json_syntax]: trailing characters
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`
            cases.jsonl:12:33: error[json_syntax]: number out of range
            help: a case is {"id": …, "inputs": {…}} with optional `expect` and `split`"#]].assert_eq(&faults(text.as_bytes()));
    }

    #[test]
    fn packs_that_cannot_guide_a_search_are_refused() {
        assert!(faults(b"").contains("error[empty_pack]"));
        assert!(faults(b"\n \n").contains("error[empty_pack]"));
        let holdout = br#"{"id": "a", "inputs": {}, "split": "holdout"}"#;
        assert!(faults(holdout).contains("error[no_search_case]"));
    }

    #[test]
    fn limits_hold_to_the_byte_and_the_case() {
        let line = |length: usize| {
            let frame = r#"{"id": "a", "inputs": {"x": ""}}"#.len();
            format!(r#"{{"id": "a", "inputs": {{"x": "{}"}}}}"#, "x".repeat(length - frame))
        };
        assert!(read("p", line(LINE_BYTES_MAX).as_bytes()).is_ok());
        assert!(faults(line(LINE_BYTES_MAX + 1).as_bytes()).contains("error[line_too_long]"));
        assert!(faults(&vec![b'x'; PACK_BYTES_MAX]).contains("error[line_too_long]"));
        assert!(faults(&vec![b'x'; PACK_BYTES_MAX + 1]).contains("error[too_large]"));
        let cases = |count: usize| {
            (0..count)
                .map(|n| format!("{{\"id\": \"{n}\", \"inputs\": {{}}}}\n"))
                .collect::<String>()
        };
        assert!(read("p", cases(CASES_MAX).as_bytes()).is_ok());
        assert!(faults(cases(CASES_MAX + 1).as_bytes()).contains("error[too_many_cases]"));
    }

    #[test]
    fn proposers_see_the_tune_cases_only_where_there_are_some() {
        let seen = |splits: &[&str]| {
            let line = |(index, split)| {
                format!("{{\"id\": \"{index}\", \"inputs\": {{}}, \"split\": \"{split}\"}}\n")
            };
            let text: String = splits.iter().enumerate().map(line).collect();
            let pack = read("p", text.as_bytes()).unwrap();
            let ids = pack.seen_by_proposers().map(|case| case.id.to_string());
            (ids.collect::<Vec<_>>().join(" "), pack.counts().to_string())
        };
        let shown = |ids: &str, counts: &str| (ids.to_owned(), counts.to_owned());
        assert_eq!(
            seen(&["search", "tune", "holdout", "tune"]),
            shown("1 3", "2 tune, 1 search and 1 holdout cases")
        );
        assert_eq!(
            seen(&["search", "holdout", "search"]),
            shown("0 2", "2 search and 1 holdout cases")
        );
    }

    #[test]
    fn a_pack_of_another_kind_of_file_is_refused_after_a_hundred_lines() {
        let found = read("p", "x\n".repeat(1000).as_bytes()).unwrap_err();
        assert_eq!(found.0.len(), FAULTS_MAX);
        assert!(faults(b"{\"id\": \"\xff\"}").starts_with("cases.jsonl:1:9: error[not_utf8]"));
        let deep = format!(r#"{{"id": "a", "inputs": {{"x": {}"#, "[".repeat(9999));
        assert!(faults(deep.as_bytes()).contains("json_syntax"));
        let long = format!("{{\"id\": \"a\", \"{}\": 1}}", "k\\n".repeat(9999));
        assert!(faults(long.as_bytes()).len() < 600);
    }

    #[test]
    fn expectations_must_name_a_node_that_is_there() {
        let pack = |expect: &str| {
            let expect = expect
                .replace('}', r#"  "type": "is-json"}"#)
                .replace("\"  ", "\", ")
                .replace("{  ", "{");
            let line = format!("{{\"id\": \"c1\", \"inputs\": {{}}, \"expect\": [{expect}]}}");
            read("cases.jsonl", line.as_bytes()).unwrap()
        };
        let workflow = |nodes: &[(&str, &str)]| {
            let nodes: Vec<_> = nodes
                .iter()
                .map(|(id, needs)| {
                    let needs: Vec<_> = needs.split_whitespace().collect();
                    serde_json::json!({"node_id": id, "agent_id": "x", "objective": "o", "depends_on": needs})
                })
                .collect();
            let json = serde_json::json!({"automation_id": "w", "flow": {"nodes": nodes}});
            Workflow::from_json(json).unwrap()
        };
        let check = |pack: Pack, nodes: &[(&str, &str)]| {
            pack.check("cases.jsonl", &workflow(nodes)).to_string()
        };
        let chain = [("draft", ""), ("report", "draft")];
        let fork = [("draft", ""), ("report", "draft"), ("mail", "draft")];
        let ring = [("draft", "report"), ("report", "draft")];
        let any = r#"{"node": "draft"}, {}"#;
        assert_eq!(check(pack(any), &chain), "");
        assert_eq!(check(pack(any), &ring), "");
        assert_eq!(check(pack(r#"{"node": "report"}"#), &fork), "");
        expect![[r#"
            cases.jsonl /0/expect/1/node: error[node_needed]: case `c1` does not say whose output it expects something of
            help: add `"node"`; the workflow ends in report, mail"#]].assert_eq(&check(pack(any), &fork));
        expect![[r#"
            cases.jsonl /0/expect/0/node: error[unknown_node]: case `c1` expects something of `drat`, which is not a node
            help: did you mean `draft`?
            cases.jsonl /0/expect/1/node: error[unknown_node]: case `c1` expects something of `publish`, which is not a node
            help: name a node of the workflow"#]].assert_eq(&check(pack(r#"{"node": "drat"}, {"node": "publish"}"#), &chain));
        assert_eq!(Pack::implicit().check("", &workflow(&fork)), Diagnostics::default());
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(
            text in "([{}\\[\\]\":,a-z0-9 é\n\r]|\"id\"|\"inputs\"|\u{feff}){0,40}"
        ) {
            if let Err(found) = read("p", text.as_bytes()) {
                prop_assert!(found.has_errors());
            }
        }
    }
}
