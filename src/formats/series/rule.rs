//! A rule: which record a row makes, and what of the row is in it.
//!
//! Knows labels, cases and names. Must not know what a field means, or how rows hang together.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    cells::{Cells, Fault},
    condition::Condition,
    keys::{self, Table},
    merge::merge,
    problem::Problems,
    tree::{Place, Tree},
};
use crate::{
    formats::identity::{escaped, name_of},
    model::{RecordKind, RecordName, is_id},
};

/// How rows make records of one kind.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: RecordKind,
    /// Empty where nothing refers to it.
    pub(super) label: String,
    pub(super) create_only: bool,
    when: Condition,
    tree: Tree,
    cases: Vec<Case>,
    /// The fields that rows set, or clear where they have nothing for them.
    pub(super) fields: Vec<String>,
}

#[derive(Debug)]
struct Case {
    when: Condition,
    tree: Tree,
}

/// What a row makes of a rule.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Which of the mapping's rules.
    pub(super) rule: usize,
    pub(super) name: String,
    /// The record in proto3 JSON.
    pub(super) record: Value,
}

impl Rule {
    /// Reads one.
    pub(super) fn read(
        kind: RecordKind,
        table: &Spanned<DeValue<'_>>,
        at: &str,
        labels: &[String],
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let Some(entries) = table.get_ref().as_table() else {
            problems.add(table.span(), at, "is a table: write [[ ]] above it");
            return None;
        };
        let mut place = Place { schema: kind.schema(), labels, problems };
        let mut rule = Self {
            kind,
            label: String::new(),
            create_only: is_shared(kind),
            when: Condition::default(),
            tree: fields(entries, Table::Record, at, &mut place),
            cases: Vec::new(),
            fields: Vec::new(),
        };
        if let Some(label) = entries.get("label") {
            let fits = |text: &&str| is_id(text) && !labels.iter().any(|known| known == text);
            if let Some(text) = label.get_ref().as_str().filter(fits) {
                rule.label = text.into();
            } else {
                place.problems.add(
                    label.span(),
                    format!("{at}.label"),
                    "is a text of 1-63 of a-z, 0-9 and -, once in a mapping",
                );
            }
        }
        if let Some(only) = entries.get("create_only") {
            match only.get_ref().as_bool() {
                Some(only) => rule.create_only = only,
                None => place.problems.add(only.span(), format!("{at}.create_only"), "is true or false"),
            }
        }
        if let Some(when) = entries.get("when") {
            rule.when = Condition::read(when, &format!("{at}.when"), place.problems);
        }
        if let Some(cases) = entries.get("case") {
            rule.cases = Case::read_all(cases, at, &mut place);
        }
        if !["name", "external_ids"].iter().any(|field| entries.contains_key(*field)) {
            place.problems.add(table.span(), at, "has neither external_ids nor a name, so a second import would make it again");
        }
        rule.fields = rule
            .trees()
            .flat_map(Tree::names)
            .filter(|name| !["name", "external_ids"].contains(name))
            .map(str::to_owned)
            .collect();
        rule.fields.sort();
        rule.fields.dedup();
        Some(rule)
    }

    /// Whether its records are shared by rows: what a number is about and who says it, not the saying.
    pub(super) fn is_shared(&self) -> bool {
        is_shared(self.kind)
    }

    /// The columns that it looks at.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for tree in self.trees() {
            tree.visit(&mut |text| columns.extend(text.columns().map(str::to_owned)));
        }
        let conditions = std::iter::once(&self.when).chain(self.cases.iter().map(|case| &case.when));
        columns.extend(conditions.flat_map(Condition::columns).map(str::to_owned));
        columns
    }

    fn trees(&self) -> impl Iterator<Item = &Tree> {
        std::iter::once(&self.tree).chain(self.cases.iter().map(|case| &case.tree))
    }

    /// The name of the record that a row makes, if it makes one.
    pub(super) fn name(&self, cells: Cells<'_>) -> Result<Option<String>, Fault> {
        if !self.when.holds(cells)? {
            return Ok(None);
        }
        let name = match (self.tree.first_text("name"), self.tree.first_text("external_ids")) {
            (Some(name), _) => name.fill(|column| cells.get(column))?,
            (None, Some(id)) => {
                let id = id.fill(|column| Ok(cells.get(column)?.map(|value| escaped(&value))))?;
                id.map(|id| name_of(self.kind, &id))
            }
            (None, None) => None,
        };
        match name {
            Some(name) => match name.parse::<RecordName>() {
                Ok(parsed) if parsed.kind() == self.kind => Ok(Some(name)),
                Ok(_) => {
                    Err(self.fault(&format!("{name:?} is not the name of one: it begins with {}/", self.kind.collection())))
                }
                Err(error) => Err(self.fault(&error.to_string())),
            },
            // Who is not named is not there; what is said has to be.
            None if self.is_shared() => Ok(None),
            None => Err(self.fault("has no id here: a column of its name or external id has no value")),
        }
    }

    /// The record that a row makes, given the names of those that it may refer to.
    pub(super) fn make(&self, name: &str, cells: Cells<'_>, names: &BTreeMap<&str, String>) -> Result<Value, Fault> {
        let mut record = self.tree.fill(cells, names)?.unwrap_or_default();
        if let Some(case) = self.case(cells)? {
            let more = case.tree.fill(cells, names)?.unwrap_or_default();
            merge(&mut record, more).map_err(|conflict| self.fault(&conflict))?;
        }
        if let Some(fields) = record.as_object_mut() {
            fields.insert("name".into(), Value::String(name.into()));
        }
        Ok(record)
    }

    /// The case of a row, if there are any.
    fn case(&self, cells: Cells<'_>) -> Result<Option<&Case>, Fault> {
        for case in &self.cases {
            if case.when.holds(cells)? {
                return Ok(Some(case));
            }
        }
        let Some(last) = self.cases.last() else { return Ok(None) };
        let mut held = Vec::new();
        for column in last.when.columns() {
            held.push(match cells.get(column)? {
                Some(value) => format!("{column} is {value:?}"),
                None => format!("{column} has no value"),
            });
        }
        Err(self.fault(&format!("no case is for this row, in which {}", held.join(" and "))))
    }

    fn fault(&self, reason: &str) -> Fault {
        Fault { column: String::new(), reason: format!("{}: {reason}", self.kind.singular()) }
    }
}

fn is_shared(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Source | RecordKind::Actor | RecordKind::Event)
}

impl Case {
    fn read_all(cases: &Spanned<DeValue<'_>>, at: &str, place: &mut Place<'_, '_>) -> Vec<Self> {
        let Some(list) = cases.get_ref().as_array() else {
            place.problems.add(cases.span(), format!("{at}.case"), "is a list of tables: write [[ ]] above each");
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, case) in list.iter().enumerate() {
            let at = format!("{at}.case[{index}]");
            let Some(entries) = case.get_ref().as_table() else {
                place.problems.add(case.span(), at, "is a table");
                continue;
            };
            let Some(when) = entries.get("when") else {
                place.problems.add(case.span(), at, "has no when: it says of which rows the case is");
                continue;
            };
            let when = Condition::read(when, &format!("{at}.when"), place.problems);
            read.push(Self { when, tree: fields(entries, Table::Case, &at, place) });
        }
        read
    }
}

/// The fields of a message among the entries of a table, without what is for the mapping itself.
fn fields(entries: &DeTable<'_>, table: Table, at: &str, place: &mut Place<'_, '_>) -> Tree {
    let mut fields = entries.clone();
    for name in keys::names(table) {
        fields.remove(name);
    }
    Tree::read(&place.schema.message, &fields, at, "", place)
}
