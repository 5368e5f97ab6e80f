//! What every manifest has in common.

use toml::{Table, Value};

use super::Finding;
use super::repository::Repository;

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expect = |path: &str, holds: bool, what: &str, fix: &str| {
        if !holds {
            findings.push(Finding {
                path: path.to_owned(),
                line: 1,
                what: what.to_owned(),
                fix: fix.to_owned(),
            });
        }
    };
    let manifest = |path: &str| repository.text(path).parse::<Table>().unwrap_or_default();

    let root = manifest("Cargo.toml");
    let virtual_workspace = root.contains_key("workspace") && !root.contains_key("package");
    expect(
        "Cargo.toml",
        virtual_workspace,
        "the root is not a virtual workspace",
        "put the package into a folder of its own",
    );
    let resolver = at(&root, "workspace", "resolver").and_then(Value::as_str);
    expect(
        "Cargo.toml",
        resolver == Some("3"),
        "the workspace does not use resolver 3",
        "write resolver = \"3\" under [workspace]",
    );
    for (member, path) in repository.members() {
        let lints = at(&manifest(&path), "lints", "workspace").and_then(Value::as_bool);
        expect(
            &path,
            lints == Some(true),
            "the lints of the workspace are not inherited",
            "write workspace = true under [lints]",
        );
        expect(
            &path,
            member.edition == "2024",
            &format!("the edition is {}", member.edition),
            "write edition.workspace = true",
        );
    }
    findings
}

fn at<'t>(table: &'t Table, section: &str, key: &str) -> Option<&'t Value> {
    table.get(section)?.get(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nresolver = \"3\"\n";
    const MEMBER: &str = "[lints]\nworkspace = true\n";

    fn wrong(root: &str, member: &str, edition: &str) -> Vec<String> {
        let files = [("Cargo.toml", root), ("crates/one/Cargo.toml", member)];
        let mut repository = Repository::of(&files).with_member("one", &[]);
        repository.packages[0].edition = edition.to_owned();
        check(&repository).into_iter().map(|one| one.what).collect()
    }

    #[test]
    fn a_virtual_workspace_with_inherited_lints_passes() {
        assert!(wrong(ROOT, MEMBER, "2024").is_empty());
    }

    #[test]
    fn each_departure_is_found() {
        let no_resolver = "[workspace]\nmembers = []\n";
        assert_eq!(wrong(no_resolver, MEMBER, "2024"), ["the workspace does not use resolver 3"]);
        let package = format!("{ROOT}[package]\nname = \"optim\"\n");
        assert_eq!(wrong(&package, MEMBER, "2024"), ["the root is not a virtual workspace"]);
        let lints = "the lints of the workspace are not inherited";
        assert_eq!(wrong(ROOT, "", "2024"), [lints]);
        assert_eq!(wrong(ROOT, "[lints]\nworkspace = false\n", "2024"), [lints]);
        assert_eq!(wrong(ROOT, MEMBER, "2021"), ["the edition is 2021"]);
    }
}
