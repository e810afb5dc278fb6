//! Makes the pages in docs/formats from the list of formats. The text of a page is in the folder of its format; lines such as
//! `{{columns}}` in it are replaced by tables and examples.
//!
//! To write the pages after an intended change: `ANNALS_UPDATE=1 cargo test --lib documentation`.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    io::{BufRead, BufReader, Cursor},
    path::Path,
};

use serde_json::Value;

use super::{
    FORMATS, Format, FormatExporter, ImportInput, claimreview, csv,
    export::{ExportText, RelatedRecords, TableExport, TableText},
    import::{ImportRow, mutation},
    json,
    series::{self, SeriesMapping},
    stix,
    table::{TableDialect, TableLayout},
};
use crate::{
    model::RecordKind,
    proto::{Mutation, record::Record},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// ---------------------------------------------------------------------------------------------------- Markdown

fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let row = |cells: Vec<&str>| {
        let cells: Vec<_> = cells.iter().map(|cell| format!(" {} |", cell.replace('|', "\\|"))).collect();
        format!("|{}\n", cells.concat().replace("  |", " |"))
    };
    let mut text = row(header.to_vec());
    text.extend(["|", &"--|".repeat(header.len()), "\n"]);
    for cells in rows {
        text.push_str(&row(cells.iter().map(String::as_str).collect()));
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// A table under a title.
fn titled(title: &str, table: &str) -> String {
    format!("**{title}**\n\n{table}")
}

fn block(language: &str, text: &str) -> String {
    format!("```{language}\n{text}\n```\n")
}

/// A record as JSON. Maps are in the order of their keys, so that the text is always the same.
fn record_block(record: &Record) -> String {
    let mut record = json::record_value(record);
    for map in ["metrics", "annotations"] {
        if let Some(Value::Object(entries)) = record.get_mut(map) {
            entries.sort_keys();
        }
    }
    block("json", &format!("{record:#}"))
}

fn record_blocks(mutations: &[Mutation]) -> String {
    let blocks = mutations.iter().map(|item| record_block(mutation::record(item).expect("a record")));
    blocks.collect::<Vec<_>>().join("\n")
}

// ---------------------------------------------------------------------------------------------------- parts of pages

/// The text that replaces a line such as `{{columns}}`.
fn part(format: &'static Format, words: &[&str]) -> String {
    match words {
        ["commands"] => commands(format),
        ["columns"] => columns(exported_table(format).layout),
        ["example", ..] => table_example(format),
        ["mapping", "keys"] => series::keys_table(),
        ["mapping", "example"] => series_example(),
        ["review", "members"] => claimreview::members_table(),
        ["review", "example"] => claimreview_example(),
        ["csv", "columns"] => csv_columns(),
        #[cfg(feature = "parquet")]
        ["parquet", "types"] => parquet_types(),
        ["stix", "objects"] => stix_objects(),
        _ => panic!("{}: there is no part {words:?}", format.page),
    }
}

fn import_command(format: &Format) -> Option<String> {
    let mapping = if format.importer?.needs_mapping { " --mapping MAPPING" } else { "" };
    Some(code(&format!("annals import {}{mapping} FILE...", format.name)))
}

fn export_command(format: &Format) -> Option<String> {
    let exporter = format.exporter.as_ref()?;
    let to = if exporter.is_file_per_collection() { "FOLDER".to_owned() } else { format!("FILE.{}", exporter.extension()) };
    Some(code(&format!("annals export --format {} -o {to}", format.name)))
}

fn commands(format: &Format) -> String {
    let none = || "not supported".to_owned();
    let rows = [
        vec!["import".to_owned(), import_command(format).unwrap_or_else(none)],
        vec!["export".to_owned(), export_command(format).unwrap_or_else(none)],
    ];
    table(&["direction", "command"], rows)
}

fn exported_table(format: &Format) -> &'static TableExport {
    format.exporter.as_ref().and_then(FormatExporter::table).expect("a format of rows of a table")
}

fn columns(layout: &'static TableLayout) -> String {
    let rows = layout.columns.iter().map(|column| vec![code(column.name), layout.destination(column)]);
    table(&["column", "kept as"], rows)
}

/// A row of a file in tests/data, and the records that it makes.
fn table_example(format: &'static Format) -> String {
    let export = exported_table(format);
    let (path, number) = example(format);
    let content = file(&path);
    let header = usize::from(export.layout.dialect == TableDialect::Csv);
    let line = content.lines().nth(number + header - 1).expect("a row on one line").to_owned();
    let input = ImportInput { content: Box::new(Cursor::new(content)), mapping: None };
    let mut rows = (format.importer.expect("an importer").open)(input).expect("a file of the format");
    let row = rows.nth(number - 1).expect("so many rows").expect("a good row");
    let separator = if export.layout.dialect == TableDialect::Csv { ',' } else { '\t' };
    let second = |line: &str| line.split(separator).nth(1).map(str::to_owned);
    assert_eq!(second(&exported_row(export, &row)), second(&line), "it is exported unchanged");

    let names = |mutations: &[Mutation]| {
        mutations.iter().map(|item| format!("- `{}`\n", mutation::name(item))).collect::<Vec<_>>().concat()
    };
    format!(
        "Row {number} of [{name}](../../{path}):\n\n{line}\nIt makes these shared records, unless they exist,\n\n{shared}\nand these \
         records of its own:\n\n{own}\nThe first of its own records:\n\n{record}",
        name = path.rsplit('/').next().unwrap_or_default(),
        line = block("text", &line.replace('\t', "⇥")),
        shared = names(&row.shared),
        own = names(&row.own),
        record = record_blocks(&row.own[..1]),
    )
}

/// The exported row of the records that an imported row made.
fn exported_row(table: &'static TableExport, row: &ImportRow) -> String {
    let records: Vec<Record> = row.own.iter().filter_map(mutation::record).cloned().collect();
    let related = RelatedRecords::default();
    let by_name = row.own.iter().filter_map(|item| Some((mutation::name(item).to_owned(), mutation::record(item)?.clone())));
    related.set(by_name.collect());
    let mut text = Vec::new();
    TableText::of(table, related).record(&records[0], &mut text);
    String::from_utf8(text).expect("text")
}

/// The forecast made from the first three rows.
fn series_example() -> String {
    let packed = fs::File::open(root().join("tests/data/forecasts/flusight_2022-12-12_psi-dice.csv.gz")).expect("a file");
    let lines = BufReader::new(flate2::read::GzDecoder::new(packed)).lines();
    let text: Vec<String> = lines.take(4).collect::<Result<_, _>>().expect("lines");
    let mapping = SeriesMapping::parse(&file("examples/mappings/flusight.toml")).expect("a mapping");
    let row = series::rows(mapping, Cursor::new(text.join("\n"))).next().expect("a row").expect("a good row");
    format!("{}\n{}", block("csv", &text.join("\n")), record_blocks(&row.own))
}

/// The claims and the relation made from the review of a page.
fn claimreview_example() -> String {
    let review = fs::File::open(root().join("tests/data/claimreview/page.json")).expect("a file of the repository");
    let row = claimreview::rows(review).next().expect("a review").expect("a good one");
    let is_shown = |item: &&Mutation| matches!(mutation::record(item), Some(Record::Claim(_) | Record::Relation(_)));
    record_blocks(&row.own.iter().filter(is_shown).cloned().collect::<Vec<_>>())
}

/// The number of first columns that are the same for every type.
const SHARED_COLUMNS: usize = 11;

/// The columns that all files share, and then those of each file.
fn by_file(extension: &str, header: &[&str], rows: impl Fn(RecordKind) -> Vec<Vec<String>>) -> Vec<String> {
    let shared = titled("Every file", &table(header, rows(RecordKind::Source).into_iter().take(SHARED_COLUMNS)));
    let own = |kind: RecordKind| {
        let title = format!("{}.{extension}", kind.collection());
        titled(&title, &table(header, rows(kind).into_iter().skip(SHARED_COLUMNS)))
    };
    [shared].into_iter().chain(RecordKind::ALL.map(own)).collect()
}

/// The first sentence of a field's comment in the contract.
fn in_short(meaning: &str) -> String {
    // "Required." alone does not say what the field is.
    let meaning = meaning.trim_start_matches("Required. ");
    let end = meaning.find(". ").map_or(meaning.len(), |end| end + 1);
    meaning[..end].to_owned()
}

fn csv_columns() -> String {
    let rows = |kind| {
        let row = |column: &csv::CsvColumn| vec![code(&column.name), column.cell.name().to_owned(), in_short(&column.meaning)];
        csv::columns(kind).iter().map(row).collect()
    };
    by_file("csv", &["column", "cell", ""], rows).join("\n")
}

#[cfg(feature = "parquet")]
fn parquet_types() -> String {
    use super::parquet;
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
                vec![of, kind, code(property.name), property.from().into_owned()]
            })
        })
    });
    let common = stix::COMMON.iter().map(|property| vec![code(property.name), property.from().into_owned()]);
    let header = ["record", "object", "property", "made from"];
    format!("{}\nThe object of a record also has\n\n{}", table(&header, rows), table(&["property", "made from"], common))
}

