//! `AdminService`: declared in the contract, answered by a later version.
//!
//! Knows what to use until then. Must not know the store.

use std::pin::Pin;

use tokio_stream::Stream;
use tonic::{Request, Response, Status, async_trait};

use super::{Received, generated::admin_service_server::AdminService, status};
use crate::proto;

/// The service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl AdminService for Admin {
    type BackupStream = Answers<proto::BackupResponse>;
    type VerifyStream = Answers<proto::VerifyResponse>;

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
            "EraseRecord is not in this version: Commit with a delete hides the record, its history stays readable",
        ))
    }

    async fn verify(&self, _: Request<Received<proto::VerifyRequest>>) -> Result<Response<Self::VerifyStream>, Status> {
        Err(status::unimplemented("Verify is not in this version: stop the server and run \"annals verify --data DIR\""))
    }
}
