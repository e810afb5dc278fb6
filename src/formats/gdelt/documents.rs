//! The documents that GDELT has read, as sources. The same document is one source, whichever table names it.
//!
//! Knows addresses and GDELT's times. Must not know events or mentions.

use jiff::civil::DateTime;
use prost_types::Timestamp;

use crate::{
    formats::{identity, table::Line},
    proto::Source,
};

/// The source of a document.
pub(super) fn source(identifier: &str, read_at: Option<DateTime>) -> Source {
    let id = identity::digest(&[identifier]);
    Source {
        name: format!("sources/gdelt-doc-{id}"),
        external_ids: vec![format!("gdelt.doc:{id}")],
        uri: identifier.to_owned(),
        retrieve_time: read_at.and_then(timestamp),
        ..Default::default()
    }
}

/// A cell that is a time such as 20150218230000.
pub(super) fn time(line: &Line<'_>, column: &str) -> Option<DateTime> {
    let text = line.needed(column);
    let time = (text.len() == 14).then(|| DateTime::strptime("%Y%m%d%H%M%S", text).ok()).flatten();
    if time.is_none() {
        line.fault(column, format!("\"{text}\" is not a time such as 20150218230000"));
    }
    time
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(Timestamp { seconds, nanos: 0 })
}
