//! Lists the filters and orders that indexes serve, for the documentation and for the suggestions in errors.
//!
//! Knows the declarations from which the keys are made. Must not know any record.

use crate::{
    model::{IndexPart, RecordKind},
    store::{
        joined::joined_references,
        postings::{PostingIndex, PostingPart, indexes, tells_origin},
    },
};

/// An index, or the keys by name or reference: it leads to few records, or gives them in order, without reading all records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedIndex {
    /// The fields that a filter can use, joined by AND. The index serves the first field, the first two, and so on.
    pub fields: Vec<ServedField>,
    /// The order that it serves, such as `time.earliest`.
    pub order: Option<String>,
    /// What a filter on it finds.
    pub serves: String,
}

/// A field as an index serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedField {
    /// The path of the field, as in a filter.
    pub path: String,
    /// The operators that are served.
    pub operators: &'static str,
}

/// The operators of an exact value.
const EQUAL: &str = "= or :";
/// The same, and also the beginning of a text.
const BEGINNING: &str = "= or :, also with * at the end";
/// The operators of a time.
const SPAN: &str = "= < <= > >=";

/// All that serves lists of a kind.
pub fn served(kind: RecordKind) -> Vec<ServedIndex> {
    let name = ServedIndex {
        fields: vec![ServedField { path: "name".to_owned(), operators: BEGINNING }],
        order: Some("name".to_owned()),
        serves: "records by name".to_owned(),
    };
    let references = kind.schema().references.iter().map(|reference| ServedIndex {
        fields: vec![ServedField { path: reference.dotted(), operators: EQUAL }],
        order: None,
        serves: if tells_origin(reference) {
            "what an actor said, at the origin or in any hop"
        } else {
            "records that refer to a given record"
        }
        .to_owned(),
    });
    let joined = joined_references().iter().filter(|index| index.kind == kind).map(|index| ServedIndex {
        fields: vec![ServedField { path: index.dotted(), operators: EQUAL }],
        order: None,
        serves: index.serves.to_owned(),
    });
    std::iter::once(name).chain(indexes(kind).iter().map(of_index)).chain(references).chain(joined).collect()
}

fn of_index(index: &PostingIndex) -> ServedIndex {
    let declared = index.index.parts;
    let fields: Vec<_> = declared
        .iter()
        .zip(&index.parts)
        .map(|(part, resolved)| {
            let (path, operators) = match (part, resolved) {
                (IndexPart::Time(path), _) => (path, SPAN),
                (IndexPart::Words(name, _), _) => (name, BEGINNING),
                (IndexPart::Exact(path), PostingPart::Enum(_)) => (path, EQUAL),
                (IndexPart::Exact(path), _) => (path, BEGINNING),
            };
            ServedField { path: (*path).to_owned(), operators }
        })
        .collect();
    let order = match index.parts.last() {
        Some(PostingPart::Time(path)) if !path.many => fields.split_last().map(|(last, before)| {
            let fixed: Vec<_> = before.iter().map(|field| format!("{} =", field.path)).collect();
            if fixed.is_empty() {
                last.path.clone()
            } else {
                format!("{} (with {} in the filter)", last.path, fixed.join(" and "))
            }
        }),
        _ => None,
    };
    ServedIndex { fields, order, serves: index.index.serves.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use super::*;

    /// The line of the documentation before the tables.
    const MARK: &str = "ANNALS_UPDATE=1 after a change. -->\n";

    fn tables() -> String {
        let mut text = String::new();
        for kind in RecordKind::ALL {
            writeln!(text, "\n### {}\n\n| filter | operators | order | finds |\n|--|--|--|--|", kind.message()).unwrap();
            for ServedIndex { fields, order, serves } in served(kind) {
                let paths: Vec<_> = fields.iter().map(|field| format!("`{}`", field.path)).collect();
                let mut operators: Vec<_> = fields.iter().map(|field| field.operators).collect();
                operators.dedup();
                let (paths, operators) = (paths.join(", then "), operators.join("; "));
                writeln!(text, "| {paths} | {operators} | {} | {serves} |", order.unwrap_or_default()).unwrap();
            }
        }
        text
    }

    #[test]
    fn the_documentation_says_what_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/filters.md");
        let before = fs::read_to_string(path).unwrap();
        let (written, _) = before.split_once(MARK).unwrap();
        let now = format!("{written}{MARK}{}", tables());
        if std::env::var_os("ANNALS_UPDATE").is_some() {
            fs::write(path, &now).unwrap();
        } else {
            assert!(before == now, "docs/filters.md is stale: run this test with ANNALS_UPDATE=1");
        }
    }

    #[test]
    fn what_is_said_to_be_served_is_served() {
        for kind in RecordKind::ALL {
            for index in served(kind) {
                let literal = |field: &ServedField| match field.path.as_str() {
                    "name" => format!("\"{}/a\"", kind.collection()),
                    "aspect" => "LEVEL".to_owned(),
                    "kind" => "SUPPORTS".to_owned(),
                    _ if field.operators == SPAN => "\"2024-10-01\"".to_owned(),
                    path => {
                        let joined = joined_references().iter().filter(|index| index.dotted() == path).map(|index| index.then);
                        let own = kind.schema().references.iter().filter(|reference| reference.dotted() == path);
                        own.chain(joined).next().map_or_else(
                            || "\"a\"".to_owned(),
                            |reference| format!("\"{}/a\"", reference.target.unwrap_or(RecordKind::Event).collection()),
                        )
                    }
                };
                let terms: Vec<_> = index.fields.iter().map(|field| format!("{} = {}", field.path, literal(field))).collect();
                for count in 1..=terms.len() {
                    let filter = terms[..count].join(" AND ");
                    let request = crate::proto::ListRecordsRequest { filter, ..Default::default() };
                    let plan = super::super::explain(kind, &request, &crate::store::StoreLimits::default()).unwrap();
                    assert!(!plan.starts_with("every record"), "{}: {plan}", request.filter);
                }
                if let Some(order) = index.order {
                    let (order_by, _) = order.split_once(' ').unwrap_or((&order, ""));
                    let before = terms.len() - 1;
                    let filter = if order_by == "name" { String::new() } else { terms[..before].join(" AND ") };
                    for order_by in [order_by.to_owned(), format!("{order_by} desc")] {
                        let request =
                            crate::proto::ListRecordsRequest { filter: filter.clone(), order_by, ..Default::default() };
                        let plan = super::super::explain(kind, &request, &crate::store::StoreLimits::default()).unwrap();
                        assert!(!plan.contains("then sort"), "{request:?}: {plan}");
                    }
                }
            }
        }
    }
}
