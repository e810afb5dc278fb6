//! `annals info`: what a server says of itself.

use clap::Args;

use super::{
    Outcome,
    access::{self, Access},
    output::Output,
    time,
};
use crate::{formats::json, proto::GetServerInfoResponse};

/// Show what a record holds, and the limits of its server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals info\n  annals info --json\n  annals info --data ./annals-data")]
pub(super) struct Arguments {
    /// Print proto3 JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Shows it.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let info = access::block_on(async {
        let connection = arguments.access.connect().await?;
        let info = connection.client.info().await;
        connection.close().await?;
        Ok(info?)
    })?;
    if arguments.json {
        out.json(&json::to_value(&info))?;
    } else {
        out.table(&[], rows(&info))?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn rows(info: &GetServerInfoResponse) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("version", info.version.clone()),
        row("store id", info.store_id.clone()),
        row("head revision", info.head_revision.to_string()),
        row("oldest revision", info.oldest_revision.to_string()),
        row("server time", time::text(info.server_time.as_ref())),
        row("features", info.features.join(", ")),
    ];
    rows.extend(info.record_counts.iter().map(|(collection, count)| row(collection, count.to_string())));
    rows.extend(info.limits.iter().map(|(name, limit)| row(&format!("limit {name}"), limit.to_string())));
    rows
}
