//! `RecordService`: each method is a line that says which part of the store answers it.
//!
//! Knows the store's public API. Must not know keys, engines or how an error becomes a status.

use std::sync::Arc;

use prost::Message;
use tonic::{Request, Response, Status, async_trait};

use super::{
    Encoded, Received, export,
    generated::record_service_server::RecordService,
    info, ingest,
    load::Held,
    options::ServerOptions,
    pool::Pools,
    status,
    streams::{Answers, Streams},
    traffic::Peer,
    watch::Watch,
};
use crate::{
    model::RecordKind,
    proto::{self, CommitRequest, GetRecordRequest, ListRecordsRequest},
    store::{self, Caller, Store},
};

/// The service on one store.
#[derive(Clone)]
pub(crate) struct Records {
    store: Store,
    options: Arc<ServerOptions>,
    pools: Arc<Pools>,
    /// Where streams run.
    streams: Streams,
    /// Without authentication all callers share one scope of request ids.
    caller: Caller,
}

/// Bytes of a commit that is decoded, checked and hashed where it arrives. A longer one would keep Gets waiting there.
const COMMIT_BYTES_INLINE: usize = 32 << 10;

impl Records {
    /// Serves a store.
    pub(crate) fn new(store: Store, options: Arc<ServerOptions>, pools: Arc<Pools>, streams: Streams) -> Self {
        Self { store, options, pools, streams, caller: Caller::anonymous() }
    }

    fn decode<M: Message + Default>(&self, request: Request<Received<M>>) -> Result<M, Status> {
        charge(&request)?;
        request.into_inner().decode(self.store.limits().request_bytes)
    }

    /// One record. A read at a revision is a look into memory or one page of a local disk, cheaper here than the way to another
    /// thread; one at a time may have to wait for the clock.
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

    /// A read that may take long.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> store::Result<T> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let store = self.store.clone();
        answer(self.pools.reads.run(move || read(&store)).await?)
    }
}

/// Counts a request that was compressed by the bytes that it has become; others were counted as they arrived.
fn charge<M: Message + Default>(request: &Request<Received<M>>) -> Result<(), Status> {
    request.extensions().get::<Arc<Held>>().map_or(Ok(()), |held| held.charge(request.get_ref().bytes()))
}

fn answer<T>(result: store::Result<T>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(status::from_store)
}

#[async_trait]
impl RecordService for Records {
    type IngestStream = Answers<proto::IngestResponse>;
    type WatchStream = Answers<Encoded>;
    type ExportStream = Answers<Encoded>;

    async fn get_server_info(
        &self,
        request: Request<Received<proto::GetServerInfoRequest>>,
    ) -> Result<Response<proto::GetServerInfoResponse>, Status> {
        let proto::GetServerInfoRequest {} = self.decode(request)?;
        let options = Arc::clone(&self.options);
        self.read(move |store| info::server_info(store, &options)).await
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

    /// From `submit` on the commit does not depend on this call: a deadline or a client that goes away does not undo it.
    async fn commit(&self, request: Request<Received<CommitRequest>>) -> Result<Response<proto::CommitResponse>, Status> {
        if request.get_ref().bytes() <= COMMIT_BYTES_INLINE {
            let request = self.decode(request)?;
            if !request.validate_only {
                return answer(self.store.submit(&self.caller, request).await);
            }
            let records = self.clone();
            let checked = self.pools.commits.run(move || records.store.submit(&records.caller, request)).await?;
            return answer(checked.await);
        }
        let records = self.clone();
        let submit = move || records.decode(request).map(|request| records.store.submit(&records.caller, request));
        answer(self.pools.commits.run(submit).await??.await)
    }

    async fn ingest(
        &self,
        requests: Request<tonic::Streaming<Received<proto::IngestRequest>>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let (store, caller) = (self.store.clone(), self.caller.clone());
        let going = peer(&requests).going;
        Ok(self.streams.start(|outlet| ingest::run(store, caller, requests.into_inner(), going, outlet)))
    }

    async fn watch(&self, request: Request<Received<proto::WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        let limits = self.store.limits();
        let Peer { name, going } = peer(&request);
        let place = self.streams.watch_place(&name, limits.watches, limits.watches_caller)?;
        let request = self.decode(request)?;
        let pools = Arc::clone(&self.pools);
        let watch = self.read(move |store| Watch::parse(store.clone(), pools, going, place, request)).await?.into_inner();
        Ok(self.streams.start(|outlet| watch.run(outlet)))
    }

    async fn export(&self, request: Request<Received<proto::ExportRequest>>) -> Result<Response<Self::ExportStream>, Status> {
        let going = peer(&request).going;
        let request = self.decode(request)?;
        let export = self.read(move |store| store.export(&request)).await?.into_inner();
        let pools = Arc::clone(&self.pools);
        Ok(self.streams.start(|outlet| export::run(export, pools, going, outlet)))
    }
}

/// Who opens a stream.
fn peer<T>(request: &Request<T>) -> Peer {
    request.extensions().get().cloned().unwrap_or_default()
}
