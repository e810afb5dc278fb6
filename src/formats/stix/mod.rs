//! STIX 2.1: one bundle of objects, for tools that exchange threat reports.
//!
//! Each record becomes one object of the nearest type, and further objects for what STIX models separately: places,
//! affiliations, participants. STIX has no properties for most fields of a record. The object of a record therefore contains
//! the whole record in an extension, which the bundle declares. Nothing is lost, and a program that knows Annals reads only the
//! extension.
//!
//! Ids are made from the store's id and the record's name. A record is therefore the same object in every export, and an object
//! can refer to an object that was not written yet.
//!
//! Must not know other formats.

mod object;
mod objects;

use serde_json::{Value, json};

use self::object::{Context, StixIds, producer};
pub use self::{
    object::{StixObject, StixProperty},
    objects::{COMMON, objects},
};
use super::{
    export::ExportText,
    format::{Format, FormatExporter},
    json,
};
use crate::{model::kind_of, proto::record::Record};

/// STIX 2.1, export only. All records are one bundle.
pub static FORMAT: Format = Format {
    name: "stix",
    summary: "a STIX 2.1 bundle",
    page: "stix/page.md",
    importer: None,
    exporter: Some(FormatExporter::Text { extension: "json", open: |store_id| Box::new(StixBundle::of(store_id)) }),
};

/// Writes records as the objects of one bundle.
#[derive(Clone, Debug)]
pub struct StixBundle {
    ids: StixIds,
}

impl StixBundle {
    /// The bundle of a store.
    pub fn of(store_id: &str) -> Self {
        Self { ids: StixIds::of(store_id) }
    }
}

impl ExportText for StixBundle {
    fn head(&self, revision: i64, to: &mut Vec<u8>) {
        let id = self.ids.bundle(revision);
        to.extend_from_slice(format!("{{\"type\":\"bundle\",\"id\":\"{id}\",\"objects\":[\n").as_bytes());
        // These two are in every bundle, so every other object follows a comma.
        to.extend_from_slice(format!("{},\n{}", created_by(), definition()).as_bytes());
    }

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        let kind = kind_of(record);
        let record = json::record_value(record);
        for object in objects(kind) {
            let parts = match object.each {
                "" => std::slice::from_ref(&record),
                field => record.get(field).and_then(Value::as_array).map_or(&[][..], Vec::as_slice),
            };
            for (index, part) in parts.iter().enumerate() {
                let context = Context { ids: &self.ids, record: &record, index };
                if let Some(mut made) = object.make(part, &context) {
                    if object.each.is_empty() && !object.is_observable() {
                        for property in COMMON {
                            if let Some(value) = property.value(part, &context) {
                                made.entry(property.name).or_insert(value);
                            }
                        }
                    }
                    if object.is_record {
                        made.insert("extensions".to_owned(), json!({ EXTENSION: extension_of(&record) }));
                    }
                    to.extend_from_slice(b",\n");
                    to.extend_from_slice(Value::Object(made).to_string().as_bytes());
                }
            }
        }
    }

    fn tail(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"\n]}\n");
    }
}

/// The id of the extension's definition, which equals `fixed_id("extension-definition", "record")`.
pub const EXTENSION: &str = "extension-definition--c2b3001c-3d88-529b-aab3-6f1a67f5e1d3";

/// When the extension's definition was created and last changed.
const CREATED: &str = "2026-11-23T00:00:00.000Z";

/// The extension of a record's object.
fn extension_of(record: &Value) -> Value {
    json!({ "extension_type": "property-extension", "record": record })
}

