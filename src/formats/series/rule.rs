//! A rule: which rows make a record, and what the record contains of the row.
//!
//! Must not know what a field means, or how rows are grouped.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    columns::{CellError, Cells},
    keys::{self, MappingTable, Problems},
    tree::{MappingContext, Tree},
};
use crate::{
    formats::values::{escaped, name_of},
    model::{RecordKind, RecordName, id_form, is_id},
};

/// How rows make records of one kind.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: RecordKind,
    /// Empty if nothing refers to it.
    pub(super) label: String,
    pub(super) create_only: bool,
    when: Condition,
    tree: Tree,
    cases: Vec<Case>,
    /// The fields that rows set. A row that has no value for one of them clears it.
    pub(super) fields: Vec<String>,
}

#[derive(Debug)]
struct Case {
    when: Condition,
    tree: Tree,
}

/// The record that a rule makes from a row, before it is checked.
#[derive(Clone, Debug)]
pub(super) struct DraftRecord {
    /// The index of the rule in the mapping.
    pub(super) rule: usize,
    pub(super) name: String,
    /// The record in proto3 JSON.
    pub(super) record: Value,
}

impl Rule {
    /// Reads a rule and reports its errors.
    pub(super) fn read(
        kind: RecordKind,
        table: &Spanned<DeValue<'_>>,
        at: &str,
        labels: &[String],
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let Some(entries) = table.get_ref().as_table() else {
            problems.add(table.span(), at, "must be a table in a list: write [[ ]] above it");
            return None;
        };
        let mut context = MappingContext { schema: kind.schema(), labels, problems };
        let mut rule = Self {
            kind,
            label: String::new(),
            create_only: is_shared(kind),
            when: Condition::default(),
            tree: fields(entries, MappingTable::Record, at, &mut context),
            cases: Vec::new(),
            fields: Vec::new(),
        };
        if let Some(label) = entries.get("label") {
            let fits = |text: &&str| is_id(text) && !labels.iter().any(|known| known == text);
            if let Some(text) = label.get_ref().as_str().filter(fits) {
                rule.label = text.into();
            } else {
                context.problems.add(
                    label.span(),
                    format!("{at}.label"),
                    format!("must be a text of {}, unique in the mapping", id_form()),
                );
            }
        }
        if let Some(only) = entries.get("create_only") {
            match only.get_ref().as_bool() {
                Some(only) => rule.create_only = only,
                None => context.problems.add(only.span(), format!("{at}.create_only"), "must be true or false"),
            }
        }
        if let Some(when) = entries.get("when") {
            rule.when = Condition::read(when, &format!("{at}.when"), context.problems);
        }
        if let Some(cases) = entries.get("case") {
            rule.cases = Case::read_all(cases, at, &mut context);
        }
        if !["name", "external_ids"].iter().any(|field| entries.contains_key(*field)) {
            context.problems.add(
                table.span(),
                at,
                "has neither external_ids nor a name, so a second import would make it again",
            );
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

    /// Whether rows share its records. They share sources, actors and events, but not claims, estimates and relations.
    pub(super) fn is_shared(&self) -> bool {
        is_shared(self.kind)
    }

    /// The columns that it uses.
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

    /// The name of the record that a row makes. `None` if it makes none.
    pub(super) fn name(&self, cells: Cells<'_>) -> Result<Option<String>, CellError> {
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
                    Err(self.fault(&format!("{name:?} is not such a name: it must begin with {}/", self.kind.collection())))
                }
                Err(error) => Err(self.fault(&error.to_string())),
            },
            // A shared record without an id is left out. A row's own record must have one.
            None if self.is_shared() => Ok(None),
            None => Err(self.fault("has no id in this row: a column of its name or external id has no value")),
        }
    }

    /// The record that a row makes. `names` has the names of the records above it, by their labels.
    pub(super) fn make(&self, name: &str, cells: Cells<'_>, names: &BTreeMap<&str, String>) -> Result<Value, CellError> {
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

    /// The case that applies to a row. `None` if the rule has no cases. Errs if it has cases and none applies.
    fn case(&self, cells: Cells<'_>) -> Result<Option<&Case>, CellError> {
        for case in &self.cases {
            if case.when.holds(cells)? {
                return Ok(Some(case));
            }
        }
        let Some(last) = self.cases.last() else { return Ok(None) };
        let mut found = Vec::new();
        for column in last.when.columns() {
            found.push(match cells.get(column)? {
                Some(value) => format!("{column} is {value:?}"),
                None => format!("{column} has no value"),
            });
        }
        Err(self.fault(&format!("no case matches this row, in which {}", found.join(" and "))))
    }

    fn fault(&self, reason: &str) -> CellError {
        CellError { column: String::new(), reason: format!("{}: {reason}", self.kind.singular()) }
    }
}

fn is_shared(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Source | RecordKind::Actor | RecordKind::Event)
}

