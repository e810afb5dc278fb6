//! Comma-separated values: a file for a kind of record, a row for a record.
//!
//! As RFC 4180 has it, but with a line feed alone behind each row: in UTF-8, with a header, and with quotes around a cell that holds a
//! comma, a quote or a line break. What a cell is, `columns` says.

use csv::WriterBuilder;

use super::{Text, columns};
use crate::{
    formats::json,
    model::{RecordKind, kind_of},
    proto::record::Record,
};

/// The file of a kind of record.
#[derive(Clone, Copy, Debug)]
pub struct Csv {
    kind: RecordKind,
}

impl Csv {
    /// The file of this kind.
    pub fn of(kind: RecordKind) -> Self {
        Self { kind }
    }
}

impl Text for Csv {
    fn head(&self, _revision: i64, to: &mut Vec<u8>) {
        row(columns(self.kind).iter().map(|column| column.name.as_str()), to);
    }

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        if kind_of(record) == self.kind {
            let record = json::record_value(record);
            row(columns(self.kind).iter().map(|column| column.of(&record)), to);
        }
    }

    fn tail(&self, _to: &mut Vec<u8>) {}
}

fn row<T: AsRef<str>>(cells: impl Iterator<Item = T>, to: &mut Vec<u8>) {
    let mut writer = WriterBuilder::new().buffer_capacity(1 << 10).from_writer(to);
    let write = || {
        for cell in cells {
            writer.write_field(cell.as_ref())?;
        }
        writer.write_record(None::<&str>)?;
        Ok::<_, csv::Error>(writer.flush()?)
    };
    write().expect("memory takes what is written to it, and rows of one writer are of one length");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        formats::export::{Cell, Column},
        proto::{self, Estimate, Event, Place, Quantity, TimeSpec},
    };

    /// The row of a record, by its header.
    fn cells(record: &Record) -> impl Fn(&str) -> String + use<> {
        let kind = kind_of(record);
        let mut file = Vec::new();
        Csv::of(kind).head(1, &mut file);
        Csv::of(kind).record(record, &mut file);
        let mut reader = csv::Reader::from_reader(file.as_slice());
        let header = reader.headers().expect("a header").clone();
        let row = reader.records().next().expect("a row").expect("as long as the header");
        move |name| row[header.iter().position(|column| column == name).expect("a column")].to_owned()
    }

    #[test]
    fn what_is_nested_once_is_columns_and_what_is_repeated_is_json() {
        let place = Place {
            display_name: "Kursk, \"Oblast\"\nRussia".into(),
            latitude: Some(0.0),
            longitude: Some(1.5),
            ..Default::default()
        };
        let time = TimeSpec { edtf: "2024-10".into(), inferred: true, ..Default::default() };
        let event = Event {
            title: "a, \"b\"\r\nc".into(),
            types: vec!["x:1".into(), "x:2".into()],
            time: Some(time),
            places: vec![place.clone()],
            actuality: proto::Actuality::Planned.into(),
            metrics: [("k".to_owned(), -4.4)].into(),
            ..Default::default()
        };
        let cell = cells(&Record::Event(event));
        for (name, expected) in [
            ("title", "a, \"b\"\r\nc"),
            ("types", r#"["x:1","x:2"]"#),
            ("metrics", r#"{"k":-4.4}"#),
            ("annotations", "{}"),
            ("actuality", "ACTUALITY_PLANNED"),
            ("time.edtf", "2024-10"),
            ("time.inferred", "true"),
            ("time.qualifier", ""),
            ("participants", "[]"),
        ] {
            assert_eq!(cell(name), expected, "{name}");
        }
        assert_eq!(json::from_str::<Place>(&cell("places")[1..cell("places").len() - 1]).expect("JSON"), place);
    }

    #[test]
    fn absent_and_zero_and_false_are_told_apart() {
        let quantity = Quantity { unit: "1".into(), best: Some(0.0), upper: Some(3000.0), ..Default::default() };
        let cell = cells(&Record::Estimate(Estimate { quantity: Some(quantity), ..Default::default() }));
        for (name, expected) in [
            ("quantity.best", "0"),
            ("quantity.lower", ""),
            ("quantity.upper", "3000"),
            ("quantity.lower_exclusive", "false"),
            ("quantity.quantiles", "[]"),
            ("as_of.inferred", ""),
            ("estimand.subjects", ""),
        ] {
            assert_eq!(cell(name), expected, "{name}");
        }
    }

    #[test]
    fn a_kind_has_a_column_for_each_field_and_no_name_twice() {
        for kind in RecordKind::ALL {
            let names: BTreeSet<_> = columns(kind).iter().map(|column| column.name.as_str()).collect();
            assert_eq!(names.len(), columns(kind).len());
            for field in &kind.schema().fields {
                let has = |name: &&str| {
                    **name == field.name || name.strip_prefix(field.name.as_str()).is_some_and(|rest| rest.starts_with('.'))
                };
                assert!(names.iter().any(has), "{kind:?}.{}", field.name);
            }
        }
        let meaning = |kind, name: &str| {
            let found = columns(kind).iter().find(|column: &&Column| column.name == name).expect("a column");
            (found.cell, found.meaning.clone())
        };
        assert_eq!(
            meaning(RecordKind::Event, "actuality"),
            (Cell::Enum, "As the recorder reads it; who says so are the claims about the event.".into())
        );
        assert_eq!(meaning(RecordKind::Source, "kind"), (Cell::Enum, "What kind of document it is.".into()));
        assert_eq!(meaning(RecordKind::Source, "retrieve_time").0, Cell::Time);
    }

    #[test]
    fn a_record_of_another_kind_has_no_row() {
        let mut file = Vec::new();
        Csv::of(RecordKind::Actor).record(&Record::Event(Event::default()), &mut file);
        assert!(file.is_empty());
    }
}
