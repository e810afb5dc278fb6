//! `annals get`: one record.

use clap::Args;

use super::{
    Outcome,
    access::{self, Access},
    output::Output,
    table,
    time::AsOf,
};
use crate::{formats::json, model::RecordName, proto::GetRecordRequest};

/// Show one record.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals get events/e1\n  annals get actors/nis --json\n  \
                        annals get claims/c1 --as-of 12\n  annals get claims/c1 --as-of 2024-10-23T08:00:00Z")]
pub(super) struct Arguments {
    /// Its name, such as events/e1.
    name: RecordName,
    /// As it was at a revision, or at a time: 12, 2024-10-23, 2024-10-23T08:00:00Z.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Show it even if it is deleted.
    #[arg(long)]
    show_deleted: bool,
    /// Do not follow a merge to the record that this one was merged into.
    #[arg(long)]
    no_redirect: bool,
    /// Print proto3 JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Shows it.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let (as_of_revision, as_of_time) = AsOf::fields(arguments.as_of);
    let request = GetRecordRequest {
        name: arguments.name.to_string(),
        as_of_revision,
        as_of_time,
        show_deleted: arguments.show_deleted,
        no_redirect: arguments.no_redirect,
    };
    let record = access::block_on(async {
        let connection = arguments.access.connect().await?;
        let record = connection.client.get_record(arguments.name.kind(), &request).await;
        connection.close().await?;
        Ok(record?)
    })?;
    let value = json::record_value(&record);
    if arguments.json {
        out.json(&value)?;
    } else {
        out.table(&[], table::fields(&value))?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
