//! What the server says of itself.
//!
//! Knows where each limit is kept. Must not know how any is enforced.

use std::collections::BTreeMap;

use super::options::ServerOptions;
use crate::{
    model, proto,
    store::{self, Store},
};

/// Optional features that are on. Each is a name that clients may test for, so none is renamed.
const FEATURES: [&str; 5] = ["grpc-web", "gzip", "health", "reflection", "zstd"];

/// The answer to `GetServerInfo`: a read as any other, so that its head is never below a revision that was answered before.
pub(super) fn server_info(store: &Store, options: &ServerOptions) -> Result<proto::GetServerInfoResponse, store::StoreError> {
    let info = store.info()?;
    let counts = info.record_counts.into_iter();
    Ok(proto::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store_id: info.store_id,
        head_revision: to_i64(info.head_revision),
        oldest_revision: to_i64(info.oldest_revision),
        record_counts: counts.map(|(kind, count)| (kind.collection().to_owned(), to_i64(count))).collect(),
        limits: limits(store, options).into_iter().map(|(name, limit)| (name.to_owned(), to_i64(limit))).collect(),
        features: FEATURES.map(str::to_owned).into(),
        server_time: Some(std::time::SystemTime::now().into()),
    })
}

/// Every limit that a caller can meet. A part of the program that has limits of its own adds its line here.
fn limits(store: &Store, options: &ServerOptions) -> BTreeMap<&'static str, u64> {
    let mut limits = store.limits().by_name();
    limits.extend(model::LIMITS.map(|(name, limit)| (name, limit as u64)));
    limits.extend(options.by_name());
    limits
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
