//! `annals export --format`: which files it makes, when, and what it reports if it cannot make them. The Python tests read the
//! contents with other tools.

use std::{collections::BTreeSet, fs, io::Read, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    binary::{fails, ok, write},
    serving::Serving,
};

const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seed/commit.json");
const COLLECTIONS: [&str; 6] = ["sources", "actors", "events", "claims", "estimates", "relations"];

/// A server with the seed as revision 1 and another event as revision 2.
fn seeded(folder: &TempDir) -> Serving {
    let serving = Serving::start(&["--in-memory"]);
    ok(&["commit", SEED, "--server", serving.address()]);
    let more = write(folder, "more.json", r#"{"request_id":"more","mutations":[{"create":{"event":{"title":"more"}}}]}"#);
    ok(&["commit", &more, "--server", serving.address()]);
    serving
}

fn files(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The names in the first column of a table.
fn names(csv: &[u8]) -> Vec<String> {
    csv::Reader::from_reader(csv).records().map(|row| row.expect("as long as the header")[0].to_owned()).collect()
}

/// The names in a list.
fn listed(serving: &Serving, collection: &str, more: &[&str]) -> Vec<String> {
    let list = ok(&[&["list", collection, "--limit", "0", "--json", "--server", serving.address()], more].concat());
    let name = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["name"].as_str().expect("a name").to_owned();
    list.lines().map(name).collect()
}

#[test]
fn a_folder_has_a_table_for_each_collection_and_all_are_of_one_revision() {
    let folder = TempDir::new().expect("a folder");
    let serving = seeded(&folder);
    let tables = folder.path().join("new/tables");
    let to = tables.to_str().expect("text");
    ok(&["export", "--format", "csv", "--as-of", "1", "-o", to, "--server", serving.address()]);
    assert_eq!(files(&tables), COLLECTIONS.map(|collection| format!("{collection}.csv")).into());
    for collection in COLLECTIONS {
        let table = fs::read(tables.join(collection).with_extension("csv")).expect("a file");
        assert_eq!(names(&table), listed(&serving, collection, &["--as-of", "1"]), "{collection}");
    }
    // Again, over the existing files.
    ok(&["export", "events", "claims", "--format", "csv", "-o", to, "--server", serving.address()]);
    assert_eq!(names(&fs::read(tables.join("events.csv")).expect("a file")).len(), 21);
    assert_eq!(files(&tables).len(), 6, "nothing is left behind");
}

#[test]
fn one_collection_goes_to_standard_output_or_to_a_packed_file_and_a_filter_chooses() {
    let folder = TempDir::new().expect("a folder");
    let serving = seeded(&folder);
    let access = ["--server", serving.address()];
    let table = ok(&[&["export", "claims", "--format", "csv"], &access[..]].concat());
    assert_eq!(names(table.as_bytes()), listed(&serving, "claims", &[]));
    let file = folder.path().join("claims.csv.zst");
    ok(&[&["export", "claims", "--format", "csv", "-o", file.to_str().expect("text")], &access[..]].concat());
    assert_eq!(zstd::decode_all(fs::File::open(&file).expect("a file")).expect("zstd"), table.as_bytes());
    let some = ok(&[&["export", "events", "--format", "csv", "--filter", "title = \"more\""], &access[..]].concat());
    assert_eq!(names(some.as_bytes()).len(), 1);
    let slash = format!("{}/", folder.path().join("one").display());
    ok(&[&["export", "claims", "--format", "csv", "-o", &slash], &access[..]].concat());
    assert_eq!(fs::read(Path::new(&slash).join("claims.csv")).expect("a file"), table.as_bytes());
}

#[test]
fn an_export_into_a_folder_resumes_at_its_revision_and_another_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let serving = seeded(&folder);
    let to = folder.path().join("tables");
    let export = ["export", "--format", "csv", "-o", to.to_str().expect("text"), "--server", serving.address()];
    // A run that fails after the second file: the path of the third cannot be written.
    fs::create_dir_all(to.join("events.csv.part")).expect("a folder");
    assert!(fails(&export).1.contains("events.csv.part"));
    assert!(to.join("actors.csv").exists() && to.join("export.part.state").exists());
    fs::remove_dir(to.join("events.csv.part")).expect("removed");

    let (_, said) = fails(&[
        "export",
        "claims",
        "events",
        "--format",
        "csv",
        "-o",
        to.to_str().expect("text"),
        "--server",
        serving.address(),
    ]);
    assert!(said.contains("was not finished") && said.contains("export.part.state"), "{said}");
    // Later writes have a later revision.
    let more = write(&folder, "later.json", r#"{"request_id":"later","mutations":[{"create":{"event":{"title":"later"}}}]}"#);
    ok(&["commit", &more, "--server", serving.address()]);
    fs::write(to.join("actors.csv"), "kept").expect("written");
    ok(&export);
    assert_eq!(fs::read(to.join("actors.csv")).expect("a file"), b"kept", "it was whole");
    assert_eq!(names(&fs::read(to.join("events.csv")).expect("a file")).len(), 21, "at revision 2");
    assert_eq!(files(&to), COLLECTIONS.map(|collection| format!("{collection}.csv")).into());
}

#[test]
fn a_parquet_file_is_there_only_when_it_is_whole_and_takes_no_rest_of_another_run() {
    let folder = TempDir::new().expect("a folder");
    let serving = seeded(&folder);
    let file = folder.path().join("events.parquet");
    fs::write(folder.path().join("events.parquet.part"), "a rest that is longer than the file will be".repeat(2000))
        .expect("written");
    ok(&["export", "events", "--format", "parquet", "-o", file.to_str().expect("text"), "--server", serving.address()]);
    let content = fs::read(&file).expect("a file");
    assert!(content.starts_with(b"PAR1") && content.ends_with(b"PAR1") && content.len() < 80_000);
    let to = folder.path().join("tables");
    ok(&["export", "--format", "parquet", "-o", to.to_str().expect("text"), "--server", serving.address()]);
    assert_eq!(files(&to), COLLECTIONS.map(|collection| format!("{collection}.parquet")).into());
    assert_eq!(fs::read(to.join("events.parquet")).expect("a file"), content, "equal records make equal files");
}

#[test]
fn a_bundle_is_one_object_on_standard_output_and_in_a_packed_file() {
    let folder = TempDir::new().expect("a folder");
    let serving = seeded(&folder);
    let bundle = ok(&["export", "--format", "stix", "--as-of", "1", "--server", serving.address()]);
    let whole: Value = serde_json::from_str(&bundle).expect("JSON");
    let records =
        whole["objects"].as_array().expect("objects").iter().filter(|object| object["extensions"].is_object()).count();
    assert_eq!(records, 96);
    let file = folder.path().join("bundle.json.gz");
    ok(&["export", "--format", "stix", "--as-of", "1", "-o", file.to_str().expect("text"), "--server", serving.address()]);
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&file).expect("a file")).read_to_string(&mut text).expect("text");
    assert_eq!(text, bundle);
    let none = ok(&["export", "events", "--filter", "title = \"none\"", "--format", "stix", "--server", serving.address()]);
    let none: Value = serde_json::from_str(&none).expect("JSON");
    assert_eq!(none["objects"].as_array().map(Vec::len), Some(2), "who made it, and the extension");
}

#[test]
fn an_empty_store_makes_empty_tables() {
    let folder = TempDir::new().expect("a folder");
    let serving = Serving::start(&["--in-memory"]);
    let to = folder.path().join("tables");
    ok(&["export", "--format", "csv", "-o", to.to_str().expect("text"), "--server", serving.address()]);
    for collection in COLLECTIONS {
        let table = fs::read_to_string(to.join(collection).with_extension("csv")).expect("a file");
        assert!(table.starts_with("name,revision,") && table.lines().count() == 1, "{table}");
    }
}

#[test]
fn options_that_do_not_fit_a_format_are_refused_with_what_to_do() {
    for (arguments, says) in [
        (&["export", "--format", "csv"][..], "-o FOLDER"),
        (&["export", "events", "claims", "--format", "csv"], "-o FOLDER"),
        (&["export", "--format", "csv", "--filter", "title = \"x\"", "-o", "/nowhere"], "exactly one collection"),
        (&["export", "--format", "xml"], "records, csv"),
        (&["export", "events", "--format", "parquet"], "-o FILE"),
        (&["export", "events", "--format", "parquet", "-o", "/nowhere/events.parquet.zst"], "without .gz"),
    ] {
        let (_, said) = fails(arguments);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}