// ---------------------------------------------------------------------------------------------------- pages

/// The words of a line such as `{{example acled/made_up.csv 5}}`.
fn words(line: &str) -> Option<Vec<&str>> {
    Some(line.strip_prefix("{{")?.strip_suffix("}}")?.split(' ').collect())
}

/// The sample of a table, which its page shows: the path of a file in the repository, and the number of a row.
pub(super) fn example(format: &Format) -> (String, usize) {
    let page = file(&format!("src/formats/{}", format.page));
    let example = page.lines().filter_map(words).find_map(|words| match words.as_slice() {
        ["example", path, number] => Some((format!("tests/data/{path}"), number.parse().expect("the number of a row"))),
        _ => None,
    });
    example.unwrap_or_else(|| panic!("{} has no line {{{{example FILE ROW}}}}", format.page))
}

/// The page of a format.
fn page(format: &'static Format) -> String {
    let template = file(&format!("src/formats/{}", format.page));
    let mut page = format!(
        "<!-- Made from src/formats/{} by a test, do not edit: ANNALS_UPDATE=1 cargo test --lib documentation -->\n\n",
        format.page
    );
    for line in template.lines() {
        match words(line) {
            Some(words) => page.push_str(&part(format, &words)),
            None => writeln!(page, "{line}").expect("a string"),
        }
    }
    page
}

