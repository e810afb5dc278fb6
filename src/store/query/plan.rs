//! Plans a list: which keys lead to the records that can match, and what puts the records in order.
//!
//! A plan never decides whether a record matches. Keys are postings, so every record is checked against the whole filter. A
//! plan only leaves out records that cannot match. There are no statistics: a plan prefers the keys that are likely to lead to
//! few records.
//!
//! Knows checked filters, orders, indexes and keys. Must not know the state: it reads nothing.

use std::{
    fmt::{self, Write as _},
    ops::Bound,
};

use super::{
    check::{Comparison, Joined, Pattern, Predicate, Referring, Test},
    field::{FilterField, REFERRERS, Values},
    filter::RecordFilter,
    order::Order,
};
use crate::{
    engine::KeyRange,
    model::{
        RecordKind, RecordName,
        schema::{self, Reference},
    },
    store::{
        joined::{JoinedReference, joined_references},
        keys::{self, IndexKey, UNSET},
        postings::{self, PostingIndex, PostingPart, PostingPath},
    },
};

/// Indexes whose values belong to one record, or nearly so. No other keys lead to fewer records.
const UNIQUE: [&str; 3] = ["external_ids", "sha256", "uri"];

/// Up to this many records are sorted, instead of reading an index that has the order.
pub(super) const FEW: usize = 1000;

/// How a list is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListPlan {
    /// The keys that lead to every record that can match.
    pub(super) access: AccessPath,
    /// What puts the records in order.
    pub(super) row_order: RowOrder,
    /// Ways from the other end: from the records that the filter asks for behind a reference. Each leads to every record that can
    /// match, and can be used instead of the access.
    pub(super) joins: Vec<AccessPath>,
}

/// Keys that lead to records.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AccessPath {
    /// The keys of the records themselves, ordered by name.
    Names {
        /// The text that `--explain` shows. `None` if the range is all records of the kind.
        label: Option<String>,
        /// The range of keys of newest versions.
        range: KeyRange,
    },
    /// Index entries with this prefix, in the order of the ids at their end.
    Entries {
        /// The text that `--explain` shows.
        label: String,
        /// The prefix of the entries.
        prefix: Vec<u8>,
    },
    /// The entries of a joined index, in the order of the ids at their end.
    Joined {
        /// The text that `--explain` shows.
        label: String,
        /// The prefix of the entries.
        prefix: Vec<u8>,
        /// The prefix of the entries of records between, all of whose referrers may match.
        wide: Vec<u8>,
        /// The index.
        index: &'static JoinedReference,
    },
    /// Index entries between two bounds. They are not in the order of ids, and one record may have several.
    Range {
        /// The text that `--explain` shows.
        label: String,
        /// The range of entries.
        range: KeyRange,
    },
    /// All records that any of these leads to. If it is empty, no record can match.
    Union(Vec<AccessPath>),
    /// The records that all of these lead to. Each is in the order of ids.
    Both(Vec<AccessPath>),
    /// The records that are found from other records. It is settled into ids before it is read.
    Join(JoinPath),
    /// Ids, sorted, without duplicates.
    Ids(Vec<String>),
}

/// A way from other records to the records of a list, along a reference.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JoinPath {
    /// The field of the records of the list, or `referrers`, for `--explain`.
    pub(super) label: String,
    /// Which way the reference goes.
    pub(super) along: Along,
    /// The other records, by type.
    pub(super) others: Vec<Others>,
}

/// Which of two records holds the reference between them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Along {
    /// The record of the list, in this field.
    Forwards(&'static Reference),
    /// The other record, in the fields that [`Others`] gives.
    Backwards,
}

/// The other records of a join that have one type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Others {
    /// What they satisfy.
    pub(super) record: Joined,
    /// Backwards: the fields in which they refer to the records of the list.
    pub(super) fields: Vec<&'static Reference>,
    /// The keys that lead to them.
    pub(super) access: AccessPath,
}

/// What puts records in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RowOrder {
    /// The order by name, which every access can give.
    ByName,
    /// The order of the entries of an index, which are read instead of the access. If the access leads to few records, these
    /// are sorted instead.
    ByIndex(ByIndex),
    /// All matching records are sorted.
    Sorted,
}

