//! Builds answers from the bytes of records that the store keeps, without decoding a record.
//!
//! Knows the wire format and the field numbers of these answers. Must not know what is inside a record.

use bytes::{BufMut, Bytes};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{
    model::{RecordKind, wire},
    proto,
    store::{EncodedBatch, EncodedPage, ExportChunk},
};

/// Field number of `ExportResponse.records`, and also of `RecordBatch.records`.
const RECORDS: u32 = 1;
/// Field number of `WatchResponse.revision`.
const WATCH_REVISION: u32 = 1;
/// Field number of `WatchResponse.commit`.
const WATCH_COMMIT: u32 = 2;
/// Field number of `WatchResponse.initial`.
const WATCH_INITIAL: u32 = 4;

/// An answer that can be written to the wire.
pub(crate) trait EncodedMessage: Send + 'static {
    /// Its length in bytes.
    fn bytes(&self) -> usize;

    /// Writes its bytes.
    fn put(&self, to: &mut impl BufMut);
}

impl<M: Message + 'static> EncodedMessage for M {
    fn bytes(&self) -> usize {
        self.encoded_len()
    }

    fn put(&self, to: &mut impl BufMut) {
        self.encode_raw(to);
    }
}

/// An encoded message that is, or holds, records.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    parts: Parts,
}

#[derive(Clone, Debug)]
enum Parts {
    /// The whole message.
    One(Bytes),
    /// Records, each after its tags and lengths, and then the fields that follow all records.
    Many { heads: Vec<u8>, records: Vec<Record>, tail: Vec<u8>, bytes: usize },
}

#[derive(Clone, Debug)]
struct Record {
    /// The end of its tags and lengths in `heads`. They begin at the end of those of the record before.
    head_end: usize,
    bytes: Bytes,
}

impl Encoded {
    /// A record, or another message that is encoded already.
    pub(super) fn message(bytes: Bytes) -> Self {
        Self { parts: Parts::One(bytes) }
    }

    /// Encodes a message.
    pub(super) fn encode(message: &impl Message) -> Self {
        Self::message(message.encode_to_vec().into())
    }

    /// A `List*Response`. For every kind, field 1 holds the records.
    pub(super) fn page(page: EncodedPage) -> Self {
        let tail =
            proto::ListEventsResponse { events: Vec::new(), next_page_token: page.next_page_token, revision: page.revision };
        let mut heads = Vec::with_capacity(page.records.len() * 4);
        let records = page.records.into_iter().map(|bytes| {
            put_head(1, bytes.len(), &mut heads);
            Record { head_end: heads.len(), bytes }
        });
        let records = records.collect();
        Self::many(heads, records, tail.encode_to_vec())
    }

    /// A `BatchGetRecordsResponse`. Field 1 holds messages `Record`, in which each kind has its own field.
    pub(super) fn batch(batch: EncodedBatch) -> Self {
        let tail = proto::BatchGetRecordsResponse {
            records: Vec::new(),
            missing: batch.missing,
            revision: batch.revision,
            not_returned: batch.not_returned,
        };
        let mut heads = Vec::with_capacity(batch.records.len() * 8);
        let records = batch.records.into_iter().map(|(kind, bytes)| {
            let field = field_of(kind);
            put_head(1, head_bytes(field, bytes.len()) + bytes.len(), &mut heads);
            put_head(field, bytes.len(), &mut heads);
            Record { head_end: heads.len(), bytes }
        });
        let records = records.collect();
        Self::many(heads, records, tail.encode_to_vec())
    }

    /// An `ExportResponse`.
    pub(super) fn export_chunk(chunk: &ExportChunk, revision: i64) -> Self {
        let mut message = Vec::new();
        for (kind, record) in &chunk.records {
            put_record(*kind, record, &mut message);
        }
        let tail = proto::ExportResponse { records: Vec::new(), resume_token: chunk.resume_token.clone(), revision };
        tail.encode_raw(&mut message);
        Self::message(message.into())
    }

    /// A `WatchResponse` with a commit.
    pub(super) fn watch_commit(revision: u64, commit: &[u8]) -> Self {
        let mut message = Vec::with_capacity(commit.len() + 24);
        wire::put_int(WATCH_REVISION, revision, &mut message);
        wire::put_bytes(WATCH_COMMIT, commit, &mut message);
        Self::message(message.into())
    }

    /// A `WatchResponse` with records of the initial state.
    pub(super) fn watch_initial(kind: RecordKind, records: &[Bytes]) -> Self {
        let mut batch = Vec::new();
        for record in records {
            put_record(kind, record, &mut batch);
        }
        let mut message = Vec::with_capacity(batch.len() + 8);
        wire::put_bytes(WATCH_INITIAL, &batch, &mut message);
        Self::message(message.into())
    }