impl Case {
    fn read_all(cases: &Spanned<DeValue<'_>>, at: &str, context: &mut MappingContext<'_, '_>) -> Vec<Self> {
        let Some(list) = cases.get_ref().as_array() else {
            context.problems.add(cases.span(), format!("{at}.case"), "must be a list of tables: write [[ ]] above each");
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, case) in list.iter().enumerate() {
            let at = format!("{at}.case[{index}]");
            let Some(entries) = case.get_ref().as_table() else {
                context.problems.add(case.span(), at, "must be a table");
                continue;
            };
            let Some(when) = entries.get("when") else {
                context.problems.add(case.span(), at, "has no when, which says for which rows the case is");
                continue;
            };
            let when = Condition::read(when, &format!("{at}.when"), context.problems);
            read.push(Self { when, tree: fields(entries, MappingTable::Case, &at, context) });
        }
        read
    }
}

/// The entries of a table that are fields of the message, without the mapping's own keys.
fn fields(entries: &DeTable<'_>, table: MappingTable, at: &str, context: &mut MappingContext<'_, '_>) -> Tree {
    let mut fields = entries.clone();
    for name in keys::names(table) {
        fields.remove(name);
    }
    Tree::read(&context.schema.message, &fields, at, "", context)
}

/// A condition on columns. It holds if it holds for each of them.
#[derive(Debug, Default)]
struct Condition {
    columns: Vec<(String, Wanted)>,
}

#[derive(Debug)]
enum Wanted {
    /// Whether the column must have a value, or must have none.
    Present(bool),
    /// One of these values.
    OneOf(Vec<String>),
}

impl Condition {
    /// Reads the value of `when`.
    fn read(value: &Spanned<DeValue<'_>>, at: &str, problems: &mut Problems<'_>) -> Self {
        let mut condition = Self::default();
        let empty = DeTable::new();
        let table = value.get_ref().as_table().unwrap_or_else(|| {
            problems.add(value.span(), at, "must be a table of columns: write it in { }");
            &empty
        });
        for (column, wanted) in table {
            let texts = match wanted.get_ref() {
                DeValue::Boolean(there) => {
                    condition.columns.push((column.get_ref().to_string(), Wanted::Present(*there)));
                    continue;
                }
                DeValue::Array(list) => list.iter().map(|element| text(element.get_ref())).collect(),
                single => text(single).map(|text| vec![text]),
            };
            if let Some(texts) = texts {
                condition.columns.push((column.get_ref().to_string(), Wanted::OneOf(texts)));
            } else {
                let at = format!("{at}.{}", column.get_ref());
                problems.add(wanted.span(), at, "must be true, false, a text, a number, or a list of these");
            }
        }
        condition
    }

    /// The columns that it uses.
    fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(column, _)| column.as_str())
    }

    /// Whether the condition holds for a row.
    fn holds(&self, cells: Cells<'_>) -> Result<bool, CellError> {
        for (column, wanted) in &self.columns {
            let value = cells.get(column)?;
            let holds = match wanted {
                Wanted::Present(there) => value.is_some() == *there,
                Wanted::OneOf(texts) => value.is_some_and(|value| texts.contains(&value)),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Merges the JSON of one record from several rows. Adds missing fields, and missing elements of lists. Errs if a field has two
/// different values; `into` is then partly changed.
pub(super) fn merge(into: &mut Value, other: Value) -> Result<(), String> {
    add(into, other, &mut Vec::new())
}

fn add(into: &mut Value, other: Value, path: &mut Vec<String>) -> Result<(), String> {
    match (into, other) {
        (into @ Value::Null, other) => *into = other,
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(other)) => {
            for (name, value) in other {
                match into.get_mut(&name) {
                    Some(there) => {
                        path.push(name);
                        add(there, value, path)?;
                        path.pop();
                    }
                    None => drop(into.insert(name, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(other)) => {
            for element in other {
                if !into.contains(&element) {
                    into.push(element);
                }
            }
        }
        (into, other) if *into == other => {}
        (into, other) => return Err(format!("{} is {other} here, but was {into} before", path.join("."))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(mut into: Value, other: Value, expect: Result<Value, &str>) {
        match (merge(&mut into, other), expect) {
            (Ok(()), Ok(expect)) => assert_eq!(into, expect),
            (Err(conflict), Err(expect)) => assert_eq!(conflict, expect),
            (outcome, _) => panic!("{outcome:?}: {into}"),
        }
    }

    #[test]
    fn fields_and_elements_are_added_and_nothing_is_replaced() {
        check(json!({"a": {"b": 1}}), json!({"a": {"c": 2}, "d": 3}), Ok(json!({"a": {"b": 1, "c": 2}, "d": 3})));
        check(json!({"a": [1, 2]}), json!({"a": [2, 3]}), Ok(json!({"a": [1, 2, 3]})));
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), Ok(json!({"a": {"b": 1}})));
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), Err("a.b is 2 here, but was 1 before"));
        check(json!({"a": [1]}), json!({"a": 1}), Err("a is 1 here, but was [1] before"));
        check(Value::Null, json!({"a": 1}), Ok(json!({"a": 1})));
    }
}
