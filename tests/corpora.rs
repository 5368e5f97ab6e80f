//! Everything that was ever kept for fuzzing, as plain tests: what holds for any bytes holds for these.

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the same file is the library of the fuzz targets")]
mod targets;

use crate::support::root;

#[test]
fn every_corpus_is_replayed() {
    for (name, target) in targets::TARGETS {
        let folder = root().join("fuzz/corpus").join(name);
        let mut replayed = 0;
        for entry in std::fs::read_dir(&folder).expect("each target has a corpus") {
            let path = entry.expect("the entry is read").path();
            let bytes = std::fs::read(&path).expect("the file is read");
            let done = std::panic::catch_unwind(|| target(&bytes));
            assert!(done.is_ok(), "{} breaks {name}", path.display());
            replayed += 1;
        }
        assert!(replayed >= 4, "{name} has {replayed} inputs");
    }
}

#[test]
fn each_target_is_a_program_of_its_own() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("it is there");
    for (name, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(root().join(format!("fuzz/fuzz_targets/{name}.rs")).is_file(), "{name}");
    }
}
