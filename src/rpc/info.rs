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

/// The answer to `GetServerInfo`. While the state is rebuilt the store cannot count its records yet: then what it holds is left
/// out, and version, limits and features are answered all the same.
pub(super) fn server_info(store: &Store, options: &ServerOptions) -> Result<proto::GetServerInfoResponse, store::Error> {
    let info = match store.info() {
        Ok(info) => Some(info),
        Err(error) if error.reason == proto::ErrorReason::StoreRebuilding => None,
        Err(error) => return Err(error),
    };
    let mut response = proto::GetServerInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        limits: limits(store, options).into_iter().map(|(name, limit)| (name.to_owned(), to_i64(limit))).collect(),
        features: FEATURES.map(str::to_owned).into(),
        server_time: Some(std::time::SystemTime::now().into()),
        ..Default::default()
    };
    if let Some(info) = info {
        response.store_id = info.store_id;
        response.head_revision = to_i64(info.head_revision);
        response.oldest_revision = to_i64(info.oldest_revision);
        response.record_counts =
            info.record_counts.into_iter().map(|(kind, count)| (kind.collection().to_owned(), to_i64(count))).collect();
    }
    Ok(response)
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
