//! Values of arguments that several commands use: collections, formats, and revisions or times.
//!
//! Must not know commands.

use std::{fmt, ops::Deref, str::FromStr};

use anyhow::bail;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    formats::{self, FORMATS, Format},
    model::RecordKind,
};

/// The kind of a collection: "events", or "event".
pub(super) fn collection(text: &str) -> Result<RecordKind, String> {
    RecordKind::from_collection(text)
        .or_else(|| RecordKind::ALL.into_iter().find(|kind| kind.singular() == text))
        .ok_or_else(|| format!("the collections are {}", RecordKind::collections()))
}

/// The help of an argument that takes collections.
pub(super) fn collections_help() -> String {
    format!("The collections: {}. Default: all", RecordKind::collections())
}

/// The types of a request. An empty list of kinds means all types.
pub(super) fn types(kinds: &[RecordKind]) -> Vec<i32> {
    kinds.iter().map(|kind| *kind as i32).collect()
}

/// Errs unless a filter has exactly one collection, whose fields it names. `command` is the subcommand, such as "export".
pub(super) fn check_filter(command: &str, kinds: &[RecordKind], filter: &str) -> anyhow::Result<()> {
    let first = kinds.first();
    if filter.is_empty() || first.is_some() && kinds.iter().all(|kind| Some(kind) == first) {
        return Ok(());
    }
    let collection = first.unwrap_or(&RecordKind::Claim).collection();
    bail!("--filter needs exactly one collection: annals {command} {collection} --filter ...")
}

/// A format of the list, and its importer or its exporter.
#[derive(Clone, Copy)]
pub(super) struct FormatArgument<T: 'static> {
    /// The name on the command line.
    pub(super) name: &'static str,
    part: &'static T,
}

impl<T: Clone + Send + Sync> FormatArgument<T> {
    /// Parses the name of a format. `part` selects the importer or the exporter; a format without it is not accepted.
    pub(super) fn parser(part: fn(&'static Format) -> Option<&'static T>) -> impl TypedValueParser<Value = Self> {
        let with_part = FORMATS.iter().filter(|format| part(format).is_some());
        let values = with_part.map(|format| PossibleValue::new(format.name).help(format.summary));
        PossibleValuesParser::new(values).try_map(move |name| {
            let format = formats::named(&name).and_then(|format| Some(Self { name: format.name, part: part(format)? }));
            format.ok_or_else(|| format!("there is no format {name}"))
        })
    }
}

impl<T> Deref for FormatArgument<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.part
    }
}

impl<T> fmt::Debug for FormatArgument<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name)
    }
}

/// The value of `--as-of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AsOf {
    Revision(i64),
    /// The last commit at or before this time.
    Time(prost_types::Timestamp),
}

impl FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(revision) = text.parse() {
            return Ok(Self::Revision(revision));
        }
        let time = text.parse::<Timestamp>().ok().or_else(|| {
            let date: Date = text.parse().ok()?;
            date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        });
        match time {
            Some(time) => Ok(Self::Time(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })),
            None => Err(format!(
                "\"{text}\" is neither a revision nor a time: write 12, 2024-10-23 (midnight UTC) or 2024-10-23T08:00:00Z"
            )),
        }
    }
}

impl AsOf {
    /// The two fields of a request: a revision or 0, and a time.
    pub(super) fn fields(as_of: Option<Self>) -> (i64, Option<prost_types::Timestamp>) {
        match as_of {
            None => (0, None),
            Some(Self::Revision(revision)) => (revision, None),
            Some(Self::Time(time)) => (0, Some(time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_revision_and_a_date_is_its_midnight() {
        assert_eq!("12".parse(), Ok(AsOf::Revision(12)));
        let midnight = prost_types::Timestamp { seconds: 1_729_641_600, nanos: 0 };
        assert_eq!("2024-10-23".parse(), Ok(AsOf::Time(midnight)));
        assert_eq!("2024-10-23T00:00:00Z".parse(), Ok(AsOf::Time(midnight)));
        assert_eq!("2024-10-23T02:00:00+02:00".parse(), Ok(AsOf::Time(midnight)));
        assert!("yesterday".parse::<AsOf>().is_err_and(|error| error.contains("2024-10-23T08:00:00Z")));
    }
}
