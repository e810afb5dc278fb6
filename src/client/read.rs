//! Reads: one record, many records, lists page by page, history, and information on the server.
//!
//! Knows the requests and the six types. Must not know how a call is retried.

use super::{
    Client,
    error::{ClientError, Result},
    streams::MessageStream,
};
use crate::{
    model::{RecordKind, TypedRecord},
    proto::{
        self, BatchGetRecordsRequest, BatchGetRecordsResponse, GetCommitRequest, GetRecordRequest, GetServerInfoRequest,
        GetServerInfoResponse, ListRecordsRequest, ListRevisionsRequest, record::Record,
    },
};

/// The number of revisions in a page of history.
const HISTORY_PAGE_SIZE: i32 = 100;

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientPage<T> {
    /// The records of the page. It may be empty although there are more pages.
    pub records: Vec<T>,
    /// The token of the next page. Empty on the last page.
    pub next_page_token: String,
    /// The revision of all pages.
    pub revision: i64,
}

impl Client {
    /// One record by name, in its current version. If the name belongs to another type's collection, the error is
    /// `FIELD_INVALID`.
    pub async fn get<T: TypedRecord>(&self, name: &str) -> Result<T> {
        self.get_with(&GetRecordRequest { name: name.to_owned(), ..Default::default() }).await
    }

    /// One record as it was at a revision.
    pub async fn get_at<T: TypedRecord>(&self, name: &str, revision: i64) -> Result<T> {
        self.get_with(&GetRecordRequest { name: name.to_owned(), as_of_revision: revision, ..Default::default() }).await
    }

    /// Like [`Self::get`], with all fields of a request: revision or time, deleted records, redirects.
    pub async fn get_with<T: TypedRecord>(&self, request: &GetRecordRequest) -> Result<T> {
        typed(self.get_record(T::KIND, request).await?)
    }

    /// Like [`Self::get_with`], for a kind that is known only at run time.
    pub async fn get_record(&self, kind: RecordKind, request: &GetRecordRequest) -> Result<Record> {
        /// The six methods differ only in their names and answers.
        macro_rules! get {
            ($method:ident, $variant:path) => {
                self.call(request, |mut grpc, request| async move { grpc.$method(request).await }).await.map($variant)
            };
        }
        match kind {
            RecordKind::Source => get!(get_source, Record::Source),
            RecordKind::Actor => get!(get_actor, Record::Actor),
            RecordKind::Event => get!(get_event, Record::Event),
            RecordKind::Claim => get!(get_claim, Record::Claim),
            RecordKind::Estimate => get!(get_estimate, Record::Estimate),
            RecordKind::Relation => get!(get_relation, Record::Relation),
        }
    }

