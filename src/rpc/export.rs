//! Export: everything at one revision, as fast as the client takes it.
//!
//! Knows exports. Must not know lists, or how a stream reaches its client.

use std::{sync::Arc, time::Duration};

use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    Encoded,
    pool::Pools,
    status,
    streams::{Outlet, Unsent},
};
use crate::{
    model::wire,
    proto::ExportResponse,
    store::stream::{Export, ExportChunk},
};

/// A client that takes nothing for so long has gone without saying so.
const STALLED_AFTER: Duration = Duration::from_mins(10);
/// Number of `ExportResponse.records`.
const RECORDS: u32 = 1;

/// Sends what is left of an export, unless its connection is told to go: each message has the token to go on with.
pub(super) async fn run(
    mut export: Export,
    pools: Arc<Pools>,
    going: CancellationToken,
    outlet: Outlet<Encoded>,
) -> Result<(), Status> {
    loop {
        let (rest, piece) = pools
            .reads
            .run_when_free(move || {
                let piece = export.next();
                (export, piece)
            })
            .await?;
        export = rest;
        let Some(piece) = piece.map_err(status::from_store)? else { return Ok(()) };
        match outlet.send(encode(&piece), STALLED_AFTER).await {
            Ok(()) => {}
            Err(Unsent::Gone) => return Ok(()),
            Err(Unsent::Stalled) => return Err(status::answer_not_taken(STALLED_AFTER)),
        }
        if going.is_cancelled() {
            return Err(status::connection_ends());
        }
    }
}

fn encode(piece: &ExportChunk) -> Encoded {
    let mut message = Vec::new();
    for (kind, record) in &piece.records {
        let mut wrapped = Vec::with_capacity(record.len() + 8);
        wire::put_bytes(*kind as u32, record, &mut wrapped);
        wire::put_bytes(RECORDS, &wrapped, &mut message);
    }
    let tail = ExportResponse {
        records: Vec::new(),
        resume_token: piece.resume_token.clone(),
        revision: i64::try_from(piece.revision).unwrap_or(i64::MAX),
    };
    tail.encode_raw(&mut message);
    Encoded::message(message.into())
}
