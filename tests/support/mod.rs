//! Shared by the tests of the store: the seed, stores on several engines, and short ways to make requests.
#![allow(dead_code)]

use annals::{
    engine::{Engine, memory::MemoryEngine},
    proto::{self, CommitRequest},
    store::{Store, StoreError, StoreOptions},
};
use prost::Message;
use prost_reflect::DynamicMessage;

/// The seed as one request.
pub(crate) fn seed() -> CommitRequest {
    let json = include_str!("../data/seed/commit.json");
    from_json("annals.v1.CommitRequest", json)
}

/// A message from proto3 JSON.
pub(crate) fn from_json<T: Message + Default>(name: &str, json: &str) -> T {
    let descriptor = proto::descriptors().get_message_by_name(name).expect("a message of the contract");
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor, &mut deserializer).expect("proto3 JSON of the message");
    T::decode(message.encode_to_vec().as_slice()).expect("the same message")
}

/// A store on a new memory engine.
pub(crate) fn store() -> Store {
    store_on(MemoryEngine::new())
}

/// A store on an engine, ready.
pub(crate) fn store_on(engine: impl Into<Engine>) -> Store {
    let store = Store::start(engine, StoreOptions::default()).expect("a store");
    store.wait_until_serving().expect("a store that serves");
    store
}

/// A request from mutations in proto3 JSON.
pub(crate) fn request(request_id: &str, mutations: &str) -> CommitRequest {
    from_json("annals.v1.CommitRequest", &format!(r#"{{"request_id": "{request_id}", "mutations": [{mutations}]}}"#))
}

/// The reason of the error of a call that must fail.
pub(crate) fn reason<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    outcome.expect_err("an error").reason.as_str_name().trim_start_matches("ERROR_REASON_").to_owned()
}

pub(crate) fn get<T: Message + Default>(store: &Store, name: &str) -> Result<T, StoreError> {
    let kind = annals::model::RecordKind::from_collection(name.split('/').next().unwrap_or_default()).expect("a collection");
    let request = proto::GetRecordRequest { name: name.to_owned(), ..Default::default() };
    store.get_encoded(kind, &request).map(|bytes| T::decode(bytes).expect("an encoded record"))
}

/// Commits mutations in proto3 JSON under a new request id.
pub(crate) fn commit(store: &Store, mutations: &str) -> Result<proto::CommitResponse, StoreError> {
    store.commit(fresh_request(mutations))
}

/// A request from mutations in proto3 JSON, under a new request id.
pub(crate) fn fresh_request(mutations: &str) -> CommitRequest {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    request(&format!("fresh-{}", NEXT.fetch_add(1, Ordering::Relaxed)), mutations)
}

/// What each mutation did: "CREATED events/e1".
pub(crate) fn kinds(response: &proto::CommitResponse) -> Vec<String> {
    let word = |result: &proto::MutationResult| result.kind().as_str_name().trim_start_matches("CHANGE_KIND_").to_owned();
    response.results.iter().map(|result| format!("{} {}", word(result), result.name)).collect()
}

/// The fields that an error names.
pub(crate) fn fields(error: &StoreError) -> Vec<String> {
    match &error.details {
        annals::store::StoreErrorDetails::Fields(violations) => {
            violations.iter().map(|violation| violation.field.clone()).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn actor(id: &str) -> String {
    format!(r#"{{"create": {{"actor": {{"name": "actors/{id}", "display_name": "{id}"}}}}}}"#)
}

pub(crate) fn event(id: &str, more: &str) -> String {
    format!(r#"{{"create": {{"event": {{"name": "events/{id}", "title": "{id}"{more}}}}}}}"#)
}
