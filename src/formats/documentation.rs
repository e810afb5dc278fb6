//! docs/data-exchange.md is made of the formats themselves: their tables of columns, and for each an example of what a row makes.
//!
//! When a list or a mapping changes on purpose: `ANNALS_UPDATE=1 cargo test --lib documentation`, and read the difference.

use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader, Cursor},
    path::Path,
};

use serde_json::Value;

use super::{
    acled, claimreview,
    export::{Beside, RowFile, TABLES, Text},
    gdelt,
    import::{
        Row,
        format::{Format, Input},
        mutation,
    },
    json,
    series::{self, Mapping},
    table::{Dialect, Layout},
    ucdp_ged,
};
use crate::proto::{Mutation, record::Record};

/// Each format with a file of it, and which of its rows is the example.
const EXAMPLES: [(&Layout, &str, usize); 4] = [
    (&ucdp_ged::LAYOUT, "ucdp/ged_23_1_sample.csv", 1),
    (&gdelt::events::LAYOUT, "gdelt/events.tsv", 1),
    (&gdelt::mentions::LAYOUT, "gdelt/mentions.tsv", 1),
    (&acled::LAYOUT, "acled/made_up.csv", 5),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Of one cell, in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn columns(layout: &'static Layout) -> String {
    let mut text = "| column | goes to |\n|--|--|\n".to_owned();
    for column in layout.columns {
        writeln!(text, "| `{}` | {} |", column.name, cell(&layout.destination(column))).expect("a string");
    }
    text
}

fn example(layout: &'static Layout, file: &str, number: usize) -> String {
    let content = fs::read_to_string(root().join("tests/data").join(file)).expect("a file of the repository");
    let header = usize::from(layout.dialect == Dialect::Csv);
    let line = content.lines().nth(number + header - 1).expect("a row on one line").to_owned();
    let input = Input { content: Box::new(Cursor::new(content)), mapping: None };
    let format = Format::named(layout.name).expect("a format that comes in");
    let mut rows = (format.open)(input).expect("a file of the format");
    let row = rows.nth(number - 1).expect("so many rows").expect("a good row");
    let between = if layout.dialect == Dialect::Csv { ',' } else { '\t' };
    let second = |line: &str| line.split(between).nth(1).map(str::to_owned);
    assert_eq!(second(&goes_out(layout, &row)), second(&line), "it goes out as it came in");

    let names = |mutations: &[Mutation]| -> String {
        let names: Vec<_> = mutations.iter().map(|item| format!("- `{}`", mutation::name(item))).collect();
        names.join("\n")
    };
    let record = mutation::record(&row.own[0]).expect("a record");
    format!(
        "Row {number} of [{name}](../tests/data/{file}):\n\n```text\n{line}\n```\n\nmakes, unless they are there,\n\n{shared}\n\nand of its own\n\n{own}\n\nthe first \
         of which is\n\n```json\n{json:#}\n```\n",
        name = file.rsplit('/').next().unwrap_or_default(),
        line = line.replace('\t', "⇥"),
        shared = names(&row.shared),
        own = names(&row.own),
        json = in_order(json::record_value(record)),
    )
}

/// Every part of the page that is made, by its name there.
fn parts() -> Vec<(String, String)> {
    let mut parts = Vec::new();
    for (layout, file, number) in EXAMPLES {
        parts.push((format!("{} columns", layout.name), columns(layout)));
        parts.push((format!("{} example", layout.name), example(layout, file, number)));
    }
    parts.push(("series keys".to_owned(), series::keys_table()));
    parts.push(("series example".to_owned(), series_example()));
    parts.push(("claimreview members".to_owned(), claimreview::members_table()));
    parts.push(("claimreview example".to_owned(), claimreview_example()));
    parts
}

/// The forecast that the first three rows make.
fn series_example() -> String {
    let packed = fs::File::open(root().join("tests/data/forecasts/flusight_2022-12-12_psi-dice.csv.gz")).expect("a file");
    let lines = BufReader::new(flate2::read::GzDecoder::new(packed)).lines();
    let text: Vec<String> = lines.take(4).collect::<Result<_, _>>().expect("lines");
    let mapping = fs::read_to_string(root().join("examples/mappings/flusight.toml")).expect("a file of the repository");
    let mapping = Mapping::parse(&mapping).expect("a mapping");
    let row = series::rows(mapping, Cursor::new(text.join("\n"))).next().expect("a row").expect("a good row");
    format!("```csv\n{}\n```\n\n{}", text.join("\n"), records(&row.own))
}

/// What the review of a page makes besides sources and actors.
fn claimreview_example() -> String {
    let review = fs::File::open(root().join("tests/data/claimreview/page.json")).expect("a file of the repository");
    let row = claimreview::rows(review).next().expect("a review").expect("a good one");
    let is_shown = |item: &&Mutation| matches!(mutation::record(item), Some(Record::Claim(_) | Record::Relation(_)));
    records(&row.own.iter().filter(is_shown).cloned().collect::<Vec<_>>())
}

/// Records as JSON.
fn records(mutations: &[Mutation]) -> String {
    let written =
        |item| format!("```json\n{:#}\n```\n", in_order(json::record_value(mutation::record(item).expect("a record"))));
    mutations.iter().map(written).collect::<Vec<_>>().join("\n")
}

/// The same JSON every time: the keys of maps are in no order.
fn in_order(mut record: Value) -> Value {
    for map in ["metrics", "annotations"] {
        if let Some(Value::Object(entries)) = record.get_mut(map) {
            entries.sort_keys();
        }
    }
    record
}

/// What a row's records are written as.
fn goes_out(layout: &'static Layout, row: &Row) -> String {
    let table = TABLES.iter().find(|table| table.layout.name == layout.name).expect("a format that goes out");
    let records: Vec<Record> = row.own.iter().filter_map(mutation::record).cloned().collect();
    let beside = Beside::default();
    beside.set(
        row.own.iter().filter_map(|item| Some((mutation::name(item).to_owned(), mutation::record(item)?.clone()))).collect(),
    );
    let mut text = Vec::new();
    RowFile::of(table, beside).record(&records[0], &mut text);
    String::from_utf8(text).expect("text")
}

#[test]
fn the_page_has_the_columns_of_each_format_and_what_a_row_of_it_makes() {
    let path = root().join("docs/data-exchange.md");
    let before = fs::read_to_string(&path).expect("the page");
    let mut page = before.clone();
    for (part, text) in parts() {
        let begin = format!("<!-- {part}: begin, made by a test -->\n");
        let end = format!("<!-- {part}: end -->");
        let from = page.find(&begin).unwrap_or_else(|| panic!("the page lacks {begin}")) + begin.len();
        let to = page.find(&end).unwrap_or_else(|| panic!("the page lacks {end}"));
        page.replace_range(from..to, &text);
    }
    if std::env::var_os("ANNALS_UPDATE").is_some() {
        fs::write(&path, page).expect("written");
    } else {
        assert!(page == before, "docs/data-exchange.md is stale: ANNALS_UPDATE=1 cargo test --lib documentation");
    }
}

#[test]
fn every_column_of_a_table_has_a_key_of_its_own() {
    for table in TABLES {
        let mut keys: Vec<_> = table.layout.columns.iter().map(|column| column.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), table.layout.columns.len(), "{}", table.layout.name);
    }
}