/// The list of formats in docs/formats/README.md.
fn list() -> String {
    let rows = FORMATS.iter().map(|format| {
        let mark = |is_there: bool| if is_there { "yes" } else { "" }.to_owned();
        vec![
            format!("[`{name}`]({name}.md)", name = format.name),
            format.summary.to_owned(),
            mark(format.importer.is_some()),
            mark(format.exporter.is_some()),
        ]
    });
    table(&["format", "what it is", "import", "export"], rows)
}

const BEGIN: &str = "<!-- formats: begin, made by a test -->\n";
const END: &str = "<!-- formats: end -->";

/// Checks that a file has this content, or writes it if `ANNALS_UPDATE` is set.
fn check(path: &str, wanted: &str) {
    if std::env::var_os("ANNALS_UPDATE").is_some() {
        fs::write(root().join(path), wanted).expect("written");
    } else {
        assert!(file(path) == wanted, "{path} is stale: ANNALS_UPDATE=1 cargo test --lib documentation");
    }
}

#[test]
fn each_format_has_a_page_made_from_its_lists_and_from_rows_of_it_and_there_are_no_other_pages() {
    for format in FORMATS {
        check(&format!("docs/formats/{}.md", format.name), &page(format));
    }
    // Without the feature, the list lacks Parquet.
    if cfg!(not(feature = "parquet")) {
        return;
    }
    let path = "docs/formats/README.md";
    let before = file(path);
    let (start, rest) = before.split_once(BEGIN).expect("the beginning of the list");
    let (_, end) = rest.split_once(END).expect("the end of the list");
    check(path, &[start, BEGIN, &list(), END, end].concat());

    let pages = fs::read_dir(root().join("docs/formats")).expect("a folder").map(|page| page.expect("a page").file_name());
    let wanted = FORMATS.iter().map(|format| format.name).chain(["README"]).map(|name| format!("{name}.md").into());
    assert_eq!(pages.collect::<BTreeSet<_>>(), wanted.collect());
}

#[test]
fn every_folder_with_a_page_is_in_the_list() {
    let entries = |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let sources = root().join("src/formats");
    let folders = entries(&sources).filter(|path| path.is_dir() && (cfg!(feature = "parquet") || !path.ends_with("parquet")));
    let pages = folders.flat_map(|folder| entries(&folder)).filter(|path| path.extension().is_some_and(|end| end == "md"));
    let listed: BTreeSet<_> = FORMATS.iter().map(|format| sources.join(format.page)).collect();
    assert_eq!(pages.collect::<BTreeSet<_>>(), listed);
}

#[test]
fn every_column_of_a_table_has_a_key_of_its_own() {
    for table in FORMATS.iter().filter_map(|format| format.exporter.as_ref()?.table()) {
        let mut keys: Vec<_> = table.layout.columns.iter().map(|column| column.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), table.layout.columns.len(), "{}", table.layout.name);
    }
}
