//! Resolves the name of a field in a filter or an order to field numbers and the kind of its values.
//!
//! Knows the descriptors of the contract. Must not know what a value is compared with.

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind as FieldKind, MessageDescriptor};

use super::lexer::{self, Mistake};
use crate::model::{IndexPart, RecordKind};

/// The message in which the name of a field is resolved: a record, or a message inside one.
#[derive(Clone, Debug)]
pub(super) struct Container {
    /// The kind of the record, also if the message is inside it.
    pub(super) kind: RecordKind,
    /// The descriptor of the message.
    pub(super) message: MessageDescriptor,
    /// Field numbers from the record down to the message.
    pub(super) above: Vec<u32>,
    /// How many references further a path may go. `None`: only the record itself is read, and no path leaves it.
    references_left: Option<u8>,
}

/// The word before a filter on the records that refer to this one.
pub(super) const REFERRERS: &str = "referrers";

/// Most references between the record of a filter and the record that a path ends in.
pub(super) const REFERENCES_FAR: u8 = 2;

impl Container {
    /// The container of the top-level fields of a record. No path leaves the record.
    pub(super) fn record(kind: RecordKind) -> Self {
        Self { kind, message: kind.schema().message.clone(), above: Vec::new(), references_left: None }
    }

    /// The same, from which a path may go on through this many references.
    pub(super) fn joined(kind: RecordKind, references_left: u8) -> Self {
        Self { references_left: Some(references_left), ..Self::record(kind) }
    }

    /// The references left behind one more. Fails if none is left. `at` and `found` are where the path goes on.
    pub(super) fn spend_reference(&self, at: usize, found: &str) -> Result<u8, Mistake> {
        let expected = match self.references_left {
            Some(left @ 1..) => return Ok(left - 1),
            Some(0) => format!("an operator: a path goes on through at most {REFERENCES_FAR} references"),
            None => "a path that stays in the record: this filter reads no other records, as that of a watch".to_owned(),
        };
        Err(Mistake::new(at, found, expected))
    }

    /// The words that are no field of the contract and may begin a path here.
    fn other_words(&self) -> impl Iterator<Item = &'static str> {
        let joins = self.above.is_empty() && self.references_left.is_some_and(|left| left > 0);
        let computed = computed_fields(self.kind).iter().map(|field| field.name).chain([REFERRERS]);
        virtual_fields(self).map(|(name, _)| name).chain(computed.filter(move |_| joins))
    }

    /// Whether a path can begin with a name here.
    pub(super) fn has(&self, name: &str) -> bool {
        let field = self.message.get_field_by_name(name).or_else(|| self.message.get_field_by_json_name(name));
        field.is_some() || self.other_words().any(|word| word == name || json_name(word) == name)
    }

    /// The container of the messages that a field of this container holds.
    pub(super) fn inside(&self, field: &FilterField, message: &MessageDescriptor) -> Self {
        let above = self.above.iter().chain(&field.numbers).copied().collect();
        Self { message: message.clone(), above, ..self.clone() }
    }
}

/// A field that no record holds: it stands for the values of any of several paths.
#[derive(Debug)]
pub(super) struct ComputedField {
    /// Its name in a filter.
    pub(super) name: &'static str,
    /// The paths. They may go on through references.
    pub(super) paths: &'static [&'static str],
}

/// The computed fields of a kind.
pub(super) fn computed_fields(kind: RecordKind) -> &'static [ComputedField] {
    const SPEAKERS: &str = "speakers";
    match kind {
        RecordKind::Claim => &[ComputedField { name: SPEAKERS, paths: &["attribution.actors"] }],
        RecordKind::Estimate => &[ComputedField { name: SPEAKERS, paths: &["attribution.actors", "claim.attribution.actors"] }],
        _ => &[],
    }
}

/// A field: the path to its values, and what they are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FilterField {
    /// The name in the filter, in proto form.
    pub(super) name: String,
    /// Field numbers from the container down. If `key` is set, the last one is that of a map.
    pub(super) numbers: Vec<u32>,
    /// The key of a map.
    pub(super) key: Option<String>,
    /// Whether a record can have several values.
    pub(super) many: bool,
    /// Whether it has a value in every message that is present: a bool or number without `optional`.
    pub(super) always_set: bool,
    /// The kind of its values.
    pub(super) values: Values,
}

