//! `code_patch`: a unified diff that applies to the scratch copy.
//!
//! The output is the diff, or an object with `patch` or `diff`. Settings: `max_files`, absent means
//! any number.

use std::collections::BTreeSet;

use diffy::patch_set::{FileOperation, FilePatch, ParseOptions, PatchSet};
use serde_json::Value;

use super::{Findings, Subject};

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let fields = ["patch", "diff"].iter().filter_map(|key| subject.output.get(key));
    let Some(text) = fields.chain([subject.output]).find_map(Value::as_str) else {
        findings.unmet.push("there is no patch; wanted a unified diff".to_owned());
        return findings;
    };
    let options = if text.contains("diff --git ") {
        ParseOptions::gitdiff()
    } else {
        ParseOptions::unidiff()
    };
    let mut files: u64 = 0;
    let mut changed = BTreeSet::new();
    for patch in PatchSet::parse(text, options) {
        files += 1;
        let applied = patch.map_err(|error| format!("the patch is no unified diff: {error}"));
        match applied.and_then(|patch| applies(&patch, subject)) {
            // Each part is held against the file as it is, so a second one would not be met.
            Ok(path) if changed.contains(&path) => findings
                .unmet
                .push(format!("{path:?} is changed by two parts of the patch; join them")),
            Ok(path) => drop(changed.insert(path)),
            Err(why) => findings.unmet.push(why),
        }
    }
    if let Some(limit) = subject.settings.count("max_files") {
        findings.require(files <= limit, || {
            format!("the patch changes {files} files, at most {limit} are allowed")
        });
    }
    findings
}

/// The file that is another one once `patch` was applied.
fn applies(patch: &FilePatch<'_, str>, subject: &Subject<'_>) -> Result<String, String> {
    let named = sides(patch.operation())?;
    // A folder may be called `a`, too: what is there under the name as written is meant by it.
    let (old, new) = match named.0 {
        Some(old) if subject.workspace.read(old)?.is_some() => named,
        _ => (without(named.0, "a/")?, without(named.1, "b/")?),
    };
    let text = old.map_or(Ok(String::new()), |old| read(subject, old))?;
    if let Some(new) = new
        && old != Some(new)
        && subject.workspace.read(new)?.is_some()
    {
        return Err(format!("{new:?} is created by the patch but exists already"));
    }
    let path = old.or(new).unwrap_or("the file");
    let Some(text_patch) = patch.patch().as_text() else {
        return Err(format!("{path:?} is changed by a binary patch; wanted text"));
    };
    if patch.operation().is_modify()
        && text_patch.hunks().is_empty()
        && patch.new_mode() == patch.old_mode()
    {
        return Err(format!("the patch names {path:?} but changes nothing in it"));
    }
    diffy::apply(&text, text_patch)
        .map(|_| new.unwrap_or(path).to_owned())
        .map_err(|error| format!("the patch does not apply to {path:?}: {error}"))
}

/// The file before and the file after, both in the workspace; one is absent when the file is created
/// or deleted.
fn sides<'a>(
    operation: &'a FileOperation<'_, str>,
) -> Result<(Option<&'a str>, Option<&'a str>), String> {
    let (old, new) = match operation {
        FileOperation::Create(new) => (None, Some(new.as_ref())),
        FileOperation::Delete(old) => (Some(old.as_ref()), None),
        FileOperation::Modify { original, modified } => {
            (Some(original.as_ref()), Some(modified.as_ref()))
        }
        FileOperation::Rename { from, to } | FileOperation::Copy { from, to } => {
            (Some(from.as_ref()), Some(to.as_ref()))
        }
    };
    Ok((old.map(inside).transpose()?, new.map(inside).transpose()?))
}

/// `path` without the `prefix` that diffs may put before it; what is left stays in the workspace, too.
fn without<'a>(path: Option<&'a str>, prefix: &str) -> Result<Option<&'a str>, String> {
    path.map(|path| inside(path.strip_prefix(prefix).unwrap_or(path))).transpose()
}

fn read(subject: &Subject<'_>, path: &str) -> Result<String, String> {
    match subject.workspace.read(path)? {
        Some(bytes) => String::from_utf8(bytes).map_err(|_| format!("{path:?} is not text")),
        None => Err(format!("{path:?} is changed by the patch but does not exist")),
    }
}

/// A path that stays in the workspace.
fn inside(path: &str) -> Result<&str, String> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(format!("{path:?} leads out of the workspace"));
    }
    Ok(path)
}