    fn many(heads: Vec<u8>, records: Vec<Record>, tail: Vec<u8>) -> Self {
        let bytes = heads.len() + records.iter().map(|record| record.bytes.len()).sum::<usize>() + tail.len();
        Self { parts: Parts::Many { heads, records, tail, bytes } }
    }
}

impl EncodedMessage for Encoded {
    fn bytes(&self) -> usize {
        match &self.parts {
            Parts::One(bytes) => bytes.len(),
            Parts::Many { bytes, .. } => *bytes,
        }
    }

    fn put(&self, to: &mut impl BufMut) {
        match &self.parts {
            Parts::One(bytes) => to.put_slice(bytes),
            Parts::Many { heads, records, tail, .. } => {
                let mut head_start = 0;
                for record in records {
                    to.put_slice(&heads[head_start..record.head_end]);
                    to.put_slice(&record.bytes);
                    head_start = record.head_end;
                }
                to.put_slice(tail);
            }
        }
    }
}

/// The field number of a kind in the oneof of `Record`. Kinds and fields have the same numbers, as a test shows.
fn field_of(kind: RecordKind) -> u32 {
    u32::from(kind as u8)
}

/// Writes a `Record` as an element of [`RECORDS`].
fn put_record(kind: RecordKind, record: &[u8], to: &mut Vec<u8>) {
    let field = field_of(kind);
    put_head(RECORDS, head_bytes(field, record.len()) + record.len(), to);
    wire::put_bytes(field, record, to);
}

fn put_head(field: u32, bytes: usize, to: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, to);
    encode_varint(bytes as u64, to);
}

fn head_bytes(field: u32, bytes: usize) -> usize {
    key_len(field) + encoded_len_varint(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    fn event(id: &str, title_bytes: usize) -> proto::Event {
        proto::Event { name: format!("events/{id}"), title: "t".repeat(title_bytes), ..Default::default() }
    }

    fn written(answer: &Encoded) -> Vec<u8> {
        let mut bytes = Vec::new();
        answer.put(&mut bytes);
        assert_eq!(bytes.len(), answer.bytes(), "the length is told before the bytes are written");
        bytes
    }

    #[test]
    fn a_page_put_together_is_the_response_that_prost_would_write() {
        for lengths in [&[][..], &[0], &[1, 200, 20_000], &[127, 128, 16_383, 16_384]] {
            let events: Vec<_> = lengths.iter().enumerate().map(|(at, bytes)| event(&at.to_string(), *bytes)).collect();
            let page = EncodedPage {
                records: events.iter().map(|event| event.encode_to_vec().into()).collect(),
                next_page_token: "next".into(),
                revision: 7,
            };
            let expected = proto::ListEventsResponse { events, next_page_token: "next".into(), revision: 7 };
            assert_eq!(written(&Encoded::page(page)), expected.encode_to_vec());
        }
    }

    #[test]
    fn every_list_response_has_its_records_token_and_revision_in_the_fields_of_the_one_we_write() {
        for kind in RecordKind::ALL {
            let method = proto::descriptors()
                .get_service_by_name("annals.v1.RecordService")
                .into_iter()
                .flat_map(|service| service.methods().collect::<Vec<_>>())
                .find(|method| method.name().eq_ignore_ascii_case(&format!("list{}", kind.collection())))
                .unwrap_or_else(|| panic!("{kind:?} has no list"));
            let fields: Vec<_> = method.output().fields().map(|field| (field.number(), field.name().to_owned())).collect();
            let expected =
                [(1, kind.collection()), (2, "next_page_token"), (3, "revision")].map(|(n, name)| (n, name.to_owned()));
            assert_eq!(fields, expected, "{kind:?}");
        }
    }

    #[test]
    fn a_batch_put_together_is_the_response_that_prost_would_write() {
        let records: Vec<_> = [
            proto::record::Record::Source(proto::Source { name: "sources/a".into(), ..Default::default() }),
            proto::record::Record::Actor(proto::Actor { name: "actors/a".into(), ..Default::default() }),
            proto::record::Record::Event(event("long", 300)),
            proto::record::Record::Claim(proto::Claim { name: "claims/a".into(), ..Default::default() }),
            proto::record::Record::Estimate(proto::Estimate { name: "estimates/a".into(), ..Default::default() }),
            proto::record::Record::Relation(proto::Relation::default()),
        ]
        .into();
        let batch = EncodedBatch {
            records: records.iter().map(|record| (model::kind_of(record), model::encode(record).into())).collect(),
            missing: vec!["events/x".into()],
            not_returned: vec!["events/y".into()],
            revision: 300,
        };
        let expected = proto::BatchGetRecordsResponse {
            records: records.into_iter().map(|record| proto::Record { record: Some(record) }).collect(),
            missing: vec!["events/x".into()],
            not_returned: vec!["events/y".into()],
            revision: 300,
        };
        let bytes = written(&Encoded::batch(batch));
        assert_eq!(proto::BatchGetRecordsResponse::decode(bytes.as_slice()).expect("well-formed"), expected);
    }
}