/// The kinds of values that a filter knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// Texts.
    Text,
    /// Names of records: of this kind, or of any kind if `None`.
    Reference(Option<RecordKind>),
    /// Bools.
    Bool,
    /// Whole numbers.
    Int,
    /// Floating-point numbers.
    Double,
    /// Values of an enum.
    Enum(EnumDescriptor),
    /// Times.
    Time,
    /// Messages with fields.
    Message(MessageDescriptor),
    /// The entries of a map as a whole.
    Map,
    /// The folded words of the texts at these paths from the record down.
    Words(Vec<Vec<u32>>),
}

impl FilterField {
    /// Finds a field by its name in proto or JSON form. The path ends in this record.
    pub(super) fn resolve(container: &Container, path: &lexer::FilterPath) -> Result<Self, Mistake> {
        let (field, rest) = Self::reach(container, path)?;
        match rest.as_ref().and_then(|rest| rest.names.first().or(rest.key.as_ref())) {
            Some((at, name)) => Err(Mistake::new(*at, name, format!("an operator: {} has no fields", field.name))),
            None => Ok(field),
        }
    }

    /// Follows a path up to the first reference. If the path goes on behind it, this gives the rest, too.
    pub(super) fn reach(container: &Container, path: &lexer::FilterPath) -> Result<(Self, Option<lexer::FilterPath>), Mistake> {
        let mut found = Self {
            name: String::new(),
            numbers: Vec::new(),
            key: None,
            many: false,
            always_set: false,
            values: Values::Message(container.message.clone()),
        };
        let mut names = path.names.iter();
        while let Some((at, name)) = names.next() {
            if matches!(found.values, Values::Reference(_)) {
                let rest = std::iter::once((*at, name.clone())).chain(names.cloned()).collect();
                return Ok((found, Some(lexer::FilterPath { names: rest, key: path.key.clone() })));
            }
            let Values::Message(message) = &found.values else {
                return Err(Mistake::new(*at, name, format!("an operator: {} has no fields", found.name)));
            };
            let field = message.get_field_by_name(name).or_else(|| message.get_field_by_json_name(name));
            let Some(field) = field else {
                return match words(container, name) {
                    Some(words) if found.numbers.is_empty() && path.word().is_some() => Ok((words, None)),
                    _ if *message == container.message => {
                        Err(Mistake::new(*at, name, fields_of_any(std::slice::from_ref(container))))
                    }
                    _ => {
                        Err(Mistake::new(*at, name, format!("a field of {}: {}", message.name(), names_of(message).join(", "))))
                    }
                };
            };
            found.step(&field, container);
            if field.is_map() {
                found.take_key(&field, names.as_slice(), path.key.as_ref())?;
                return Ok((found, None));
            }
        }
        match &path.key {
            Some(key) if matches!(found.values, Values::Reference(_)) => {
                Ok((found, Some(lexer::FilterPath { names: Vec::new(), key: Some(key.clone()) })))
            }
            Some((at, key)) => {
                Err(Mistake::new(*at, format!("{key:?}"), format!("an operator: {} is not a map and has no keys", found.name)))
            }
            None => Ok((found, None)),
        }
    }

    /// Follows a field of the message reached so far.
    fn step(&mut self, field: &FieldDescriptor, container: &Container) {
        if !self.name.is_empty() {
            self.name.push('.');
        }
        self.name.push_str(field.name());
        self.numbers.push(field.number());
        self.many |= field.is_list();
        self.values = values(field.kind());
        self.always_set = matches!(self.values, Values::Bool | Values::Int | Values::Double)
            && !field.supports_presence()
            && !field.is_list();
        let from_record = || container.above.iter().chain(&self.numbers).copied();
        if let Some(reference) = container.kind.schema().references.iter().find(|r| from_record().eq(r.path.iter().copied())) {
            self.values = Values::Reference(reference.target);
        }
    }

    /// Takes the key of a map: the quoted key, or the rest of the path.
    fn take_key(
        &mut self,
        map: &FieldDescriptor,
        rest: &[(usize, String)],
        quoted: Option<&(usize, String)>,
    ) -> Result<(), Mistake> {
        let key = match (rest, quoted) {
            ([], None) => {
                self.values = Values::Map;
                return Ok(());
            }
            ([], Some((_, key))) => key.clone(),
            (rest, None) => rest.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("."),
            (_, Some((at, key))) => {
                return Err(Mistake::new(*at, format!("{key:?}"), "the whole key in quotes, or none of it"));
            }
        };
        if let FieldKind::Message(entry) = map.kind() {
            self.values = values(entry.map_entry_value_field().kind());
        }
        let plain = key.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        self.name = if plain { format!("{}.{key}", self.name) } else { format!("{}.{key:?}", self.name) };
        self.key = Some(key);
        Ok(())
    }
}

