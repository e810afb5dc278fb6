//! `annals history`: every revision of one record.

use clap::Args;

use super::{
    Outcome,
    access::{self, Access},
    output::{self, Output},
    table, time,
};
use crate::{
    client::{self, Client},
    formats::json,
    model::RecordName,
    proto::Change,
};

/// Show the revisions of one record, newest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals history events/e1\n  annals history estimates/x --json --limit 0\n\n\
                        To read the record as it was: annals get events/e1 --as-of REVISION")]
pub(super) struct Arguments {
    /// Its name, such as events/e1.
    name: RecordName,
    /// Revisions to show; 0: all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Print proto3 JSON, one annals.v1.Change a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Shows them.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let (changes, more) = access::block_on(async {
        let connection = arguments.access.connect().await?;
        let read = changes(&connection.client, arguments).await;
        connection.close().await?;
        Ok(read?)
    })?;
    if arguments.json {
        for change in &changes {
            out.json_line(&json::to_value(change))?;
        }
    } else {
        out.table(&["REVISION", "TIME", "CHANGE", "BY", "FIELDS"], changes.iter().map(row))?;
    }
    out.flush()?;
    if more {
        output::note(&format!("the newest {} revisions, there are more: --limit 0 shows all", changes.len()));
    }
    Ok(Outcome::Done)
}

/// As many as are asked for, and whether there are more.
async fn changes(client: &Client, arguments: &Arguments) -> Result<(Vec<Change>, bool), client::ClientError> {
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let mut history = client.history(&arguments.name.to_string());
    let mut changes = Vec::new();
    while let Some(change) = history.message().await? {
        if changes.len() == limit {
            return Ok((changes, true));
        }
        changes.push(change);
    }
    Ok((changes, false))
}

fn row(change: &Change) -> Vec<String> {
    vec![
        change.revision.to_string(),
        time::text(change.commit_time.as_ref()),
        table::change(change),
        change.author.clone(),
        change.changed_fields.join(", "),
    ]
}
