//! Reading records as Rust types, for those who embed the store.
//!
//! Knows the store's encoded reads and the six types. Must not know how either is done.

use prost::Message as _;

use super::{Result, Store, StoreError};
use crate::{model::TypedRecord, proto};

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedPage<T> {
    /// The records.
    pub records: Vec<T>,
    /// Where the next page begins; empty on the last.
    pub next_page_token: String,
    /// The revision that all pages are read at.
    pub revision: u64,
}

impl Store {
    /// One record by name, as it is now. With the type of another collection than the name's: `FIELD_INVALID`.
    ///
    /// ```
    /// use annals::{proto::{Actor, CommitRequest, Mutation}, store::Store};
    ///
    /// let store = Store::in_memory()?;
    /// let actor = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
    /// store.commit(CommitRequest::of("first", [Mutation::create(actor)]))?;
    /// assert_eq!(store.get::<Actor>("actors/nis")?.display_name, "NIS");
    /// # Ok::<(), annals::store::StoreError>(())
    /// ```
    pub fn get<T: TypedRecord>(&self, name: &str) -> Result<T> {
        self.get_with(&proto::GetRecordRequest { name: name.to_owned(), ..Default::default() })
    }

    /// As [`Self::get`], with all that a request can say: as of when, deleted ones, redirects.
    pub fn get_with<T: TypedRecord>(&self, request: &proto::GetRecordRequest) -> Result<T> {
        let encoded = self.get_encoded(T::KIND, request)?;
        decode(&encoded)
    }

    /// One commit whole: who made it, when, and every change in it.
    pub fn get_commit(&self, revision: i64) -> Result<proto::Commit> {
        let encoded = self.get_commit_encoded(revision)?;
        proto::Commit::decode(encoded)
            .map_err(|error| StoreError::internal(format!("a logged commit cannot be decoded: {error}")))
    }

    /// A page of the records that match a filter. All pages of a list are read at one revision.
    ///
    /// ```
    /// use annals::{proto::{Actor, CommitRequest, ListRecordsRequest, Mutation}, store::Store};
    ///
    /// let store = Store::in_memory()?;
    /// let nis = Actor { display_name: "NIS".into(), external_ids: vec!["wikidata:Q484816".into()], ..Default::default() };
    /// store.commit(CommitRequest::of("first", [Mutation::create(nis)]))?;
    /// let request = ListRecordsRequest { filter: r#"external_ids:"wikidata:Q484816""#.into(), ..Default::default() };
    /// let page = store.list::<Actor>(&request)?;
    /// assert_eq!((page.records.len(), page.revision), (1, 1));
    /// # Ok::<(), annals::store::StoreError>(())
    /// ```
    pub fn list<T: TypedRecord>(&self, request: &proto::ListRecordsRequest) -> Result<TypedPage<T>> {
        let page = self.list_encoded(T::KIND, request)?;
        let records = page.records.iter().map(|encoded| decode(encoded)).collect::<Result<_>>()?;
        Ok(TypedPage { records, next_page_token: page.next_page_token, revision: page.revision })
    }
}

fn decode<T: TypedRecord>(encoded: &[u8]) -> Result<T> {
    T::decode(encoded)
        .map_err(|error| StoreError::internal(format!("a stored {} cannot be decoded: {error}", T::KIND.singular())))
}
