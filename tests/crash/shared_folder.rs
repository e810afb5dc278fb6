//! Two processes and one data folder.

use annals::store::Store;

use crate::{
    process::Life,
    script::{Purpose, Said, Script},
};

#[test]
fn a_second_process_is_refused_and_told_which_process_has_the_folder() {
    let files = tempfile::tempdir().expect("a folder");
    let script = Script::new(files.path().join("data"), 1, Purpose::CommitAndWait(3), 1);
    let first = Life::start(&script, files.path());
    first.wait_for(|said| matches!(said, Said::Acknowledged { step: 2, .. }));
    let refused = Store::open(&script.folder).map(drop).expect_err("the folder is in use");
    let holder = format!("is in use by process {}", first.id());
    assert!(refused.message.contains(&holder), "{holder:?} in {refused}");
    assert!(refused.message.contains(&script.folder.display().to_string()), "{refused}");

    let (_, by_itself) = first.kill();
    assert_eq!(by_itself, None, "the first was not disturbed");
    let store = Store::open(&script.folder).expect("who was killed holds no folder");
    assert!(store.info().expect("a store that serves").head_revision > 0);
}
