//! What the rows of a table of others need besides the records that an export brings.
//!
//! Knows names and calls. Must not know what a row looks like.

use std::collections::HashMap;

use crate::{
    client::Client,
    formats::export::{Beside, Rows},
    model::RecordName,
    proto::{BatchGetRecordsRequest, ExportResponse, record::Record},
};

/// Names that are asked for at once.
const NAMES_MAX: usize = 1000;

/// Leaves the rows of a table in a message, and sets beside them what they need, as of the export's revision.
pub(super) async fn complete(
    client: &Client,
    table: &Rows,
    message: &mut ExportResponse,
    beside: &Beside,
) -> anyhow::Result<()> {
    let mut names = Vec::new();
    message.records.retain(|record| {
        let needs = record.record.as_ref().and_then(|record| (table.needs)(record));
        names.extend(needs.iter().flatten().cloned());
        needs.is_some()
    });
    // A name that is none was made of an id that nobody could import.
    names.retain(|name| name.parse::<RecordName>().is_ok());
    names.sort_unstable();
    names.dedup();
    let mut found = HashMap::new();
    for names in names.chunks(NAMES_MAX) {
        let request = BatchGetRecordsRequest {
            names: names.to_vec(),
            as_of_revision: message.revision,
            allow_missing: true,
            ..Default::default()
        };
        for record in client.batch_get(request).await?.records.into_iter().filter_map(|record| record.record) {
            for name in names_of(&record) {
                found.insert(name, record.clone());
            }
        }
    }
    beside.set(found);
    Ok(())
}

/// The names that a record can have been asked for by: its own, and those that were merged into it.
fn names_of(record: &Record) -> Vec<String> {
    let (name, merged) = match record {
        Record::Source(record) => (&record.name, &record.merged_names),
        Record::Actor(record) => (&record.name, &record.merged_names),
        Record::Event(record) => (&record.name, &record.merged_names),
        Record::Claim(record) => (&record.name, &record.merged_names),
        Record::Estimate(record) => (&record.name, &record.merged_names),
        Record::Relation(record) => (&record.name, &record.merged_names),
    };
    [name].into_iter().chain(merged).cloned().collect()
}
