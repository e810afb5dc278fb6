//! The tables of docs/data-exchange.md are those of the code: each stands between two comments, `<!-- NAME: begin ... -->` and
//! `<!-- NAME: end -->`. When a list changes on purpose: `ANNALS_UPDATE=1 cargo test --test mappings`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use annals::{
    formats::export::{Cell, Column, columns, parquet, stix},
    model::RecordKind,
};

/// A row of a table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |").replace("|  |", "| |")
}

fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = row(header);
    text.extend(["|", &"--|".repeat(header.len()), "\n"]);
    for cells in rows {
        text.push_str(&row(&cells.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// How a meaning begins: the contract has the rest.
fn in_short(meaning: &str) -> String {
    // "Required." alone says nothing of what it is.
    let meaning = meaning.trim_start_matches("Required. ");
    let end = meaning.find(". ").map_or(meaning.len(), |end| end + 1);
    meaning[..end].to_owned()
}

/// How many columns are the same in every file.
const SHARED: usize = 11;

/// A table under a title.
fn titled(title: &str, table: &str) -> String {
    format!("**{title}**\n\n{table}")
}

/// What is the same in every file, then what each has of its own.
fn by_file(extension: &str, header: &[&str], rows: impl Fn(RecordKind) -> Vec<Vec<String>>) -> Vec<String> {
    let shared = titled("Every file", &table(header, rows(RecordKind::Source).into_iter().take(SHARED)));
    let own = |kind: RecordKind| {
        titled(&format!("{}.{extension}", kind.collection()), &table(header, rows(kind).into_iter().skip(SHARED)))
    };
    [shared].into_iter().chain(RecordKind::ALL.map(own)).collect()
}

fn csv() -> String {
    let rows = |kind| {
        let row = |column: &Column| vec![code(&column.name), column.cell.name().to_owned(), in_short(&column.meaning)];
        columns(kind).iter().map(row).collect()
    };
    by_file("csv", &["column", "cell", ""], rows).join("\n")
}

fn parquet_types() -> String {
    let rows =
        |kind| parquet::columns(kind).into_iter().map(|column| vec![code(&column.name), code(&column.type_name)]).collect();
    let mut tables = by_file("parquet", &["column", "type"], rows);
    let structs = parquet::structs().into_iter().map(|(name, fields)| {
        let fields: Vec<_> = fields.iter().map(|field| code(&format!("{}: {}", field.name, field.type_name))).collect();
        vec![code(&name), fields.join(", ")]
    });
    tables.push(titled("Structs", &table(&["struct", "fields"], structs)));
    tables.join("\n")
}

fn stix_objects() -> String {
    let rows = RecordKind::ALL.into_iter().flat_map(|kind| {
        stix::objects(kind).iter().flat_map(move |object| {
            let of = match object.each {
                "" => kind.message().to_owned(),
                field => format!("{}.{field}", kind.message()),
            };
            let of = if object.only.is_empty() { of } else { format!("{of}, {}", object.only) };
            object.properties.iter().enumerate().map(move |(at, property)| {
                let [kind, of] = if at == 0 { [code(object.kind), of.clone()] } else { [String::new(), String::new()] };
                vec![of, kind, code(property.name), property.from.to_owned()]
            })
        })
    });
    let common = stix::COMMON.iter().map(|property| vec![code(property.name), property.from.to_owned()]);
    let header = ["of", "object", "property", "is made from"];
    format!("{}\nThe object of a record also has\n\n{}", table(&header, rows), table(&["property", "is made from"], common))
}

/// What stands between the comments of a name.
fn check(name: &str, wanted: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/data-exchange.md");
    let page = fs::read_to_string(&path).unwrap();
    let begin = page.find(&format!("<!-- {name}: begin")).unwrap_or_else(|| panic!("no begin of {name}"));
    let begin = begin + page[begin..].find("-->\n").unwrap() + "-->\n".len();
    let end = page.find(&format!("<!-- {name}: end -->")).unwrap_or_else(|| panic!("no end of {name}"));
    if std::env::var_os("ANNALS_UPDATE").is_some() {
        fs::write(&path, format!("{}{wanted}{}", &page[..begin], &page[end..])).unwrap();
    } else {
        assert!(page[begin..end] == *wanted, "run ANNALS_UPDATE=1 cargo test --test mappings; {name} should be\n{wanted}");
    }
}

/// One after another: they write to one file.
#[test]
fn the_tables_of_the_page_are_those_of_the_code() {
    check("csv", &csv());
    check("parquet", &parquet_types());
    check("stix", &stix_objects());
}

#[test]
fn every_kind_of_cell_is_in_some_table() {
    for cell in Cell::ALL {
        assert!(
            RecordKind::ALL.into_iter().any(|kind| columns(kind).iter().any(|column| column.cell == cell)),
            "{}",
            cell.name()
        );
    }
}
