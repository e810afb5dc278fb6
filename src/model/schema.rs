//! The fields of each type as the contract declares them: numbers, names, kinds, references.
//!
//! They are read once from the descriptors. A new field can be filtered, referenced and updated without new code here. Knows
//! descriptors. Must not know which rules apply to a field.

use std::sync::LazyLock;

use prost_reflect::{Cardinality, FieldDescriptor, MessageDescriptor, Value};

use super::RecordKind;
use crate::proto;

/// Number of the field that contains a record's name. Fields 1 to 11 are the same in every record.
pub(crate) const NAME: u32 = 1;
/// Number of `revision`.
pub(crate) const REVISION: u32 = 2;
/// Number of `create_revision`.
pub(crate) const CREATE_REVISION: u32 = 3;
/// Number of `create_time`.
pub(crate) const CREATE_TIME: u32 = 4;
/// Number of `update_time`.
pub(crate) const UPDATE_TIME: u32 = 5;
/// Number of `delete_time`.
pub(crate) const DELETE_TIME: u32 = 6;
/// Number of `external_ids`.
pub(crate) const EXTERNAL_IDS: u32 = 7;
/// Number of `labels`.
pub(crate) const LABELS: u32 = 8;
/// Number of `merged_names`.
pub(crate) const MERGED_NAMES: u32 = 11;

/// A type of record, as declared.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The type of record.
    pub(crate) kind: RecordKind,
    /// The descriptor of its message.
    pub(crate) message: MessageDescriptor,
    /// Its top-level fields, by number.
    pub(crate) fields: Vec<TopField>,
    /// Every field at any depth that refers to a record, in the order of the contract.
    pub(crate) references: Vec<Reference>,
}

/// A top-level field of a record.
#[derive(Debug)]
pub(crate) struct TopField {
    /// Its field number in the message.
    pub(crate) number: u32,
    /// Its name in the contract, such as `create_time`.
    pub(crate) name: String,
    /// Its name in JSON, such as `createTime`. Field lists accept it too.
    pub(crate) json_name: String,
    /// The server writes it and ignores what a client sends. Also true of `name`.
    pub(crate) output_only: bool,
    /// It may be set once and not changed afterwards.
    pub(crate) immutable: bool,
}

/// A field that contains names of records.
#[derive(Debug, PartialEq)]
pub(crate) struct Reference {
    /// Field numbers from the record down. They are also the field's part of a reference key.
    pub(crate) path: Vec<u32>,
    /// The same in proto names.
    pub(crate) names: Vec<String>,
    /// For each step of the path, whether that field is repeated.
    pub(crate) repeated: Vec<bool>,
    /// The kind that it must refer to. `None` if any kind is allowed.
    pub(crate) target: Option<RecordKind>,
}

impl Reference {
    /// The path in proto names, as a filter writes it: "attribution.actors".
    pub(crate) fn dotted(&self) -> String {
        self.names.join(".")
    }

    /// The path of one value: `attribution[0].actors[1]`. The positions are those that [`super::wire::visit_texts`] reports.
    pub(crate) fn at(&self, positions: &[usize]) -> String {
        let mut path = String::new();
        for ((name, repeated), position) in self.names.iter().zip(&self.repeated).zip(positions) {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            if *repeated {
                path.extend(["[", &position.to_string(), "]"]);
            }
        }
        path
    }
}

impl Schema {
    /// The top-level field with this proto or JSON name.
    pub(crate) fn field(&self, name: &str) -> Option<&TopField> {
        self.fields.iter().find(|field| field.name == name || field.json_name == name)
    }

    /// The proto name of the top-level field with this number. Empty if there is none.
    pub(crate) fn field_name(&self, number: u32) -> &str {
        self.fields.iter().find(|field| field.number == number).map_or("", |field| field.name.as_str())
    }
}

impl RecordKind {
    /// Its message in the contract: the names, numbers and types of all fields.
    pub fn descriptor(self) -> &'static MessageDescriptor {
        &self.schema().message
    }

    /// The type as the contract declares it.
    pub(crate) fn schema(self) -> &'static Schema {
        static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| RecordKind::ALL.into_iter().map(read).collect());
        SCHEMAS.iter().find(|schema| schema.kind == self).expect("every kind has a message in the contract")
    }
}

