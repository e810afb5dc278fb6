//! The first step of a path: a field of the record itself, or the way into other records.
//!
//! A path goes on through a reference into the record that it leads to (`claim.attribution.actors`), and back to the records that
//! refer to this one (`referrers.claims.polarity`). A computed field stands for several paths (`speakers`).
//!
//! Knows fields, and which field refers to what. Must not know what a value is compared with.

use super::{
    field::{Container, FilterField, REFERRERS, Values, computed_fields},
    lexer::{FilterPath, Mistake},
};
use crate::model::{RecordKind, schema::Reference};

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The whole path is a field of this record.
    Inside(FilterField),
    /// A field refers to records, in which the rest of the path goes on.
    Through(FilterField, Vec<Container>, FilterPath),
    /// The records that refer to this one. The path may go on in them.
    Back(Vec<Referrer>, Option<FilterPath>),
    /// Any of these paths.
    AnyOf(Vec<FilterPath>),
}

/// A type of records that may refer to the record, and the fields in which they may.
#[derive(Clone, Debug)]
pub(super) struct Referrer {
    /// The type, as a container of its fields.
    pub(super) container: Container,
    /// The fields.
    pub(super) fields: Vec<&'static Reference>,
}

/// Finds where a path leads.
pub(super) fn step(container: &Container, path: &FilterPath) -> Result<Step, Mistake> {
    if let Some((at, first)) = path.names.first()
        && container.above.is_empty()
    {
        if first == REFERRERS {
            container.spend_reference(*at, first)?;
            return back(container, path);
        }
        if let Some(computed) = computed_fields(container.kind).iter().find(|field| field.name == first) {
            container.spend_reference(*at, first)?;
            return Ok(Step::AnyOf(computed.paths.iter().map(|dotted| substituted(path, dotted)).collect()));
        }
    }
    let (field, rest) = FilterField::reach(container, path)?;
    match (&field.values, rest) {
        (Values::Reference(target), Some(rest)) => {
            let Some((at, name)) = rest.names.first() else {
                let (at, key) = rest.key.unwrap_or_default();
                let expected = format!("an operator, or a field of the record that {} refers to", field.name);
                return Err(Mistake::new(at, format!("{key:?}"), expected));
            };
            let within = referred(container, *target, *at, name)?;
            Ok(Step::Through(field, within, rest))
        }
        _ => Ok(Step::Inside(field)),
    }
}

/// The records that a field may refer to, as containers of their fields. `at` and `found` are where the path goes on.
pub(super) fn referred(
    container: &Container,
    target: Option<RecordKind>,
    at: usize,
    found: &str,
) -> Result<Vec<Container>, Mistake> {
    let left = container.spend_reference(at, found)?;
    Ok(target
        .map_or_else(|| RecordKind::ALL.to_vec(), |kind| vec![kind])
        .into_iter()
        .map(|kind| Container::joined(kind, left))
        .collect())
}

/// `referrers`, `referrers.claims`, `referrers."claims.about"`, and what follows.
fn back(container: &Container, path: &FilterPath) -> Result<Step, Mistake> {
    let (at, word) = path.names.first().map_or((0, ""), |(at, name)| (*at, name.as_str()));
    let left = container.spend_reference(at, word)?;
    let all: Vec<Referrer> = RecordKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let refers = |reference: &&Reference| reference.target.is_none_or(|target| target == container.kind);
            let fields: Vec<_> = kind.schema().references.iter().filter(refers).collect();
            (!fields.is_empty()).then(|| Referrer { container: Container::joined(kind, left), fields })
        })
        .collect();
    let collections = || all.iter().map(|referrer| referrer.container.kind.collection()).collect::<Vec<_>>().join(", ");
    let of = |collection: &str| all.iter().find(|referrer| referrer.container.kind.collection() == collection).cloned();
    match (path.names.as_slice(), &path.key) {
        ([_], None) => Ok(Step::Back(all, None)),
        ([_], Some((at, key))) => {
            let found = key.split_once('.').and_then(|(collection, field)| {
                let mut referrer = of(collection)?;
                referrer.fields.retain(|reference| reference.dotted() == field);
                (!referrer.fields.is_empty()).then_some(referrer)
            });
            let known = || {
                all.iter().flat_map(|referrer| {
                    let collection = referrer.container.kind.collection();
                    referrer.fields.iter().map(move |field| format!("\"{collection}.{}\"", field.dotted()))
                })
            };
            found.map(|referrer| Step::Back(vec![referrer], None)).ok_or_else(|| {
                let expected = "a collection and its field that refers to this record";
                Mistake::new(*at, format!("{key:?}"), format!("{expected}: {}", known().collect::<Vec<_>>().join(", ")))
            })
        }
        ([_, (at, collection), rest @ ..], key) => {
            let Some(referrer) = of(collection) else {
                let expected = format!("a collection whose records can refer to this one: {}", collections());
                return Err(Mistake::new(*at, collection, expected));
            };
            let rest = FilterPath { names: rest.to_vec(), key: key.clone() };
            match &rest {
                FilterPath { names, key: None } if names.is_empty() => Ok(Step::Back(vec![referrer], None)),
                FilterPath { names, key: Some((at, key)) } if names.is_empty() => {
                    let expected = format!("an operator, or a field of {collection} without quotes");
                    Err(Mistake::new(*at, format!("{key:?}"), expected))
                }
                _ => Ok(Step::Back(vec![referrer], Some(rest))),
            }
        }
        ([], _) => Err(Mistake::new(at, word, "a field")),
    }
}

/// The path with its first name replaced by a dotted path.
fn substituted(path: &FilterPath, dotted: &str) -> FilterPath {
    let at = path.names.first().map_or(0, |(at, _)| *at);
    let first = dotted.split('.').map(|name| (at, name.to_owned()));
    FilterPath { names: first.chain(path.names.iter().skip(1).cloned()).collect(), key: path.key.clone() }
}
