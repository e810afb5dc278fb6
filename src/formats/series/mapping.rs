//! A mapping in TOML: how a file is read, and how its rows become records.
//!
//! Must not know rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    columns::{Column, Columns},
    keys::{self, MappingError, MappingTable, Problems},
    rule::Rule,
};
use crate::model::RecordKind;

/// A mapping that was checked as a whole: it says how the rows of a file become records.
#[derive(Debug)]
pub struct SeriesMapping {
    pub(super) file: FileOptions,
    pub(super) columns: Columns,
    /// In the order of the text, because a record refers only to records above it.
    pub(super) rules: Vec<Rule>,
    /// The columns of the file that the mapping uses.
    pub(super) used: BTreeSet<String>,
}

/// How a file is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileOptions {
    pub(super) format: FileSyntax,
    pub(super) delimiter: Option<Delimiter>,
    pub(super) at: Option<Pointer>,
    #[serde(default)]
    missing: Vec<String>,
    #[serde(default)]
    pub(super) ignore: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileSyntax {
    Csv,
    Tsv,
    Json,
    Ndjson,
}

/// The separator of columns: one byte.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Delimiter(pub(super) u8);

impl TryFrom<String> for Delimiter {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(Self(*byte)),
            _ => Err("a delimiter is one ASCII character, and no quote or line end"),
        }
    }
}

/// The path of members to a value, as a JSON pointer (RFC 6901).
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Pointer(pub(super) Vec<String>);

