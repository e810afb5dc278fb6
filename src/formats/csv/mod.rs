//! Comma-separated values: a file for each type of record, a row for each record.
//!
//! The columns are read from the contract. A field is a column. A message that is not repeated is a column for each of its
//! fields (`time.edtf`). A repeated field is one column of JSON. A field that is added to the contract becomes a column without
//! a change here.
//!
//! The text follows RFC 4180, except that a row ends with a line feed alone. It is UTF-8, with a header, and with quotes around
//! a cell that contains a comma, a quote or a line break.
//!
//! Must not know other formats.

use std::{borrow::Cow, sync::LazyLock};

use csv::WriterBuilder;
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use prost_types::source_code_info::Location;
use serde_json::Value;

use super::{
    export::ExportText,
    format::{Format, FormatExporter},
    json,
};
use crate::{
    model::{RecordKind, kind_of},
    proto::record::Record,
};

/// CSV, export only. Each collection is a file with a column for each field.
pub static FORMAT: Format = Format {
    name: "csv",
    summary: "comma-separated values, a file for each collection",
    page: "csv/page.md",
    importer: None,
    exporter: Some(FormatExporter::CollectionText { extension: "csv", open: |kind| Box::new(CsvText::of(kind)) }),
};

/// Writes the file of a type of record.
#[derive(Clone, Copy, Debug)]
pub struct CsvText {
    kind: RecordKind,
}

impl CsvText {
    /// The file of this type.
    pub fn of(kind: RecordKind) -> Self {
        Self { kind }
    }
}

impl ExportText for CsvText {
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
    write().expect("memory accepts every write, and the rows of one writer have one length");
}

/// A column of a collection's file, made from one field of its records.
#[derive(Clone, Debug)]
pub struct CsvColumn {
    /// Its name: the path of the field, as in a filter: `time.edtf`.
    pub name: String,
    /// What its cells contain.
    pub cell: CsvCell,
    /// What it means, in the words of the contract. Empty if the contract has no comment on it.
    pub meaning: String,
    /// The path of fields from the record.
    path: Vec<FieldDescriptor>,
}

/// What the cells of a column contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsvCell {
    /// A text. Empty if not set.
    Text,
    /// The name of a value of an enum. Empty if unspecified.
    Enum,
    /// A number. Empty if not set, which is not 0.
    Number,
    /// `true` or `false`. Empty if the message around it is not set.
    Bool,
    /// A time in RFC 3339 and UTC. Empty if not set.
    Time,
    /// A JSON array, `[]` if it has no elements. Empty if the message around it is not set.
    List,
    /// A JSON object, `{}` if it has no entries.
    Map,
}

impl CsvCell {
    /// Every kind of cell, in the order of the documentation.
    pub const ALL: [Self; 7] = [Self::Text, Self::Enum, Self::Number, Self::Bool, Self::Time, Self::List, Self::Map];

    /// Its name in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Enum => "enum",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::List => "JSON array",
            Self::Map => "JSON object",
        }
    }
}

impl CsvColumn {
    /// The cell of this column for a record in proto3 JSON.
    pub fn of<'a>(&self, record: &'a Value) -> Cow<'a, str> {
        let mut value = Some(record);
        let mut around = Some(record);
        for field in &self.path {
            around = value;
            value = value.and_then(|value| value.get(field.name()));
        }
        match value {
            Some(Value::String(text)) => Cow::Borrowed(text),
            // 3000, not 3000.0.
            Some(Value::Number(number)) => {
                Cow::Owned(number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()))
            }
            Some(value) => Cow::Owned(value.to_string()),
            None if around.is_none() => Cow::Borrowed(""),
            None => Cow::Borrowed(match self.cell {
                CsvCell::Bool => "false",
                CsvCell::List => "[]",
                CsvCell::Map => "{}",
                CsvCell::Text | CsvCell::Enum | CsvCell::Number | CsvCell::Time => "",
            }),
        }
    }
}

/// The columns of a type of record, in the order of the contract.
pub fn columns(kind: RecordKind) -> &'static [CsvColumn] {
    static COLUMNS: LazyLock<Vec<Vec<CsvColumn>>> = LazyLock::new(|| {
        let of = |kind: RecordKind| {
            let mut columns = Vec::new();
            flatten(&kind.schema().message, &mut Vec::new(), &mut columns);
            columns
        };
        RecordKind::ALL.into_iter().map(of).collect()
    });
    RecordKind::ALL.iter().position(|each| *each == kind).and_then(|at| COLUMNS.get(at)).map_or(&[], Vec::as_slice)
}

