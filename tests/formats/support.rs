//! Shared by the tests of formats: published data, and a store to which rows are applied.

use std::{io::Read, path::Path};

use annals::{
    formats::import::{
        ImportRowError, ImportRows,
        batch::{ImportBatchLimits, ImportBatches, SentRecords},
    },
    proto::{ChangeKind, ListRecordsRequest},
    store::Store,
};

/// A file of `tests/data`, decompressed.
pub(crate) fn data(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut content).expect("a whole file");
    content
}

/// A file of the repository as text.
pub(crate) fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The result of an import.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Imported {
    pub(crate) rows: usize,
    pub(crate) created: usize,
    pub(crate) updated: usize,
    pub(crate) bad: Vec<ImportRowError>,
}

/// Applies rows in batches, as `annals import` does.
pub(crate) fn import(store: &Store, rows: ImportRows) -> Imported {
    use std::sync::atomic::{AtomicU64, Ordering};
    static RUNS: AtomicU64 = AtomicU64::new(0);
    // Another origin, so that nothing is answered from the receipts of a previous run.
    let origin = format!("run {}", RUNS.fetch_add(1, Ordering::Relaxed));
    let mut imported = Imported::default();
    let mut known = SentRecords::after(1);
    for batch in ImportBatches::new(rows, ImportBatchLimits::default(), origin, &mut known) {
        match batch {
            Err(bad) => imported.bad.push(bad),
            Ok(batch) => {
                imported.rows += batch.rows.len();
                let answer = store.commit(batch.commit).unwrap_or_else(|error| panic!("{error:?}"));
                let count = |kind| answer.results.iter().filter(|result| result.kind() == kind).count();
                imported.created += count(ChangeKind::Created);
                imported.updated += count(ChangeKind::Updated);
            }
        }
    }
    imported
}

/// Every record of a type that matches a filter.
pub(crate) fn list<T: annals::model::TypedRecord>(store: &Store, filter: &str) -> Vec<T> {
    let mut request = ListRecordsRequest { filter: filter.into(), page_size: 1000, ..Default::default() };
    let mut records = Vec::new();
    loop {
        let page = store.list::<T>(&request).expect("a page");
        records.extend(page.records);
        if page.next_page_token.is_empty() {
            return records;
        }
        request.page_token = page.next_page_token;
    }
}
