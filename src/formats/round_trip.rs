//! Checks that every cell of a table is unchanged in an export, or its row is refused on import.

use std::{collections::HashMap, fs, io::Cursor, path::Path};

use super::{
    FORMATS, ImportInput,
    documentation::example,
    export::TableExport,
    import::{ImportRow, ImportRowError, mutation},
    table::{TableDialect, TableWriter},
};
use crate::{model::RecordName, proto::record::Record};

/// Unusual cells.
const ODD: [&str; 16] = [
    "",
    " ",
    " a ",
    "a",
    "0",
    "-1",
    "007",
    "1.50",
    "1e3",
    "12345678901234567890",
    "a;b; c;;",
    "one, \"two\"",
    "e\u{301}",
    "폭풍군단",
    "2024-10-23 00:00:00.000",
    "23 October 2024",
];

/// Every table that can be imported and exported.
fn tables() -> impl Iterator<Item = &'static TableExport> {
    FORMATS.iter().filter_map(|format| format.exporter.as_ref()?.table())
}

fn table(name: &str) -> &'static TableExport {
    tables().find(|table| table.layout.name == name).expect("a table of this name")
}

/// The row of a table that its page shows.
fn sample(table: &TableExport) -> Vec<String> {
    let (path, number) = example(super::named(table.layout.name).expect("a format"));
    let content = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the repository");
    match table.layout.dialect {
        TableDialect::Tsv => content.lines().nth(number - 1).expect("a row").split('\t').map(str::to_owned).collect(),
        TableDialect::Csv => {
            let mut reader = csv::Reader::from_reader(content.as_bytes());
            reader
                .records()
                .nth(number - 1)
                .expect("a row")
                .expect("of the header's length")
                .iter()
                .map(str::to_owned)
                .collect()
        }
    }
}

fn read(table: &TableExport, content: String) -> Vec<Result<ImportRow, ImportRowError>> {
    let format = super::named(table.layout.name).and_then(|format| format.importer).expect("what is exported can be imported");
    let input = ImportInput { content: Box::new(Cursor::new(content)), mapping: None };
    (format.open)(input).expect("a header with every column").collect()
}

/// The exported row of the records that an imported row made.
fn written(table: &TableExport, row: &ImportRow) -> Vec<String> {
    let records: HashMap<String, Record> =
        row.own.iter().filter_map(|item| Some((mutation::name(item).to_owned(), mutation::record(item)?.clone()))).collect();
    let first = row.own.first().and_then(mutation::record).expect("a record");
    assert!((table.related)(first).is_some(), "it is a row");
    (table.row)(first, &records)
}

fn same(one: &str, other: &str, is_number: bool) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok().map(f64::to_bits);
    one == other || (is_number && number(one).is_some() && number(one) == number(other))
}

#[test]
fn an_odd_cell_comes_back_or_its_row_is_refused() {
    for table in tables() {
        let writer = TableWriter(table.layout);
        let (plain, header) = (sample(table), writer.header().map(|header| header + "\n").unwrap_or_default());
        let (mut good, mut all) = (0, 0);
        for (position, column) in table.layout.columns.iter().enumerate() {
            for odd in ODD {
                let mut cells = plain.clone();
                odd.clone_into(&mut cells[position]);
                let rows = read(table, format!("{header}{}\n", writer.line(cells.clone())));
                let [row] = rows.as_slice() else { panic!("{} rows of one", rows.len()) };
                all += 1;
                let Ok(row) = row else { continue };
                good += 1;
                for item in row.shared.iter().chain(&row.own) {
                    assert!(mutation::name(item).parse::<RecordName>().is_ok(), "{}: {}", column.name, mutation::name(item));
                }
                for ((column, before), after) in table.layout.columns.iter().zip(&cells).zip(written(table, row)) {
                    let name = table.layout.name;
                    assert!(same(before, &after, column.is_number), "{name}, {}: {before:?} {after:?}", column.name);
                }
            }
            assert!(good > 0, "{} {}", table.layout.name, column.name);
        }
        assert!(good * 2 > all, "{}: {good} of {all}", table.layout.name);
    }
}

#[test]
fn columns_stand_in_any_order_and_those_that_nobody_knows_are_annotations() {
    let table = table("acled");
    let names: Vec<_> = table.layout.columns.iter().map(|column| column.name).collect();
    let cells = sample(table);
    let turn = |texts: &mut Vec<&str>, other| {
        texts.reverse();
        texts.push(other);
    };
    let (mut header, mut row) = (names, cells.iter().map(String::as_str).collect::<Vec<_>>());
    turn(&mut header, "Population (best)");
    turn(&mut row, "1200");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).and_then(|()| writer.write_record(row)).expect("memory");
    let content = String::from_utf8(writer.into_inner().expect("memory")).expect("text");
    // Spreadsheets begin a file with a byte order mark.
    let rows = read(table, format!("\u{feff}{content}"));
    let row = rows[0].as_ref().expect("a good row");
    assert_eq!(written(table, row)[..5], cells[..5]);
    let Some(Record::Event(event)) = row.own.first().and_then(mutation::record) else { panic!("{row:?}") };
    assert_eq!(event.annotations["acled.other.population__best_"], "1200");
}

#[test]
fn all_that_is_wrong_with_a_row_is_said_and_the_next_is_read() {
    let table = table("gdelt-events");
    let writer = TableWriter(table.layout);
    let good = sample(table);
    let mut bad = good.clone();
    for (position, cell) in [(0, "x"), (1, "20140230"), (59, "2014"), (30, "inf")] {
        cell.clone_into(&mut bad[position]);
    }
    let short = good[..60].join("\t");
    let rows = read(table, format!("{}\n{short}\n{}\n", writer.line(bad), writer.line(good)));
    let said: Vec<_> =
        rows.iter().map(|row| row.as_ref().map_or_else(ToString::to_string, |row| row.number.to_string())).collect();
    assert!(said[0].starts_with("row 1: GLOBALEVENTID: \"x\" is not a number; "), "{}", said[0]);
    for column in ["SQLDATE", "DATEADDED", "GoldsteinScale"] {
        assert!(said[0].contains(column), "{}", said[0]);
    }
    assert_eq!(said[1..], ["row 2: has 60 columns, but must have 61", "3"]);
}