impl TryFrom<String> for Pointer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let members = text.strip_prefix('/').ok_or("a path begins with /")?;
        Ok(Self(members.split('/').map(|member| member.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

impl FileOptions {
    /// A key that has no effect for this format. `None` if every key has one.
    fn idle(&self) -> Option<&'static str> {
        match self.format {
            FileSyntax::Csv | FileSyntax::Tsv | FileSyntax::Ndjson if self.at.is_some() => Some("at"),
            FileSyntax::Tsv | FileSyntax::Json | FileSyntax::Ndjson if self.delimiter.is_some() => Some("delimiter"),
            _ => None,
        }
    }
}

impl SeriesMapping {
    /// Parses a mapping. An error names every problem with its line and field.
    ///
    /// ```
    /// use annals::formats::series::SeriesMapping;
    ///
    /// let text = "[file]\nformat = 'csv'\n[[estimate]]\nexternal_ids = ['x:{day}']\nmode = 'GUESSED'";
    /// let error = SeriesMapping::parse(text).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "line 5, estimate[0].mode: \"GUESSED\" is not one of COUNTED, ESTIMATED, PROJECTED, PLANNED, POSSIBLE, CAPACITY"
    /// );
    /// ```
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mut problems = Problems::of(text);
        let mut tables = match DeTable::parse(text) {
            Ok(tables) => tables,
            Err(error) => {
                problems.add(error.span().unwrap_or_default(), "", error.message());
                return Err(problems.into_error());
            }
        };
        let rules = take_rules(tables.get_mut(), &mut problems);
        let table = tables.get_mut().remove("file");
        if table.is_none() {
            problems.add(0..0, "file", "is missing: it says how the file is to be read");
        }
        let span = table.as_ref().map(Spanned::span).unwrap_or_default();
        let file = table.and_then(|table| read::<FileOptions>(table, "file", MappingTable::File, &mut problems));
        if let Some(key) = file.as_ref().and_then(FileOptions::idle) {
            problems.add(span, format!("file.{key}"), "has no effect with this format");
        }
        let own = tables.get_mut().remove("column").map(|columns| take_columns(&columns, &mut problems)).unwrap_or_default();
        for (key, _) in tables.get_ref() {
            let records = RecordKind::ALL.map(RecordKind::singular).join(", ");
            problems.add(
                key.span(),
                key.get_ref().as_ref(),
                format!("is not a table of a mapping: the tables are file, column, {records}"),
            );
        }
        if rules.is_empty() && problems.is_empty() {
            problems.add(0..0, "", "makes no records: add a table such as [[estimate]]");
        }
        match file {
            Some(file) if problems.is_empty() => {
                let columns = Columns { own, missing: file.missing.iter().cloned().collect() };
                let used = used(&rules, &columns).map_err(|reason| {
                    problems.add(0..0, "column", reason);
                    problems.into_error()
                })?;
                Ok(Self { file, columns, rules, used })
            }
            _ => Err(problems.into_error()),
        }
    }
}

/// Removes the tables of records and reads them in the order of the text.
fn take_rules(tables: &mut DeTable<'_>, problems: &mut Problems<'_>) -> Vec<Rule> {
    let mut found = Vec::new();
    for kind in RecordKind::ALL {
        let Some(list) = tables.remove(kind.singular()) else { continue };
        match list.get_ref() {
            DeValue::Array(rules) => {
                let numbered = rules.iter().enumerate();
                found.extend(numbered.map(|(index, rule)| (kind, format!("{}[{index}]", kind.singular()), rule.clone())));
            }
            _ => problems.add(list.span(), kind.singular(), format!("must be a list of tables: write [[{}]]", kind.singular())),
        }
    }
    found.sort_by_key(|(_, _, rule)| rule.span().start);
    let (mut labels, mut rules) = (Vec::new(), Vec::new());
    for (kind, at, table) in found {
        if let Some(rule) = Rule::read(kind, &table, &at, &labels, problems) {
            if !rule.label.is_empty() {
                labels.push(rule.label.clone());
            }
            rules.push(rule);
        }
    }
    rules
}

/// Reads the columns that the mapping defines.
fn take_columns(columns: &Spanned<DeValue<'_>>, problems: &mut Problems<'_>) -> BTreeMap<String, Column> {
    let Some(columns) = columns.get_ref().as_table() else {
        problems.add(columns.span(), "column", "must be a table of columns: write [column.NAME]");
        return BTreeMap::new();
    };
    let mut own = BTreeMap::new();
    for (name, table) in columns {
        let at = format!("column.{}", name.get_ref());
        if let Some(column) = read::<Column>(table.clone(), &at, MappingTable::Column, problems) {
            if let Some(reason) = column.fault() {
                problems.add(table.span(), at.as_str(), reason);
            }
            if let Some(source) = column.sources().find(|source| columns.contains_key(*source)) {
                problems.add(
                    table.span(),
                    at,
                    format!("is made from {source:?}, a column of the mapping: use columns of the file"),
                );
            }
            own.insert(name.get_ref().to_string(), column);
        }
    }
    own
}

/// Reads a table. A key that is not in the list is an error.
fn read<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    at: &str,
    table: MappingTable,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let span = value.span();
    let DeValue::Table(entries) = value.into_inner() else {
        problems.add(span, at, format!("must be a table: write {}", table.written()));
        return None;
    };
    let known: Vec<_> = keys::names(table).collect();
    let unknown: Vec<_> = entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).collect();
    for key in &unknown {
        problems.add(
            key.span(),
            format!("{at}.{}", key.get_ref()),
            format!("is not a key of {}: its keys are {}", table.written(), known.join(", ")),
        );
    }
    if !unknown.is_empty() {
        return None;
    }
    let mut track = serde_path_to_error::Track::new();
    let from = toml::de::Deserializer::from(Spanned::new(span.clone(), entries));
    match T::deserialize(serde_path_to_error::Deserializer::new(from, &mut track)) {
        Ok(read) => Some(read),
        Err(error) => {
            let path = track.path().to_string();
            let field = if matches!(path.as_str(), "" | ".") { at.to_owned() } else { format!("{at}.{path}") };
            problems.add(error.span().unwrap_or(span), field, error.message());
            None
        }
    }
}

/// The columns of the file that rules use, directly or through columns of the mapping.
fn used(rules: &[Rule], columns: &Columns) -> Result<BTreeSet<String>, String> {
    let asked: BTreeSet<String> = rules.iter().flat_map(Rule::columns).collect();
    if let Some(idle) = columns.own.keys().find(|name| !asked.contains(*name)) {
        return Err(format!("{idle:?} is not used by any record"));
    }
    let mut used = BTreeSet::new();
    for column in asked {
        match columns.own.get(&column) {
            Some(own) => used.extend(own.sources().map(str::to_owned)),
            None => drop(used.insert(column)),
        }
    }
    Ok(used)
}
