//! The postings of a record: its index keys and reference keys, made from its bytes and from what its type declares.
//!
//! A filter reads a field with the same code that makes the key, so an index finds what a scan would find.
//!
//! Knows schemas and keys. Must not know versions or filters.

use std::sync::LazyLock;

use prost_reflect::{Kind as FieldKind, MessageDescriptor};

use super::keys::{self, IndexKey};
use crate::model::{
    IndexPart, RecordIndex, RecordKind, RecordName,
    schema::{Reference, Schema},
    wire, words,
};

/// Field number of `Attribution.role`.
pub(crate) const ATTRIBUTION_ROLE: u32 = 3;
/// Number of `ATTRIBUTION_ROLE_ORIGIN`.
pub(crate) const ORIGIN: u64 = 1;

/// An index whose paths are resolved to field numbers.
#[derive(Debug)]
pub(crate) struct PostingIndex {
    /// The index as its type declares it.
    pub(crate) index: &'static RecordIndex,
    /// Its parts, in order.
    pub(crate) parts: Vec<PostingPart>,
}

/// A part of an index whose path is resolved to field numbers.
#[derive(Debug)]
pub(crate) enum PostingPart {
    /// A text.
    Text(PostingPath),
    /// An enum, by number.
    Enum(PostingPath),
    /// A timestamp.
    Time(PostingPath),
    /// The words of some texts, folded in case and diacritics.
    Words(Vec<PostingPath>),
}

/// A path of field numbers.
#[derive(Debug)]
pub(crate) struct PostingPath {
    /// The field numbers from the record down.
    pub(crate) numbers: Vec<u32>,
    /// Whether a record can have several values at this path.
    pub(crate) many: bool,
}

/// The indexes of a kind, with resolved paths.
pub(crate) fn indexes(kind: RecordKind) -> &'static [PostingIndex] {
    static INDEXES: LazyLock<Vec<(RecordKind, Vec<PostingIndex>)>> = LazyLock::new(|| {
        RecordKind::ALL
            .into_iter()
            .map(|kind| (kind, kind.resource_type().indexes.iter().map(|index| resolve(kind, index)).collect()))
            .collect()
    });
    INDEXES.iter().find(|(of, _)| *of == kind).map_or(&[], |(_, indexes)| indexes)
}

fn resolve(kind: RecordKind, index: &'static RecordIndex) -> PostingIndex {
    let message = &kind.schema().message;
    let parts = index
        .parts
        .iter()
        .map(|part| match part {
            IndexPart::Exact(path) => match path_of(message, path) {
                (path, FieldKind::Enum(_)) => PostingPart::Enum(path),
                (path, _) => PostingPart::Text(path),
            },
            IndexPart::Time(path) => PostingPart::Time(path_of(message, path).0),
            IndexPart::Words(_, paths) => PostingPart::Words(paths.iter().map(|path| path_of(message, path).0).collect()),
        })
        .collect();
    PostingIndex { index, parts }
}

fn path_of(message: &MessageDescriptor, dotted: &str) -> (PostingPath, FieldKind) {
    let mut path = PostingPath { numbers: Vec::new(), many: false };
    let mut kind = FieldKind::Message(message.clone());
    for name in dotted.split('.') {
        let field = kind
            .as_message()
            .and_then(|message| message.get_field_by_name(name))
            .unwrap_or_else(|| panic!("the contract has no {dotted}, which an index of {} names", message.name()));
        path.numbers.push(field.number());
        path.many |= field.is_list();
        kind = field.kind();
    }
    (path, kind)
}

/// Every index and reference key of a record, sorted, each once.
pub(crate) fn postings(kind: RecordKind, id: &str, record: &[u8]) -> Vec<Vec<u8>> {
    let mut postings = Vec::new();
    for index in indexes(kind) {
        let mut prefixes = vec![IndexKey::new(kind, index.index.number)];
        for (at, part) in index.parts.iter().enumerate() {
            let last = at + 1 == index.parts.len();
            prefixes = prefixes
                .into_iter()
                .flat_map(|prefix| with_part(&prefix, part, record, PartPosition { first: at == 0, last }))
                .collect();
        }
        postings.extend(prefixes.into_iter().map(|prefix| prefix.entry(id)));
    }
    for_each_reference(kind.schema(), record, &mut |path, origin, target| {
        postings.push(keys::reference(&target, kind, path, origin, id));
    });
    postings.sort_unstable();
    postings.dedup();
    postings
}

