//! Which filters and orders an index serves: what the documentation says of each type, and what an error suggests.
//!
//! Read off the same declarations that the keys are made from. Must not know any record.

use crate::{
    model::{Kind, Part},
    store::hints::{HintIndex, HintPart, indexes, tells_origin},
};

/// Something that leads to few records, or puts them in order, without looking at all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedIndex {
    /// What a filter can say, in this order and joined by AND: the index serves any number of them from the first on.
    pub fields: Vec<ServedField>,
    /// The order it serves: "`time.earliest`".
    pub order: Option<String>,
    /// The question that it answers.
    pub serves: String,
}

/// A field as an index serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedField {
    /// As a filter has it.
    pub path: String,
    /// What it may be compared by.
    pub operators: &'static str,
}

/// What `=` and `:` serve.
const EQUAL: &str = "= or :";
/// The same, and the beginning of a text.
const BEGINNING: &str = "= or :, also with * at the end";
/// Of a time.
const SPAN: &str = "= < <= > >=";

/// Everything that serves lists of a kind.
pub fn served(kind: Kind) -> Vec<ServedIndex> {
    let name = ServedIndex {
        fields: vec![ServedField { path: "name".to_owned(), operators: BEGINNING }],
        order: Some("name".to_owned()),
        serves: "records by name".to_owned(),
    };
    let references = kind.schema().references.iter().map(|reference| ServedIndex {
        fields: vec![ServedField { path: reference.dotted(), operators: EQUAL }],
        order: None,
        serves: if tells_origin(reference) {
            "who said it; fewer are looked at where the filter asks for the origin: attribution:(role = ORIGIN AND actors:\"...\")"
                .to_owned()
        } else {
            "what refers to a record".to_owned()
        },
    });
    std::iter::once(name).chain(indexes(kind).iter().map(of_index)).chain(references).collect()
}

fn of_index(index: &HintIndex) -> ServedIndex {
    let declared = index.index.parts;
    let fields: Vec<_> = declared
        .iter()
        .zip(&index.parts)
        .map(|(part, resolved)| {
            let (path, operators) = match (part, resolved) {
                (Part::Time(path), _) => (path, SPAN),
                (Part::Words(name, _), _) => (name, BEGINNING),
                (Part::Exact(path), HintPart::Enum(_)) => (path, EQUAL),
                (Part::Exact(path), _) => (path, BEGINNING),
            };
            ServedField { path: (*path).to_owned(), operators }
        })
        .collect();
    let order = match index.parts.last() {
        Some(HintPart::Time(path)) if !path.many => fields.split_last().map(|(last, before)| {
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