    /// Every record that matches a filter, page by page, all at one revision. It begins at `page_token` if the request has one.
    ///
    /// ```
    /// # #[cfg(feature = "server")] {
    /// use annals::{client::Client, proto::{Actor, CommitRequest, ListRecordsRequest, Mutation}, rpc, store::Store};
    ///
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let client = Client::over(rpc::in_process(Store::in_memory()?).await?);
    /// let actors = ["a", "b", "c"].map(|name| Mutation::create(Actor { display_name: name.into(), ..Default::default() }));
    /// client.commit(CommitRequest::of("three", actors)).await?;
    ///
    /// let request = ListRecordsRequest { order_by: "display_name desc".into(), page_size: 2, ..Default::default() };
    /// let mut list = client.list::<Actor>(request);
    /// let mut names = Vec::new();
    /// while let Some(actor) = list.message().await? {
    ///     names.push(actor.display_name);
    /// }
    /// assert_eq!(names, ["c", "b", "a"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn list<T: TypedRecord + 'static>(&self, request: ListRecordsRequest) -> MessageStream<T> {
        let client = self.clone();
        MessageStream::paged(request.page_token.clone(), move |page_token| {
            let (client, request) = (client.clone(), ListRecordsRequest { page_token, ..request.clone() });
            async move {
                let page = client.list_page(&request).await?;
                Ok((page.records, page.next_page_token))
            }
        })
    }

    /// One page of the records that match a filter.
    pub async fn list_page<T: TypedRecord>(&self, request: &ListRecordsRequest) -> Result<ClientPage<T>> {
        let page = self.list_records(T::KIND, request).await?;
        let records = page.records.into_iter().map(typed).collect::<Result<_>>()?;
        Ok(ClientPage { records, next_page_token: page.next_page_token, revision: page.revision })
    }

    /// Like [`Self::list_page`], for a kind that is known only at run time.
    pub async fn list_records(&self, kind: RecordKind, request: &ListRecordsRequest) -> Result<ClientPage<Record>> {
        /// The six responses differ only in the name of their first field.
        macro_rules! list {
            ($method:ident, $field:ident, $variant:path) => {
                self.call(request, |mut grpc, request| async move { grpc.$method(request).await }).await.map(|response| {
                    ClientPage {
                        records: response.$field.into_iter().map($variant).collect(),
                        next_page_token: response.next_page_token,
                        revision: response.revision,
                    }
                })
            };
        }
        match kind {
            RecordKind::Source => list!(list_sources, sources, Record::Source),
            RecordKind::Actor => list!(list_actors, actors, Record::Actor),
            RecordKind::Event => list!(list_events, events, Record::Event),
            RecordKind::Claim => list!(list_claims, claims, Record::Claim),
            RecordKind::Estimate => list!(list_estimates, estimates, Record::Estimate),
            RecordKind::Relation => list!(list_relations, relations, Record::Relation),
        }
    }

    /// Many records of any type by name, in the order of the request, at one revision. Records that do not fit in one answer
    /// are requested again, so `not_returned` is empty.
    pub async fn batch_get(&self, request: BatchGetRecordsRequest) -> Result<BatchGetRecordsResponse> {
        let mut request = request;
        let mut all = BatchGetRecordsResponse::default();
        loop {
            let part = self.call(&request, |mut grpc, request| async move { grpc.batch_get_records(request).await }).await?;
            all.records.extend(part.records);
            all.missing.extend(part.missing);
            all.revision = part.revision;
            if part.not_returned.is_empty() {
                return Ok(all);
            }
            if part.not_returned.len() >= request.names.len() {
                return Err(ClientError::contract("a batch came without any of its records"));
            }
            request.names = part.not_returned;
            (request.as_of_revision, request.as_of_time) = (part.revision, None);
        }
    }

    /// Every revision of one record, newest first. Merges are not followed, because a redirect has its own history.
    pub fn history(&self, name: &str) -> MessageStream<proto::Change> {
        let (client, name) = (self.clone(), name.to_owned());
        MessageStream::paged(String::new(), move |page_token| {
            let request = ListRevisionsRequest { name: name.clone(), page_size: HISTORY_PAGE_SIZE, page_token };
            let client = client.clone();
            async move {
                let page = client.call(&request, |mut grpc, request| async move { grpc.list_revisions(request).await }).await?;
                Ok((page.changes, page.next_page_token))
            }
        })
    }

    /// One commit: who made it, when, and all its changes.
    pub async fn get_commit(&self, revision: i64) -> Result<proto::Commit> {
        let request = GetCommitRequest { revision };
        self.call(&request, |mut grpc, request| async move { grpc.get_commit(request).await }).await
    }

    /// The server's version, limits, head revision and counts of records.
    pub async fn info(&self) -> Result<GetServerInfoResponse> {
        self.call(&GetServerInfoRequest {}, |mut grpc, request| async move { grpc.get_server_info(request).await }).await
    }
}

fn typed<T: TypedRecord>(record: Record) -> Result<T> {
    T::from_record(record).ok_or_else(|| ClientError::contract(format!("an answer has no {}", T::KIND.singular())))
}