/// Where a part is in its index.
#[derive(Clone, Copy)]
struct PartPosition {
    first: bool,
    last: bool,
}

/// The keys that continue a prefix with every value of a part.
///
/// A part that is not the first has a key for unset too, so that the parts before it find every record that has them. So has a
/// single time at the end, because it serves an order.
fn with_part(prefix: &IndexKey, part: &PostingPart, record: &[u8], position: PartPosition) -> Vec<IndexKey> {
    let mut keys = Vec::new();
    match part {
        PostingPart::Text(path) => wire::visit_values(record, &path.numbers, &mut |value| {
            if !value.text().is_empty() {
                keys.push(prefix.clone().text(value.text()));
            }
        }),
        PostingPart::Enum(path) => wire::visit_values(record, &path.numbers, &mut |value| {
            if let wire::Value::Varint(number) = value
                && number != 0
            {
                keys.push(prefix.clone().number(number));
            }
        }),
        PostingPart::Time(path) => {
            wire::visit_values(record, &path.numbers, &mut |value| {
                let (seconds, nanos) = value.timestamp();
                keys.push(prefix.clone().time(seconds, nanos));
            });
            if keys.is_empty() && position.last && !path.many {
                keys.push(prefix.clone().unset());
            }
        }
        PostingPart::Words(paths) => {
            for path in paths {
                wire::visit_values(record, &path.numbers, &mut |value| {
                    keys.extend(words(value.text()).iter().map(|word| prefix.clone().text(word)));
                });
            }
        }
    }
    if keys.is_empty() && !position.first {
        keys.push(prefix.clone().unset());
    }
    keys
}

/// Visits every reference of a record: the path of the field, whether the reference is at the origin of an attribution, and the
/// name.
pub(crate) fn for_each_reference(schema: &Schema, record: &[u8], visit: &mut dyn FnMut(&[u32], bool, RecordName)) {
    for reference in &schema.references {
        let in_attribution = tells_origin(reference);
        wire::visit_texts(record, &reference.path, &mut |positions, text| {
            if let Ok(target) = text.parse() {
                let origin = in_attribution && is_origin(record, &reference.path, positions);
                visit(&reference.path, origin, target);
            }
        });
    }
}

/// Whether a record refers to a name.
pub(crate) fn refers_to(kind: RecordKind, record: &[u8], target: &str) -> bool {
    let mut refers = false;
    for_each_reference(kind.schema(), record, &mut |_, _, name| refers |= name.to_string() == target);
    refers
}

/// Whether the keys of a reference tell which actor is the origin of an attribution.
pub(crate) fn tells_origin(reference: &Reference) -> bool {
    matches!(reference.names.as_slice(), [.., hop, field] if hop == "attribution" && field == "actors")
}

/// Whether the hop that holds a reference is the first, or says that it is the origin.
fn is_origin(record: &[u8], path: &[u32], positions: &[usize]) -> bool {
    let (Some(number), Some(position)) = (path.first(), positions.first()) else { return false };
    *position == 0
        || wire::fields(record)
            .filter(|field| field.number == *number)
            .nth(*position)
            .and_then(|hop| wire::first(hop.value.bytes(), ATTRIBUTION_ROLE))
            .is_some_and(|role| role == wire::Value::Varint(ORIGIN))
}

/// The prefix of the index of external ids, which every kind has.
pub(crate) fn external_id_key(kind: RecordKind) -> IndexKey {
    let index = indexes(kind)
        .iter()
        .find(|index| index.index.parts == [IndexPart::Exact("external_ids")])
        .expect("every kind has an index over external_ids, as a test shows");
    IndexKey::new(kind, index.index.number)
}