/// The object that stands for this program, as the producer of the bundle.
fn created_by() -> Value {
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

/// The object that declares the extension in which each record is whole.
fn definition() -> Value {
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
    use serde_json::{Value, json};

    use super::{
        object::{fixed_id, record_type},
        *,
    };
    use crate::model::RecordKind;
    use crate::proto::{Actor, Affiliation, Event, Place, Rating, Relation, RelationKind, Source};

    /// The objects made from a record.
    fn made(record: impl Into<crate::proto::Record>) -> Vec<Value> {
        let mut text = Vec::new();
        StixBundle::of("store").record(&record.into().record.expect("one"), &mut text);
        let lines = String::from_utf8(text).expect("text");
        lines.split(",\n").skip(1).map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn types(objects: &[Value]) -> Vec<&str> {
        objects.iter().map(|object| object["type"].as_str().expect("a type")).collect()
    }

    #[test]
    fn a_record_is_the_same_object_in_every_export_and_is_referred_to_by_its_id() {
        let affiliation = Affiliation { actor: "actors/b".into(), ..Default::default() };
        let a = made(Actor { name: "actors/a".into(), affiliations: vec![affiliation], ..Default::default() });
        let b = made(Actor { name: "actors/b".into(), ..Default::default() });
        assert_eq!(types(&a), ["identity", "relationship"]);
        assert_eq!(
            (&a[1]["source_ref"], &a[1]["target_ref"], &a[1]["relationship_type"]),
            (&a[0]["id"], &b[0]["id"], &json!("related-to"))
        );
        let mut other = Vec::new();
        StixBundle::of("another store")
            .record(&Record::Actor(Actor { name: "actors/b".into(), ..Default::default() }), &mut other);
        assert!(!String::from_utf8_lossy(&other).contains(b[0]["id"].as_str().expect("an id")), "ids of two stores differ");
    }

    #[test]
    fn what_was_seen_of_a_source_depends_on_what_is_known_of_it() {
        let source = |uri: &str, text: &str, sha256: &str| {
            let (uri, text, sha256) = (uri.to_owned(), text.to_owned(), sha256.to_owned());
            made(Source { name: "sources/s".into(), uri, text, sha256, ..Default::default() })
        };
        assert_eq!(types(&source("https://a.example/b?c=%20d#e", "", "")), ["report", "url", "observed-data"]);
        assert_eq!(types(&source("https://a.example/", "", "ab")), ["report", "artifact", "observed-data"]);
        let read = source("https://a.example/", "text", "ab");
        assert_eq!(types(&read), ["report", "artifact", "observed-data"]);
        assert_eq!((&read[1]["payload_bin"], &read[1]["url"]), (&json!("dGV4dA=="), &Value::Null));
        assert_eq!(read[2]["object_refs"], json!([read[1]["id"]]));
        for no_uri in ["", "page 3", "http://a b", "http://a/%2", "a:#b#c", "ü:x"] {
            let made = source(no_uri, "", "ab");
            assert_eq!(types(&made), ["report"], "{no_uri}");
            assert_eq!(made[0]["object_refs"], json!([producer()]));
            assert_eq!(made[0]["external_references"], Value::Null);
        }
    }

    #[test]
    fn the_id_of_an_observable_is_the_one_that_stix_has_for_it() {
        // The id is the one that the library of OASIS makes.
        let url = made(Source {
            name: "sources/s".into(),
            uri: "https://example.com/research/index.html".into(),
            ..Default::default()
        });
        assert_eq!(url[1]["id"], "url--47c3cf9a-5027-5bf0-997a-017c7edc7c55");
    }

    #[test]
    fn a_place_is_a_location_where_stix_has_room_for_it() {
        let places = [
            Place { display_name: "nowhere".into(), ..Default::default() },
            Place {
                country: "PRK".into(),
                admin: vec!["Ryanggang".into(), "b".into()],
                radius_m: Some(5.0),
                ..Default::default()
            },
            Place { latitude: Some(0.0), longitude: Some(1.5), radius_m: Some(5.0), ..Default::default() },
        ];
        let made = made(Event { name: "events/e".into(), places: places.into(), ..Default::default() });
        assert_eq!(types(&made), ["incident", "location", "location", "relationship", "relationship"]);
        assert_eq!(
            (&made[1]["country"], &made[1]["administrative_area"], &made[1]["precision"]),
            (&json!("KP"), &json!("Ryanggang"), &Value::Null)
        );
        assert_eq!((&made[2]["latitude"], &made[2]["precision"]), (&json!(0.0), &json!(5.0)));
        assert_eq!(made[3]["target_ref"], made[1]["id"]);
        assert_eq!(made[4]["target_ref"], made[2]["id"]);
        assert_eq!(made[0]["extensions"][EXTENSION]["record"]["places"][0], json!({"display_name": "nowhere"}));
    }

    #[test]
    fn a_relation_is_a_relationship_or_a_note_and_an_opinion_where_it_judges() {
        let relation = |kind: RelationKind, subject: &str, object: &str, code: &str| {
            let rating = (!code.is_empty()).then(|| Rating { code: code.into(), ..Default::default() });
            let (subject, object, asserted_by) = (subject.to_owned(), object.to_owned(), "actors/a".to_owned());
            made(Relation {
                name: "relations/r".into(),
                kind: kind.into(),
                subject,
                object,
                asserted_by,
                rating,
                revoked: true,
                ..Default::default()
            })
        };
        let plain = relation(RelationKind::Repeats, "claims/a", "claims/b", "");
        assert_eq!((types(&plain), &plain[0]["relationship_type"]), (vec!["relationship"], &json!("repeats")));
        assert_eq!(plain[0]["revoked"], json!(true));
        let rated = relation(RelationKind::Rates, "", "claims/b", "admiralty.credibility:4");
        assert_eq!((types(&rated), &rated[1]["opinion"]), (vec!["relationship", "opinion"], &json!("disagree")));
        assert_eq!(rated[0]["source_ref"], rated[1]["created_by_ref"]);
        for unjudged in ["admiralty.credibility:6", "icd203.likelihood:likely"] {
            assert_eq!(types(&relation(RelationKind::Rates, "", "claims/b", unjudged)), ["relationship"]);
        }
        let over = relation(RelationKind::Disputes, "claims/a", "relations/q", "");
        assert_eq!(types(&over), ["note", "opinion"]);
        assert_eq!(over[0]["content"], "claims/a disputes relations/q");
        assert!(over[0]["extensions"][EXTENSION]["record"].is_object() && over[1]["extensions"].is_null());
    }

    #[test]
    fn labels_external_ids_and_ratings_are_what_stix_has_for_them() {
        let rating = |code: &str| Rating { code: code.into(), ..Default::default() };
        let event = Event {
            name: "events/e".into(),
            labels: vec!["x:1".into(), "tlp:amber".into()],
            external_ids: vec!["ucdp.ged:5".into(), "x:CVE-2020-1234".into()],
            ratings: vec![rating("a:b"), rating("stix.confidence:70")],
            ..Default::default()
        };
        let incident = &made(event)[0];
        assert_eq!(incident["confidence"], json!(70));
        assert_eq!(incident["labels"], json!(["x:1", "tlp:amber"]));
        assert_eq!(incident["object_marking_refs"], json!(["marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"]));
        let references = json!([
            {"source_name": "ucdp.ged", "external_id": "5"},
            {"source_name": "annals.x", "description": "CVE-2020-1234"},
        ]);
        assert_eq!(incident["external_references"], references);
    }

    #[test]
    fn the_id_of_the_definition_is_the_same_for_ever() {
        assert_eq!(EXTENSION, fixed_id("extension-definition", "record"));
    }

    #[test]
    fn the_first_object_of_a_type_is_that_of_the_record() {
        for kind in RecordKind::ALL {
            assert_eq!(objects(kind).first().map(|object| (object.kind, object.is_record)), Some((record_type(kind), true)));
        }
    }
}
