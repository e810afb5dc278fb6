//! The methods of `RecordService` and `AdminService`. Each is a few lines that call the part of the store which answers it.
//!
//! Knows the store's public API. Must not know how a stream is sent, or how an error becomes a status.

use std::sync::Arc;

use prost::Message;
use tonic::{Request, Response, Status, async_trait};

use super::{
    bulk,
    call_context::CallContext,
    codec::Received,
    encoded::Encoded,
    generated::{admin_service_server::AdminService, record_service_server::RecordService},
    options::ServerOptions,
    pool::Pools,
    refuse, status,
    streams::{AnswerStream, Streams},
    watch::Watch,
};
use crate::{
    model::RecordKind,
    proto::{self, CommitRequest, GetRecordRequest, ListRecordsRequest},
    store::{self, Store},
};

/// Longest commit, in bytes, that is decoded, checked and hashed on the thread of its connection. A longer commit would delay
/// Gets on that thread.
const COMMIT_BYTES_INLINE: usize = 32 << 10;

/// The optional features of this server. Clients test for these names, so a name never changes.
const FEATURES: [&str; 5] = ["grpc-web", "gzip", "health", "reflection", "zstd"];

/// `RecordService` on one store.
#[derive(Clone)]
pub(super) struct Records {
    store: Store,
    options: Arc<ServerOptions>,
    pools: Arc<Pools>,
    /// Runs the tasks of streams.
    streams: Streams,
}

impl Records {
    /// The methods on a store.
    pub(super) fn new(store: Store, options: Arc<ServerOptions>, pools: Arc<Pools>, streams: Streams) -> Self {
        Self { store, options, pools, streams }
    }

    fn decode<M: Message + Default>(&self, request: Request<Received<M>>) -> Result<M, Status> {
        call_of(&request).charge_message(request.get_ref().bytes())?;
        request.into_inner().decode(self.store.limits().request_bytes())
    }

    /// Reads one record. A read at a revision touches memory or one page of a local disk, which is cheaper here than on another
    /// thread. A read at a time may wait for the clock, so it runs on another thread.
    async fn get(&self, kind: RecordKind, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        let request = self.decode(request)?;
        if request.as_of_time.is_some() || self.store.reads_may_block() {
            return self.read(move |store| store.get_encoded(kind, &request).map(Encoded::message)).await;
        }
        answer(self.store.get_encoded(kind, &request).map(Encoded::message))
    }

    async fn list(
        &self,
        kind: RecordKind,
        request: Request<Received<ListRecordsRequest>>,
    ) -> Result<Response<Encoded>, Status> {
        let request = self.decode(request)?;
        self.read(move |store| store.list_encoded(kind, &request).map(Encoded::page)).await
    }

    /// Runs a read that may take long on the pool of reads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> store::Result<T> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let store = self.store.clone();
        answer(self.pools.reads.run(move || read(&store)).await.flatten())
    }
}

/// The last step of a call: its answer, or its error.
fn answer<T>(result: store::Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(refuse)
}

/// The context of a call.
fn call_of<T>(request: &Request<T>) -> &CallContext {
    CallContext::of(request.extensions())
}