fn read(kind: RecordKind) -> Schema {
    let message = proto::descriptors()
        .get_message_by_name(&format!("annals.v1.{}", kind.message()))
        .expect("every kind has a message in the contract");
    let fields = message
        .fields()
        .map(|field| TopField {
            number: field.number(),
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            output_only: has_behavior(&field, "OUTPUT_ONLY") || has_behavior(&field, "IDENTIFIER"),
            immutable: has_behavior(&field, "IMMUTABLE"),
        })
        .collect();
    let mut references = Vec::new();
    find_references(&message, &mut Vec::new(), &mut references);
    Schema { kind, message, fields, references }
}

/// Collects the references of a message. The recursion ends because no message of the contract contains itself.
fn find_references(message: &MessageDescriptor, above: &mut Vec<FieldDescriptor>, found: &mut Vec<Reference>) {
    for field in message.fields() {
        above.push(field.clone());
        if let Some(target) = reference_target(&field) {
            found.push(Reference {
                path: above.iter().map(FieldDescriptor::number).collect(),
                names: above.iter().map(|step| step.name().to_owned()).collect(),
                repeated: above.iter().map(|step| step.cardinality() == Cardinality::Repeated).collect(),
                target: RecordKind::ALL.into_iter().find(|kind| target == format!("annals/{}", kind.message())),
            });
        } else if let prost_reflect::Kind::Message(inner) = field.kind()
            && !field.is_map()
            && inner.package_name() == "annals.v1"
        {
            find_references(&inner, above, found);
        }
        above.pop();
    }
}

pub(super) fn reference_target(field: &FieldDescriptor) -> Option<String> {
    let extension = proto::descriptors().get_extension_by_name("google.api.resource_reference")?;
    let options = field.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let reference = options.get_extension(&extension);
    Some(reference.as_message()?.get_field_by_name("type")?.as_str()?.to_owned())
}

pub(super) fn has_behavior(field: &FieldDescriptor, behavior: &str) -> bool {
    let Some(extension) = proto::descriptors().get_extension_by_name("google.api.field_behavior") else { return false };
    let prost_reflect::Kind::Enum(values) = extension.kind() else { return false };
    let Some(number) = values.get_value_by_name(behavior).map(|value| value.number()) else { return false };
    let options = field.options();
    let behaviors = options.get_extension(&extension);
    behaviors.as_list().is_some_and(|list| list.contains(&Value::EnumNumber(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_eleven_fields_are_the_same_in_every_record() {
        for kind in RecordKind::ALL {
            let names: Vec<_> = kind.schema().fields.iter().take(11).map(|field| (field.number, field.name.as_str())).collect();
            assert_eq!(
                names,
                [
                    (NAME, "name"),
                    (REVISION, "revision"),
                    (CREATE_REVISION, "create_revision"),
                    (CREATE_TIME, "create_time"),
                    (UPDATE_TIME, "update_time"),
                    (DELETE_TIME, "delete_time"),
                    (EXTERNAL_IDS, "external_ids"),
                    (LABELS, "labels"),
                    (9, "metrics"),
                    (10, "annotations"),
                    (MERGED_NAMES, "merged_names"),
                ],
                "{kind:?}"
            );
        }
    }

    #[test]
    fn references_are_read_from_the_contract_with_their_target() {
        let claim: Vec<_> =
            RecordKind::Claim.schema().references.iter().map(|r| (r.dotted(), r.path.clone(), r.target)).collect();
        assert!(claim.contains(&("attribution.actors".into(), vec![22, 1], Some(RecordKind::Actor))), "{claim:?}");
        assert!(claim.contains(&("about".into(), vec![24], None)), "{claim:?}");
        assert!(claim.contains(&("citations.source".into(), vec![23, 1], Some(RecordKind::Source))), "{claim:?}");
        assert!(claim.contains(&("ratings.assessor".into(), vec![29, 4], Some(RecordKind::Actor))), "{claim:?}");
    }

    #[test]
    fn immutable_and_output_only_fields_are_known() {
        let source = RecordKind::Source.schema();
        assert!(source.field("text").is_some_and(|field| field.immutable && !field.output_only));
        assert!(source.field("createTime").is_some_and(|field| field.output_only));
        assert!(source.field("name").is_some_and(|field| field.output_only));
        assert!(RecordKind::Relation.schema().field("asserted_by").is_some_and(|field| field.immutable));
    }
}