/// Entries of an index in the order of the times at their end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ByIndex {
    /// The text that `--explain` shows.
    pub(super) label: String,
    /// The prefix of the entries, before the time.
    pub(super) prefix: Vec<u8>,
    /// The range of the entries with a time that can match.
    pub(super) times: KeyRange,
    /// Whether entries without a time can match.
    pub(super) unset: bool,
    /// Whether to try the access first.
    pub(super) few_first: bool,
}

/// How likely an access leads to few records. The best comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Name,
    Unique,
    Reference,
    Composite,
    Value,
    Names,
    Beginning,
    Times,
}

/// A value that every matching record has, and that keys may lead to.
#[derive(Clone, Debug, PartialEq)]
struct Fact {
    /// The field from the record down, in proto names.
    name: String,
    /// The field numbers of the same path.
    path: Vec<u32>,
    has: Has,
    /// The text that `--explain` shows.
    label: String,
    /// For a reference: whether the filter asks for the origin of an attribution.
    origin: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Has {
    Text(String),
    Beginning(String),
    Number(u64),
    Times(Times),
    Names(Vec<String>),
    /// This word is among the words of the texts at these paths.
    Word(Vec<Vec<u32>>, String),
    WordBeginning(Vec<Vec<u32>>, String),
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Times {
    from: Bound<(i64, i32)>,
    to: Bound<(i64, i32)>,
}

impl ListPlan {
    /// Chooses how to read the records of a kind. Expand the filter first, so that references are also found by other names.
    pub(super) fn choose(kind: RecordKind, filter: &RecordFilter, order: &Order) -> Self {
        let conditions = Conditions::of(kind, filter.predicate());
        let best = conditions.access(kind);
        let row_order = row_order(kind, order, &conditions.facts, best.as_ref());
        // Nothing leads to fewer records than the name of one.
        let joins = match &best {
            Some((Rank::Name | Rank::Unique, _)) => Vec::new(),
            _ => conditions.all_joins(kind),
        };
        let access = best.map_or_else(|| every_name(kind), |(_, access)| access);
        Self { access, row_order, joins }
    }
}

/// All records of a kind.
pub(super) fn every_name(kind: RecordKind) -> AccessPath {
    AccessPath::Names { label: None, range: keys::current_of(kind) }
}

/// The path from a record to a message inside it.
struct Prefix {
    kind: RecordKind,
    name: String,
    path: Vec<u32>,
}

impl Prefix {
    fn name(&self, below: &str) -> String {
        if self.name.is_empty() { below.to_owned() } else { format!("{}.{below}", self.name) }
    }

    fn path(&self, below: &[u32]) -> Vec<u32> {
        [self.path.as_slice(), below].concat()
    }
}

/// What holds for every record that a filter matches.
#[derive(Default)]
struct Conditions {
    facts: Vec<Fact>,
    /// For each element, at least one of its parts holds.
    alternatives: Vec<Vec<Conditions>>,
    /// For each element, the record is found from other records.
    joins: Vec<JoinPath>,
}

impl Conditions {
    /// What holds for every record of a kind that a predicate matches.
    fn of(kind: RecordKind, predicate: &Predicate) -> Self {
        let mut conditions = Self::default();
        conditions.add(predicate, &Prefix { kind, name: String::new(), path: Vec::new() });
        conditions
    }

    /// Adds the conditions of a predicate on the messages at a path.
    fn add(&mut self, predicate: &Predicate, prefix: &Prefix) {
        let mut here = Vec::new();
        self.conjunction(predicate, prefix, &mut here);
        // The same hop must have the role ORIGIN and the reference, so only keys of origins can lead to it.
        let role = prefix.path(&[postings::ATTRIBUTION_ROLE]);
        let references = &prefix.kind.schema().references;
        if here.iter().any(|fact| fact.path == role && fact.has == Has::Number(postings::ORIGIN)) {
            for fact in here.iter_mut().filter(|fact| matches!(fact.has, Has::Names(_))) {
                let reference = references.iter().find(|reference| reference.path == fact.path);
                fact.origin = fact.path.len() == role.len() && reference.is_some_and(postings::tells_origin);
            }
        }
        self.facts.append(&mut here);
    }

    fn conjunction(&mut self, predicate: &Predicate, prefix: &Prefix, here: &mut Vec<Fact>) {
        match predicate {
            Predicate::All(parts) => parts.iter().for_each(|part| self.conjunction(part, prefix, here)),
            Predicate::Any(parts) => {
                let part = |part| {
                    let mut conditions = Self::default();
                    conditions.add(part, prefix);
                    conditions
                };
                self.alternatives.push(parts.iter().map(part).collect());
            }
            Predicate::Not(_) => {}
            Predicate::Within(field, inside) => {
                let inner = Prefix { kind: prefix.kind, name: prefix.name(&field.name), path: prefix.path(&field.numbers) };
                self.add(inside, &inner);
            }
            Predicate::Through(field, parts) => {
                let path = prefix.path(&field.numbers);
                if self.add_joined(prefix.kind, &path, parts) {
                    return;
                }
                let reference = prefix.kind.schema().references.iter().find(|reference| reference.path == path);
                self.joins.extend(reference.map(|reference| JoinPath {
                    label: prefix.name(&field.name),
                    along: Along::Forwards(reference),
                    others: parts.iter().map(|part| Others::of(part, Vec::new())).collect(),
                }));
            }
            Predicate::Referrers(parts) => {
                let others = |Referring { record, fields }: &Referring| Others::of(record, fields.clone());
                self.joins.push(JoinPath {
                    label: REFERRERS.to_owned(),
                    along: Along::Backwards,
                    others: parts.iter().map(others).collect(),
                });
            }
            Predicate::Value(field, _) if field.key.is_some() => {}
            Predicate::Value(field, test) => {
                let name = prefix.name(&field.name);
                let path = prefix.path(&field.numbers);
                for (has, value) in has(field, test) {
                    // If a field has one value, it must be in both spans. If it has many, each span may hold for another value.
                    let same = here.iter_mut().find(|fact| !field.many && fact.path == path);
                    if let (Has::Times(times), Some(Fact { has: Has::Times(before), .. })) = (&has, same) {
                        *before = before.and(*times);
                    } else {
                        let label = format!("{name} {value}");
                        here.push(Fact { name: name.clone(), path: path.clone(), has, label, origin: false });
                    }
                }
            }
        }
    }

    /// Adds the facts of another record that a joined index serves. False if none does, or if other keys lead to fewer of the
    /// other records.
    fn add_joined(&mut self, kind: RecordKind, through: &[u32], parts: &[Joined]) -> bool {
        let [Joined { kind: between, predicate }] = parts else { return false };
        let indexes = || joined_references().iter().filter(|index| index.kind == kind && index.through.path == through);
        if indexes().next().is_none() {
            return false;
        }
        let conditions = Self::of(*between, predicate);
        if conditions.access(*between).is_none_or(|(rank, _)| rank < Rank::Reference) {
            return false;
        }
        let before = self.facts.len();
        for index in indexes() {
            let served =
                conditions.facts.iter().filter(|fact| fact.path == index.then.path && matches!(fact.has, Has::Names(_)));
            self.facts.extend(served.map(|fact| Fact { name: index.dotted(), path: index.path.clone(), ..fact.clone() }));
        }
        self.facts.len() > before
    }

    /// The best keys for these conditions, and their rank. `None`: every record must be checked.
    fn access(&self, kind: RecordKind) -> Option<(Rank, AccessPath)> {
        let mut found: Vec<(Rank, AccessPath)> = self.facts.iter().filter_map(|fact| by_fact(kind, fact)).collect();
        found.extend(postings::indexes(kind).iter().flat_map(|index| by_index(kind, index, &self.facts)));
        found.extend(self.alternatives.iter().filter_map(|parts| {
            let parts: Option<Vec<_>> = parts.iter().map(|part| part.access(kind).map(alone)).collect();
            let (ranks, accesses): (Vec<Rank>, Vec<AccessPath>) = parts?.into_iter().unzip();
            Some((ranks.into_iter().max()?, AccessPath::Union(accesses)))
        }));
        // The sort is stable: among equal ranks, the first in the filter wins.
        found.sort_by_key(|(rank, _)| *rank);
        let mut found = found.into_iter();
        let (rank, best) = found.next()?;
        if !(Rank::Reference..=Rank::Value).contains(&rank) || !best.is_by_id() {
            return Some((rank, best));
        }
        match found.find(|(rank, access)| *rank <= Rank::Value && access.is_by_id() && *access != best) {
            Some((_, second)) => Some((rank, AccessPath::Both(vec![best, second]))),
            None => Some((rank, best)),
        }
    }
}

impl Conditions {
    /// Every way from other records to these.
    fn all_joins(&self, kind: RecordKind) -> Vec<AccessPath> {
        let joins = self.joins.iter().cloned().map(AccessPath::Join);
        let unions = self.alternatives.iter().filter_map(|parts| {
            let parts: Option<Vec<_>> = parts.iter().map(|part| part.access_or_join(kind)).collect();
            parts.map(AccessPath::Union).filter(AccessPath::has_join)
        });
        joins.chain(unions).collect()
    }

    /// The best keys; or, if they would lead to many records, a way from other records.
    fn access_or_join(&self, kind: RecordKind) -> Option<AccessPath> {
        let best = self.access(kind).map(alone);
        match best {
            Some((rank, access)) if rank <= Rank::Value => Some(access),
            best => self.all_joins(kind).into_iter().next().or(best.map(|(_, access)| access)),
        }
    }
}

impl Others {
    fn of(part: &Joined, fields: Vec<&'static Reference>) -> Self {
        let access = Conditions::of(part.kind, &part.predicate).access_or_join(part.kind);
        Self { record: part.clone(), fields, access: access.unwrap_or_else(|| every_name(part.kind)) }
    }
}

/// A part of a union must be a single access.
fn alone((rank, access): (Rank, AccessPath)) -> (Rank, AccessPath) {
    match access {
        AccessPath::Both(parts) => {
            parts.into_iter().next().map_or((rank, AccessPath::Union(Vec::new())), |first| (rank, first))
        }
        access => (rank, access),
    }
}

impl AccessPath {
    /// Whether it yields ids in order.
    fn is_by_id(&self) -> bool {
        match self {
            Self::Entries { .. } | Self::Joined { .. } => true,
            Self::Union(parts) => parts.iter().all(Self::is_by_id),
            Self::Names { .. } | Self::Range { .. } | Self::Both(_) | Self::Join(_) | Self::Ids(_) => false,
        }
    }

    /// Whether it must be settled before it can be read.
    pub(super) fn has_join(&self) -> bool {
        match self {
            Self::Join(_) => true,
            Self::Union(parts) | Self::Both(parts) => parts.iter().any(Self::has_join),
            Self::Names { .. } | Self::Entries { .. } | Self::Joined { .. } | Self::Range { .. } | Self::Ids(_) => false,
        }
    }
}

/// What a record has if it passes a test, and the text of it for a plan.
fn has(field: &FilterField, test: &Test) -> Vec<(Has, String)> {
    let equals = |value: &dyn fmt::Debug| format!("= {value:?}");
    match (test, &field.values) {
        (Test::Text(Comparison::Equal, value), _) => vec![(Has::Text(value.clone()), equals(value))],
        (Test::Like { negated: false, pattern: Pattern::Prefix(prefix) }, _) => {
            vec![(Has::Beginning(prefix.clone()), equals(&format!("{prefix}*")))]
        }
        (Test::Name { negated: false, names, .. }, _) => vec![(Has::Names(names.clone()), equals(names))],
        (Test::Enum(Comparison::Equal, number), Values::Enum(values)) => {
            let name = values.get_value(*number).map_or_else(|| number.to_string(), |value| value.name().to_owned());
            u64::try_from(*number).map(|number| (Has::Number(number), format!("= {name}"))).into_iter().collect()
        }
        (Test::Time(comparison, time), _) => {
            Times::of(*comparison, *time).map(|times| (Has::Times(times), "in a time range".to_owned())).into_iter().collect()
        }
        (Test::Words { words, prefix }, Values::Words(paths)) => words
            .iter()
            .enumerate()
            .map(|(at, word)| {
                if *prefix && at + 1 == words.len() {
                    (Has::WordBeginning(paths.clone(), word.clone()), equals(&format!("{word}*")))
                } else {
                    (Has::Word(paths.clone(), word.clone()), equals(word))
                }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The access by name or by reference.
fn by_fact(kind: RecordKind, fact: &Fact) -> Option<(Rank, AccessPath)> {
    let label = fact.label.clone();
    match &fact.has {
        Has::Text(name) if fact.path == [schema::NAME] => {
            let nothing = (Rank::Name, AccessPath::Union(Vec::new()));
            let Some(id) = id_in(kind, name) else { return Some(nothing) };
            let key = keys::current(kind, id);
            let range = (Bound::Included(key.clone()), Bound::Included(key));
            Some((Rank::Name, AccessPath::Names { label: Some(label), range }))
        }
        Has::Beginning(name) if fact.path == [schema::NAME] => {
            let id = id_in(kind, name)?;
            let range = keys::prefix(keys::current(kind, id));
            Some((Rank::Names, AccessPath::Names { label: Some(label), range }))
        }
        Has::Names(names) => {
            let joined = joined_references().iter().find(|index| index.kind == kind && index.path == fact.path);
            let reference = match joined {
                Some(index) => index.then,
                None => kind.schema().references.iter().find(|reference| reference.path == fact.path)?,
            };
            let origins: &[bool] = match (postings::tells_origin(reference), fact.origin) {
                (true, true) => &[true],
                (true, false) => &[false, true],
                (false, _) => &[false],
            };
            let mut entries = Vec::new();
            for name in names {
                let name = name.parse().ok()?;
                entries.extend(origins.iter().map(|origin| {
                    let label = format!("{} = \"{name}\"{}", fact.name, if *origin { " at the origin" } else { "" });
                    let prefix =
                        |field: fn(&RecordName, RecordKind, &[u32], bool) -> Vec<u8>| field(&name, kind, &fact.path, *origin);
                    match joined {
                        Some(index) => {
                            let (prefix, wide) = (prefix(keys::joined_field), prefix(keys::wide_field));
                            AccessPath::Joined { label, prefix, wide, index }
                        }
                        None => AccessPath::Entries { label, prefix: prefix(keys::reference_field) },
                    }
                }));
            }
            Some((Rank::Reference, union(entries)))
        }
        _ => None,
    }
}

fn id_in(kind: RecordKind, name: &str) -> Option<&str> {
    name.strip_prefix(kind.collection())?.strip_prefix('/')
}

fn union(mut parts: Vec<AccessPath>) -> AccessPath {
    match parts.len() {
        1 => parts.remove(0),
        _ => AccessPath::Union(parts),
    }
}

/// The accesses that an index offers for these facts: one for each fact on its first part.
fn by_index<'i>(kind: RecordKind, index: &'i PostingIndex, facts: &'i [Fact]) -> impl Iterator<Item = (Rank, AccessPath)> + 'i {
    facts.iter().filter_map(move |first| {
        let (mut key, mut labels) = (IndexKey::new(kind, index.index.number), Vec::new());
        for (at, part) in index.parts.iter().enumerate() {
            let candidates: &[Fact] = if at == 0 { std::slice::from_ref(first) } else { facts };
            if let Some((fact, longer)) = candidates.iter().find_map(|fact| Some((fact, equal(&key, part, fact)?))) {
                key = longer;
                labels.push(fact.label.clone());
                continue;
            }
            let ranged = candidates.iter().find_map(|fact| Some((fact, between(&key, part, fact)?)));
            return match (ranged, at) {
                (Some((fact, range)), _) => {
                    labels.push(fact.label.clone());
                    let rank = match (at, &fact.has) {
                        (0, Has::Times(_)) => Rank::Times,
                        (0, _) => Rank::Beginning,
                        _ => Rank::Composite,
                    };
                    Some((rank, AccessPath::Range { label: labels.join(" AND "), range }))
                }
                (None, 0) => None,
                (None, _) => Some((Rank::Composite, AccessPath::Range { label: labels.join(" AND "), range: key.range() })),
            };
        }
        let rank = match index.parts.as_slice() {
            [PostingPart::Text(_)] if UNIQUE.contains(&first.name.as_str()) => Rank::Unique,
            [PostingPart::Words(_)] => Rank::Reference,
            [_] => Rank::Value,
            _ => Rank::Composite,
        };
        Some((rank, AccessPath::Entries { label: labels.join(" AND "), prefix: key.bytes() }))
    })
}

/// Continues a key with the value that a fact gives for a part. `None` if the fact gives no single value.
fn equal(key: &IndexKey, part: &PostingPart, fact: &Fact) -> Option<IndexKey> {
    let key = key.clone();
    match (part, &fact.has) {
        (PostingPart::Text(path), Has::Text(text)) if path.numbers == fact.path => Some(key.text(text)),
        (PostingPart::Enum(path), Has::Number(number)) if path.numbers == fact.path => Some(key.number(*number)),
        (PostingPart::Time(path), Has::Times(Times { from: Bound::Included(from), to: Bound::Included(to) }))
            if path.numbers == fact.path && from == to =>
        {
            Some(key.time(from.0, from.1))
        }
        (PostingPart::Words(paths), Has::Word(of, word)) if same_paths(paths, of) => Some(key.text(word)),
        _ => None,
    }
}

/// The range of entries that a fact gives for a part.
fn between(key: &IndexKey, part: &PostingPart, fact: &Fact) -> Option<KeyRange> {
    match (part, &fact.has) {
        (PostingPart::Text(path), Has::Beginning(beginning)) if path.numbers == fact.path => {
            Some(key.clone().text_prefix(beginning).range())
        }
        (PostingPart::Time(path), Has::Times(times)) if path.numbers == fact.path => Some(times.range(key)),
        (PostingPart::Words(paths), Has::WordBeginning(of, beginning)) if same_paths(paths, of) => {
            Some(key.clone().text_prefix(beginning).range())
        }
        _ => None,
    }
}

fn same_paths(paths: &[PostingPath], of: &[Vec<u32>]) -> bool {
    paths.iter().map(|path| &path.numbers).eq(of)
}

/// Chooses what puts the records in order.
fn row_order(kind: RecordKind, order: &Order, facts: &[Fact], best: Option<&(Rank, AccessPath)>) -> RowOrder {
    let [field] = order.fields.as_slice() else {
        return if order.fields.is_empty() { RowOrder::ByName } else { RowOrder::Sorted };
    };
    if field.descending != order.names_descending || field.field.key.is_some() {
        return RowOrder::Sorted;
    }
    let serving = postings::indexes(kind).iter().filter_map(|index| {
        let (last, before) = index.parts.split_last()?;
        let PostingPart::Time(path) = last else { return None };
        if path.many || path.numbers != field.field.numbers {
            return None;
        }
        let mut key = IndexKey::new(kind, index.index.number);
        let mut label = String::new();
        for part in before {
            let (fact, longer) = facts.iter().find_map(|fact| Some((fact, equal(&key, part, fact)?)))?;
            key = longer;
            let _infallible = write!(label, "{} AND ", fact.label);
        }
        let times = facts.iter().find_map(|fact| match fact.has {
            Has::Times(times) if fact.path == path.numbers => Some((fact.label.clone(), times)),
            _ => None,
        });
        let few_first = best.is_some_and(|(rank, access)| *rank <= Rank::Value && !matches!(access, AccessPath::Range { .. }));
        let unset = times.is_none();
        let everything = (field.field.name.clone(), Times { from: Bound::Unbounded, to: Bound::Unbounded });
        let (fact, times) = times.unwrap_or(everything);
        label.push_str(&fact);
        let by_index = ByIndex { label, prefix: key.bytes(), times: times.range(&key), unset, few_first };
        Some((before.len(), by_index))
    });
    serving.max_by_key(|(length, _)| *length).map_or(RowOrder::Sorted, |(_, by_index)| RowOrder::ByIndex(by_index))
}

impl Times {
    /// The times that a comparison allows. `None` if it allows nearly all.
    fn of(comparison: Comparison, time: (i64, i32)) -> Option<Self> {
        let (from, to) = match comparison {
            Comparison::Equal => (Bound::Included(time), Bound::Included(time)),
            Comparison::Less => (Bound::Unbounded, Bound::Excluded(time)),
            Comparison::LessOrEqual => (Bound::Unbounded, Bound::Included(time)),
            Comparison::Greater => (Bound::Excluded(time), Bound::Unbounded),
            Comparison::GreaterOrEqual => (Bound::Included(time), Bound::Unbounded),
            Comparison::NotEqual => return None,
        };
        Some(Self { from, to })
    }

    /// The times that are in both spans.
    fn and(self, other: Self) -> Self {
        let later = |a: Bound<(i64, i32)>, b: Bound<(i64, i32)>| match (a, b) {
            (Bound::Unbounded, bound) | (bound, Bound::Unbounded) => bound,
            (Bound::Included(x), Bound::Included(y)) => Bound::Included(x.max(y)),
            (Bound::Excluded(x), Bound::Excluded(y)) => Bound::Excluded(x.max(y)),
            (Bound::Included(x), Bound::Excluded(y)) | (Bound::Excluded(y), Bound::Included(x)) => {
                if x > y {
                    Bound::Included(x)
                } else {
                    Bound::Excluded(y)
                }
            }
        };
        let earlier = |a: Bound<(i64, i32)>, b: Bound<(i64, i32)>| match (a, b) {
            (Bound::Unbounded, bound) | (bound, Bound::Unbounded) => bound,
            (Bound::Included(x), Bound::Included(y)) => Bound::Included(x.min(y)),
            (Bound::Excluded(x), Bound::Excluded(y)) => Bound::Excluded(x.min(y)),
            (Bound::Included(x), Bound::Excluded(y)) | (Bound::Excluded(y), Bound::Included(x)) => {
                if x < y {
                    Bound::Included(x)
                } else {
                    Bound::Excluded(y)
                }
            }
        };
        Self { from: later(self.from, other.from), to: earlier(self.to, other.to) }
    }

    /// The range of entries below a key whose time is in the span.
    fn range(self, key: &IndexKey) -> KeyRange {
        let begins = |time| key.clone().part(&keys::time_part(Some(time))).bytes();
        let behind = |time| keys::prefix(begins(time)).1;
        let from = match self.from {
            Bound::Unbounded => Bound::Included(key.bytes()),
            Bound::Included(time) => Bound::Included(begins(time)),
            Bound::Excluded(time) => match behind(time) {
                Bound::Excluded(end) => Bound::Included(end),
                other => other,
            },
        };
        let to = match self.to {
            Bound::Unbounded => Bound::Excluded(key.clone().part(&[UNSET]).bytes()),
            Bound::Included(time) => behind(time),
            Bound::Excluded(time) => Bound::Excluded(begins(time)),
        };
        (from, to)
    }
}

/// For `--explain`.
impl fmt::Display for ListPlan {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access, row_order, joins } = self;
        for join in joins {
            write!(to, "{join}, or if it ends sooner: ")?;
        }
        match row_order {
            RowOrder::ByName => write!(to, "{access}, by name")?,
            RowOrder::Sorted => write!(to, "{access}, then sort what matches")?,
            RowOrder::ByIndex(ByIndex { label, few_first: false, .. }) => write!(to, "index {label}, in its order")?,
            RowOrder::ByIndex(ByIndex { label, few_first: true, .. }) => {
                write!(to, "{access}, then sort what matches; if that gives more than {FEW} records: ")?;
                write!(to, "index {label}, in its order")?;
            }
        }
        to.write_str("; the whole filter is checked on each record")
    }
}

impl fmt::Display for AccessPath {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |to: &mut fmt::Formatter<'_>, parts: &[AccessPath], between: &str| {
            for (at, part) in parts.iter().enumerate() {
                to.write_str(if at == 0 { "" } else { between })?;
                part.fmt(to)?;
            }
            Ok(())
        };
        match self {
            Self::Names { label: None, .. } => to.write_str("every record"),
            Self::Names { label: Some(label), .. } => to.write_str(label),
            Self::Entries { label, .. } | Self::Joined { label, .. } | Self::Range { label, .. } => write!(to, "index {label}"),
            Self::Union(parts) if parts.is_empty() => to.write_str("nothing, as no record can match"),
            Self::Union(parts) => {
                to.write_str("(")?;
                list(to, parts, " or ")?;
                to.write_str(")")
            }
            Self::Both(parts) => list(to, parts, " and "),
            Self::Join(join) => join.fmt(to),
            Self::Ids(ids) => write!(to, "{} records that were found from others", ids.len()),
        }
    }
}

impl fmt::Display for JoinPath {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} from ", self.label)?;
        if self.others.is_empty() {
            return to.write_str("nothing, as no record can match");
        }
        for (at, others) in self.others.iter().enumerate() {
            write!(to, "{}{} ", if at == 0 { "" } else { " or " }, others.record.kind.collection())?;
            match &others.access {
                AccessPath::Union(parts) if !parts.is_empty() => write!(to, "{}", others.access)?,
                access => write!(to, "({access})")?,
            }
        }
        Ok(())
    }
}
