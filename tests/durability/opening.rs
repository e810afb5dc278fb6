//! What a program is told whose folder cannot be opened.

use std::{error::Error as _, fs, io, path::Path};

use annals::{
    proto::ErrorReason,
    store::{Store, StoreError, StoreErrorKind},
};

/// The error that says that this folder cannot be opened. `verify` gives the same.
fn refused(folder: &Path) -> StoreError {
    let error = Store::open(folder).expect_err("it cannot be opened");
    let verified = annals::verify(folder, &mut |_| ()).expect_err("it cannot be opened");
    for error in [&error, &verified] {
        let said = format!("cannot open the folder {}: ", folder.display());
        assert!(error.message.starts_with(&said), "{error}");
        assert_eq!((error.kind, error.reason), (StoreErrorKind::Unavailable, ErrorReason::Unspecified));
    }
    error
}

/// The system's error, directly below an error of the store.
fn system(error: &StoreError) -> &io::Error {
    error.source().and_then(|cause| cause.downcast_ref()).expect("the system's error")
}

#[test]
fn a_folder_that_cannot_be_created_is_named_with_the_systems_error() {
    let error = refused("/proc/annals".as_ref());
    assert_eq!(system(&error).kind(), io::ErrorKind::NotFound, "{error}");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    for folder in [file.clone(), file.join("data")] {
        let error = refused(&folder);
        assert_eq!(system(&error).kind(), io::ErrorKind::NotADirectory, "{error}");
        let cannot = format!("cannot create {}: not a directory", file.display());
        assert!(error.message.ends_with(&cannot), "{error}");
    }
}

#[test]
fn a_file_of_a_folder_that_cannot_be_read_is_named_with_the_systems_error() {
    for name in ["LOCK", "MARK", "MANIFEST"] {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(name)).unwrap();
        let error = refused(place.path());
        assert_eq!(system(&error).kind(), io::ErrorKind::IsADirectory, "{error}");
        assert!(error.message.contains(&format!("cannot open {}", place.path().join(name).display())), "{error}");
    }
}

#[test]
fn a_state_that_cannot_be_created_is_not_called_a_rebuild() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("state"), "").unwrap();
    let error = refused(place.path());
    assert!(error.source().is_some(), "{error:?}");
}