/// The answer to `GetServerInfo`. It is read like any other answer, so that its head is never below a revision that was
/// answered before.
fn server_info(store: &Store, options: &ServerOptions) -> Result<proto::GetServerInfoResponse, store::StoreError> {
    let info = store.info()?;
    let counts = info.record_counts.into_iter();
    let limits = store.limits().list().chain(options.limits());
    Ok(proto::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store_id: info.store_id,
        head_revision: info.head_revision,
        oldest_revision: info.oldest_revision,
        record_counts: counts.map(|(kind, count)| (kind.collection().to_owned(), to_i64(count))).collect(),
        limits: limits.map(|limit| (limit.name.to_owned(), to_i64(limit.maximum))).collect(),
        features: FEATURES.map(str::to_owned).into(),
        server_time: Some(std::time::SystemTime::now().into()),
    })
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl RecordService for Records {
    type IngestStream = AnswerStream<proto::IngestResponse>;
    type WatchStream = AnswerStream<Encoded>;
    type ExportStream = AnswerStream<Encoded>;

    async fn get_server_info(
        &self,
        request: Request<Received<proto::GetServerInfoRequest>>,
    ) -> Result<Response<proto::GetServerInfoResponse>, Status> {
        let proto::GetServerInfoRequest {} = self.decode(request)?;
        let options = Arc::clone(&self.options);
        self.read(move |store| server_info(store, &options)).await
    }

    async fn get_source(&self, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        self.get(RecordKind::Source, request).await
    }

    async fn get_actor(&self, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        self.get(RecordKind::Actor, request).await
    }

    async fn get_event(&self, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        self.get(RecordKind::Event, request).await
    }

    async fn get_claim(&self, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        self.get(RecordKind::Claim, request).await
    }

    async fn get_estimate(&self, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        self.get(RecordKind::Estimate, request).await
    }

    async fn get_relation(&self, request: Request<Received<GetRecordRequest>>) -> Result<Response<Encoded>, Status> {
        self.get(RecordKind::Relation, request).await
    }

    async fn list_sources(&self, request: Request<Received<ListRecordsRequest>>) -> Result<Response<Encoded>, Status> {
        self.list(RecordKind::Source, request).await
    }

    async fn list_actors(&self, request: Request<Received<ListRecordsRequest>>) -> Result<Response<Encoded>, Status> {
        self.list(RecordKind::Actor, request).await
    }

    async fn list_events(&self, request: Request<Received<ListRecordsRequest>>) -> Result<Response<Encoded>, Status> {
        self.list(RecordKind::Event, request).await
    }

    async fn list_claims(&self, request: Request<Received<ListRecordsRequest>>) -> Result<Response<Encoded>, Status> {
        self.list(RecordKind::Claim, request).await
    }

    async fn list_estimates(&self, request: Request<Received<ListRecordsRequest>>) -> Result<Response<Encoded>, Status> {
        self.list(RecordKind::Estimate, request).await
    }

    async fn list_relations(&self, request: Request<Received<ListRecordsRequest>>) -> Result<Response<Encoded>, Status> {
        self.list(RecordKind::Relation, request).await
    }

    async fn batch_get_records(
        &self,
        request: Request<Received<proto::BatchGetRecordsRequest>>,
    ) -> Result<Response<Encoded>, Status> {
        let request = self.decode(request)?;
        self.read(move |store| store.batch_get(&request).map(Encoded::batch)).await
    }

    async fn list_revisions(
        &self,
        request: Request<Received<proto::ListRevisionsRequest>>,
    ) -> Result<Response<Encoded>, Status> {
        let request = self.decode(request)?;
        self.read(move |store| store.list_revisions(&request).map(|response| Encoded::encode(&response))).await
    }

    async fn get_commit(&self, request: Request<Received<proto::GetCommitRequest>>) -> Result<Response<Encoded>, Status> {
        let request = self.decode(request)?;
        self.read(move |store| store.get_commit(request.revision).map(|commit| Encoded::encode(&commit))).await
    }

    /// After `submit` the commit does not depend on this call: a deadline or a lost client does not undo it.
    async fn commit(&self, request: Request<Received<CommitRequest>>) -> Result<Response<proto::CommitResponse>, Status> {
        let caller = call_of(&request).caller().clone();
        if request.get_ref().bytes() <= COMMIT_BYTES_INLINE {
            let request = self.decode(request)?;
            if !request.validate_only {
                return answer(self.store.submit(&caller, request).await);
            }
            let store = self.store.clone();
            let checked = answer(self.pools.commits.run(move || store.submit(&caller, request)).await)?;
            return answer(checked.into_inner().await);
        }
        let records = self.clone();
        let submit = move || records.decode(request).map(|request| records.store.submit(&caller, request));
        let submitted = answer(self.pools.commits.run(submit).await)?.into_inner()?;
        answer(submitted.await)
    }

    async fn ingest(
        &self,
        requests: Request<tonic::Streaming<Received<proto::IngestRequest>>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let call = call_of(&requests);
        let (store, caller, closing) = (self.store.clone(), call.caller().clone(), call.connection().closing.clone());
        Ok(self.streams.start(|sender| bulk::ingest(store, caller, requests.into_inner(), closing, sender)))
    }

    async fn watch(&self, request: Request<Received<proto::WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let connection = call_of(&request).connection();
        let closing = connection.closing.clone();
        // Without authentication, the address of the peer identifies the caller.
        let permit = self.streams.watch_permit(&connection.peer, self.store.limits())?;
        let request = self.decode(request)?;
        let pools = Arc::clone(&self.pools);
        let watch = self.read(move |store| Watch::parse(store.clone(), pools, closing, permit, request)).await?.into_inner();
        Ok(self.streams.start(|sender| watch.run(sender)))
    }

    async fn export(&self, request: Request<Received<proto::ExportRequest>>) -> Result<Response<Self::ExportStream>, Status> {
        let closing = call_of(&request).connection().closing.clone();
        let request = self.decode(request)?;
        let export = self.read(move |store| store.export_chunks(&request)).await?.into_inner();
        let pools = Arc::clone(&self.pools);
        Ok(self.streams.start(|sender| bulk::export(export, pools, closing, sender)))
    }
}

/// `AdminService`. The contract declares it, and a later version will implement it. Until then each method answers
/// UNIMPLEMENTED and says what to use instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admin;

#[async_trait]
impl AdminService for Admin {
    type BackupStream = AnswerStream<proto::BackupResponse>;
    type VerifyStream = AnswerStream<proto::VerifyResponse>;

    async fn backup(&self, _: Request<Received<proto::BackupRequest>>) -> Result<Response<Self::BackupStream>, Status> {
        Err(status::unimplemented("Backup is not in this version: stop the server and copy its data folder"))
    }

    async fn compact(&self, _: Request<Received<proto::CompactRequest>>) -> Result<Response<proto::CompactResponse>, Status> {
        Err(status::unimplemented("Compact is not in this version: all history is kept"))
    }

    async fn erase_record(
        &self,
        _: Request<Received<proto::EraseRecordRequest>>,
    ) -> Result<Response<proto::EraseRecordResponse>, Status> {
        Err(status::unimplemented(
            "EraseRecord is not in this version: a commit with a delete hides the record, but its history stays readable",
        ))
    }

    async fn verify(&self, _: Request<Received<proto::VerifyRequest>>) -> Result<Response<Self::VerifyStream>, Status> {
        Err(status::unimplemented("Verify is not in this version: stop the server and run \"annals verify --data DIR\""))
    }
}