/// Appends the columns of a message. The recursion ends because no message of the contract contains itself.
fn flatten(message: &MessageDescriptor, above: &mut Vec<FieldDescriptor>, columns: &mut Vec<CsvColumn>) {
    for field in message.fields() {
        above.push(field.clone());
        match cell_of(&field) {
            Some(cell) => columns.push(CsvColumn {
                name: above.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join("."),
                cell,
                meaning: meaning(&field, above.len() == 1),
                path: above.clone(),
            }),
            None => {
                if let prost_reflect::Kind::Message(inner) = field.kind() {
                    flatten(&inner, above, columns);
                }
            }
        }
        above.pop();
    }
}

/// What the cell of a field contains. `None` for a message whose fields become columns of their own.
fn cell_of(field: &FieldDescriptor) -> Option<CsvCell> {
    Some(match field.kind() {
        _ if field.is_map() => CsvCell::Map,
        _ if field.is_list() => CsvCell::List,
        prost_reflect::Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => CsvCell::Time,
        prost_reflect::Kind::Message(_) => return None,
        prost_reflect::Kind::Enum(_) => CsvCell::Enum,
        prost_reflect::Kind::Bool => CsvCell::Bool,
        prost_reflect::Kind::String | prost_reflect::Kind::Bytes => CsvCell::Text,
        _ => CsvCell::Number,
    })
}

/// The meaning of the fields that every type has. The contract describes them once for all six types.
const SHARED: [(&str, &str); 11] = [
    ("name", "The record's name, for ever."),
    ("revision", "The commit that last changed it."),
    ("create_revision", "The commit that created it."),
    ("create_time", "When that commit was made."),
    ("update_time", "When `revision` was made."),
    ("delete_time", "Always empty: deleted records are not exported."),
    ("external_ids", "Ids of the same thing elsewhere, `scheme:value`."),
    ("labels", "Tags, `scheme:code`."),
    ("metrics", "A data set's own scores, by key."),
    ("annotations", "Small notes that belong to clients, by key."),
    ("merged_names", "Former names that now lead here."),
];

/// The contract's comment on a field, or on its type if the field has none.
fn meaning(field: &FieldDescriptor, top: bool) -> String {
    if top && let Some((_, meaning)) = SHARED.iter().find(|(name, _)| *name == field.name()) {
        return (*meaning).to_owned();
    }
    let file = field.parent_file();
    let own = comment(&file, field.path());
    match (own.as_str(), field.kind()) {
        ("", prost_reflect::Kind::Enum(kind)) => comment(&kind.parent_file(), kind.path()),
        ("", prost_reflect::Kind::Message(kind)) if !field.is_map() => comment(&kind.parent_file(), kind.path()),
        _ => own,
    }
}

/// The comment in front of a declaration, on one line.
fn comment(file: &prost_reflect::FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.map(Location::leading_comments).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::proto::{self, Estimate, Event, Place, Quantity, TimeSpec};

    /// The cells of a record's row, by the name in the header.
    fn cells(record: &Record) -> impl Fn(&str) -> String + use<> {
        let kind = kind_of(record);
        let mut file = Vec::new();
        CsvText::of(kind).head(1, &mut file);
        CsvText::of(kind).record(record, &mut file);
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
            let found = columns(kind).iter().find(|column: &&CsvColumn| column.name == name).expect("a column");
            (found.cell, found.meaning.clone())
        };
        assert_eq!(
            meaning(RecordKind::Event, "actuality"),
            (
                CsvCell::Enum,
                "Whether it happened, as the recorder reads it. The claims about the event hold who says so.".into()
            )
        );
        assert_eq!(meaning(RecordKind::Source, "kind"), (CsvCell::Enum, "What kind of document it is.".into()));
        assert_eq!(meaning(RecordKind::Source, "retrieve_time").0, CsvCell::Time);
    }

    #[test]
    fn every_kind_of_cell_is_in_some_table() {
        for cell in CsvCell::ALL {
            let has = |kind: RecordKind| columns(kind).iter().any(|column| column.cell == cell);
            assert!(RecordKind::ALL.into_iter().any(has), "{}", cell.name());
        }
    }

    #[test]
    fn a_record_of_another_kind_has_no_row() {
        let mut file = Vec::new();
        CsvText::of(RecordKind::Actor).record(&Record::Event(Event::default()), &mut file);
        assert!(file.is_empty());
    }
}