fn values(kind: FieldKind) -> Values {
    match kind {
        FieldKind::Bool => Values::Bool,
        FieldKind::Double => Values::Double,
        FieldKind::Enum(values) => Values::Enum(values),
        FieldKind::Message(message) if message.full_name() == "google.protobuf.Timestamp" => Values::Time,
        FieldKind::Message(message) => Values::Message(message),
        FieldKind::Int32 | FieldKind::Int64 | FieldKind::Uint32 => Values::Int,
        // The contract has no other kinds, as a test shows.
        _ => Values::Text,
    }
}

/// The virtual field of an index over words.
fn words(container: &Container, name: &str) -> Option<FilterField> {
    let (name, paths) = virtual_fields(container).find(|(field, _)| *field == name || json_name(field) == name)?;
    let numbers = |dotted: &&str| {
        let path = dotted.split('.').map(|name| (0, name.to_owned())).collect();
        FilterField::resolve(container, &lexer::FilterPath { names: path, key: None }).map(|field| field.numbers)
    };
    Some(FilterField {
        name: name.to_owned(),
        numbers: Vec::new(),
        key: None,
        many: true,
        always_set: false,
        values: Values::Words(paths.iter().map(numbers).collect::<Result<_, _>>().ok()?),
    })
}

fn virtual_fields(container: &Container) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let indexes = if container.above.is_empty() { container.kind.resource_type().indexes } else { &[] };
    indexes.iter().flat_map(|index| index.parts).filter_map(|part| match part {
        IndexPart::Words(name, paths) => Some((*name, *paths)),
        _ => None,
    })
}

/// The fields that a path in any of some messages can begin with, as an error expects them.
pub(super) fn fields_of_any(within: &[Container]) -> String {
    let mut names: Vec<String> = Vec::new();
    for container in within {
        for name in names_of(&container.message).into_iter().chain(container.other_words().map(str::to_owned)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let messages: Vec<_> = within.iter().map(|container| container.message.name()).collect();
    format!("a field of {}: {}", messages.join(", "), names.join(", "))
}

fn names_of(message: &MessageDescriptor) -> Vec<String> {
    message.fields().map(|field| field.name().to_owned()).collect()
}

/// The name of a field in the JSON form of a message.
fn json_name(name: &str) -> String {
    let mut json = String::new();
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            letter if upper => {
                json.extend(letter.to_uppercase());
                upper = false;
            }
            letter => json.push(letter),
        }
    }
    json
}

/// Visits every field that an order or a filter can name, and the messages that hold them.
#[cfg(test)]
pub(super) fn all_fields(message: &MessageDescriptor, visit: &mut dyn FnMut(&FieldDescriptor)) {
    for field in message.fields() {
        visit(&field);
        if let FieldKind::Message(inner) = field.kind()
            && !field.is_map()
            && inner.package_name() == "annals.v1"
        {
            all_fields(&inner, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_only_fields_that_a_filter_can_read() {
        for kind in RecordKind::ALL {
            all_fields(&kind.schema().message, &mut |field| {
                let known = match field.kind() {
                    FieldKind::Message(message) => {
                        field.is_map() || message.package_name() == "annals.v1" || message.name() == "Timestamp"
                    }
                    FieldKind::Bool | FieldKind::Double | FieldKind::Enum(_) | FieldKind::String => true,
                    other => matches!(other, FieldKind::Int32 | FieldKind::Int64 | FieldKind::Uint32),
                };
                assert!(known, "{}: add its values to `values` and to the evaluation", field.full_name());
                assert!(!field.is_packed(), "{}: the evaluation does not unpack", field.full_name());
                if field.is_map()
                    && let FieldKind::Message(entry) = field.kind()
                {
                    let of = entry.map_entry_value_field().kind();
                    assert_eq!(entry.map_entry_key_field().kind(), FieldKind::String);
                    assert!(matches!(of, FieldKind::String | FieldKind::Double), "{}", field.full_name());
                }
            });
        }
    }
}
