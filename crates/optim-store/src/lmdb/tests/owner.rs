use crate::store::StoreError;

use super::child::{self, Second};
use super::{Lmdb, directory, open, options};

fn holder(path: &std::path::Path) -> String {
    match Lmdb::open(path, &options()) {
        Err(StoreError::Owned { holder, .. }) => holder,
        answer => panic!("the store was not refused: {answer:?}"),
    }
}

#[test]
fn threat_43_a_second_process_is_refused_with_the_id_of_the_first() {
    if let Some(path) = child::directory() {
        let _store = open(&path);
        child::tell("open");
        // Until the first process goes away, or kills this one.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let directory = directory();
    let mut second = Second::start(
        "lmdb::tests::owner::threat_43_a_second_process_is_refused_with_the_id_of_the_first",
        directory.path(),
        "",
    );
    assert_eq!(second.hear().as_deref(), Some("open"));
    assert_eq!(holder(directory.path()), second.id().to_string());
    second.kill();
    drop(open(directory.path()));
}

#[test]
fn a_store_is_opened_once_in_a_process_through_a_link_too() {
    let directory = directory();
    let store = open(directory.path());
    let link = directory.path().with_extension("link");
    std::os::unix::fs::symlink(directory.path(), &link).unwrap();
    for path in [directory.path(), &link] {
        assert_eq!(holder(path), std::process::id().to_string());
    }
    drop(store);
    drop(open(&link));
    std::fs::remove_file(link).unwrap();
}
