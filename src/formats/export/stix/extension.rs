//! The extension that holds a record whole, and who has made the bundle.
//!
//! Knows the contract's name. Must not know what a record holds.

use serde_json::{Value, json};

/// The id of the extension's definition: that of `fixed("extension-definition", "record")`.
pub const EXTENSION: &str = "extension-definition--c2b3001c-3d88-529b-aab3-6f1a67f5e1d3";

/// When the extension's definition was written, and last changed.
const CREATED: &str = "2026-11-23T00:00:00.000Z";

/// What a record's object has under the extension's id.
pub(super) fn of(record: &Value) -> Value {
    json!({ "extension_type": "property-extension", "record": record })
}

/// The object that is this program, as the producer of the extension.
pub(super) fn created_by() -> Value {
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": producer(),
        "created": CREATED,
        "modified": CREATED,
        "name": "Annals",
        "description": "The program that this bundle was exported by.",
        "identity_class": "system",
    })
}

/// Its id.
pub(super) fn producer() -> String {
    super::id::fixed("identity", "annals")
}

/// The extension's definition.
pub(super) fn definition() -> Value {
    json!({
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": EXTENSION,
        "created_by_ref": producer(),
        "created": CREATED,
        "modified": CREATED,
        "name": "Annals record",
        "description": "The record that an object was made from, whole. The other properties of the object say of it what STIX has \
            words for.",
        "schema": "The property \"record\" is an object: the record in proto3 JSON with the proto names of fields. Its message is \
            annals.v1.Source, Actor, Event, Claim, Estimate or Relation of the contract in proto/annals/v1/records.proto, and the part of its \
            \"name\" in front of the slash says which.",
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_id_of_the_definition_is_the_same_for_ever() {
        assert_eq!(super::EXTENSION, super::super::id::fixed("extension-definition", "record"));
    }
}
