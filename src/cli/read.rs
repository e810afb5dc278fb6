//! The commands that read and print: `annals get`, `list`, `history`, `info` and `verify`.
//!
//! Must not know how a record is stored, or how a page is read.

use std::{io, path::PathBuf, slice};

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use super::{
    access::{self, Access},
    arguments::{self, AsOf},
    output::{self, Outcome, Output},
    speakers::Speakers,
    table,
};
use crate::{
    client::{Client, ClientError},
    formats::json,
    model::{RecordKind, RecordName},
    open,
    proto::{Change, ErrorReason, GetRecordRequest, GetServerInfoResponse, ListRecordsRequest},
    store::StoreLimits,
};

/// Records per page if neither --page-size nor --limit asks for fewer.
const PAGE_SIZE: i32 = 500;

/// Show one record.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals get events/e1\n  annals get actors/nis --json\n  \
                        annals get claims/c1 --as-of 12\n  annals get claims/c1 --as-of 2024-10-23T08:00:00Z")]
pub(super) struct GetArguments {
    /// The name of the record, such as events/e1.
    name: RecordName,
    /// Show the record as of a revision or a time: 12, 2024-10-23, 2024-10-23T08:00:00Z.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Show the record even if it is deleted.
    #[arg(long)]
    show_deleted: bool,
    /// Do not follow the redirect of a merged record.
    #[arg(long)]
    no_redirect: bool,
    /// Print the record in proto3 JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// `annals get`: prints one record.
pub(super) fn get(arguments: &GetArguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let (as_of_revision, as_of_time) = AsOf::fields(arguments.as_of);
    let request = GetRecordRequest {
        name: arguments.name.to_string(),
        as_of_revision,
        as_of_time,
        show_deleted: arguments.show_deleted,
        no_redirect: arguments.no_redirect,
    };
    let (value, speakers) = access::block_on(async {
        let connection = arguments.access.connect().await?;
        let read = record_and_speakers(&connection.client, arguments, &request).await;
        connection.close().await?;
        read.map_err(with_options)
    })?;
    if arguments.json {
        out.json(&value)?;
    } else {
        let rows = table::fields(&value).into_iter().chain(table::meaning(arguments.name.kind(), &value, &speakers));
        out.table(&[], rows)?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

/// Reads a record, and its speakers for a table.
async fn record_and_speakers(
    client: &Client,
    arguments: &GetArguments,
    request: &GetRecordRequest,
) -> Result<(Value, Speakers), ClientError> {
    let record = client.get_record(arguments.name.kind(), request).await?;
    let value = json::record_value(&record);
    let speakers = if arguments.json {
        Speakers::default()
    } else {
        Speakers::of(client, slice::from_ref(&value), (request.as_of_revision, request.as_of_time)).await?
    };
    Ok((value, speakers))
}

/// Names the options of `annals get` in errors in which the server names fields of its request.
fn with_options(error: ClientError) -> anyhow::Error {
    let variable = |key| error.metadata().get(key).map_or("", String::as_str);
    let (name, reason) = (variable("name"), error.reason_name());
    match error.reason() {
        Some(ErrorReason::RecordDeleted) => {
            anyhow!("{name} was deleted at revision {}: add --show-deleted to see it ({reason})", variable("revision"))
        }
        Some(ErrorReason::RecordRedirected) => {
            anyhow!("{name} was merged into {}: get that record, or leave out --no-redirect ({reason})", variable("target"))
        }
        _ => error.into(),
    }
}

/// List the records of a collection that match a filter.
///
/// A filter compares fields, which it names by their paths: title = "*troops*", time.earliest >= "2024-10-01",
/// participants:(actor = "actors/a1" AND role = INITIATOR), NOT external_ids:*. A path can go on into the records that
/// a field refers to: claim.topic = "troops", participants.actor.countries = "PRK". AND and OR need parentheses when they are
/// mixed. docs/filters.md describes the language.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals list events --filter 'title = \"*troops*\"' --order-by 'time.earliest desc'\n  \
                        annals list actors --filter 'external_ids:\"wikidata:Q423\"' --json\n  \
                        annals list claims --filter 'attribution.actors:\"actors/nis\"' --as-of 2024-10-23 --limit 0\n  \
                        annals list estimates --filter 'speakers = \"actors/nis\"'\n  \
                        annals list estimates --filter 'estimand.measure = \"measure:fatalities\"' --explain")]
pub(super) struct ListArguments {
    #[arg(value_parser = arguments::collection, help = format!("The collection: {}", RecordKind::collections()))]
    collection: RecordKind,
    /// List the records that match this filter. Default: all.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    #[arg(long, value_name = "FIELDS", default_value = "", hide_default_value = true, help = order_help())]
    order_by: String,
    /// List the records as of a revision or a time: 12, 2024-10-23, 2024-10-23T08:00:00Z.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Also show deleted records.
    #[arg(long)]
    show_deleted: bool,
    /// The number of records to show. 0 shows all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    #[arg(long, value_name = "COUNT", help = page_size_help())]
    page_size: Option<i32>,
    /// Print the records in proto3 JSON, one per line.
    #[arg(long)]
    json: bool,
    /// Show which index the query uses, and read no record. Without --data, it is the index that a server of this version uses.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    access: Access,
}

fn order_help() -> String {
    let most = StoreLimits::default().order_fields;
    format!("Sort by up to {most} fields, each with an optional \"desc\". Default: by name")
}

fn page_size_help() -> String {
    format!("The number of records per request, at most {}", StoreLimits::default().page_size)
}

/// `annals list`: prints the records that match, or the plan of the query.
pub(super) fn list(arguments: &ListArguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let (as_of_revision, as_of_time) = AsOf::fields(arguments.as_of);
    let page_size = arguments.page_size.unwrap_or_else(|| match arguments.limit {
        0 => PAGE_SIZE,
        limit => i32::try_from(limit).unwrap_or(PAGE_SIZE).min(PAGE_SIZE),
    });
    let request = ListRecordsRequest {
        filter: arguments.filter.clone(),
        order_by: arguments.order_by.clone(),
        page_size,
        page_token: String::new(),
        as_of_revision,
        as_of_time,
        show_deleted: arguments.show_deleted,
    };
    access::block_on(async {
        if arguments.explain {
            return print_plan(arguments, &request, out).await;
        }
        let connection = arguments.access.connect().await?;
        let listed = print_pages(&connection.client, arguments, request, out).await;
        connection.close().await?;
        listed
    })?;
    out.flush()?;
    Ok(Outcome::Done)
}

async fn print_plan(arguments: &ListArguments, request: &ListRecordsRequest, out: &mut Output) -> anyhow::Result<()> {
    // A plan depends on the filter, the order and the indexes. An empty store has the same indexes.
    let store = arguments.access.open().await?;
    let request = if arguments.access.is_folder() {
        request.clone()
    } else {
        ListRecordsRequest { as_of_revision: 0, as_of_time: None, ..request.clone() }
    };
    let plan = store.explain(arguments.collection, &request);
    tokio::task::spawn_blocking(move || store.close()).await??;
    out.line(plan?.trim_end())?;
    Ok(())
}

/// Reads and prints pages up to the limit.
async fn print_pages(
    client: &Client,
    arguments: &ListArguments,
    mut request: ListRecordsRequest,
    out: &mut Output,
) -> anyhow::Result<()> {
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let mut shown = 0;
    let mut rows: Vec<Value> = Vec::new();
    let (revision, more) = loop {
        let page = client.list_records(arguments.collection, &request).await?;
        let left = limit - shown;
        let cut = page.records.len() > left;
        for record in page.records.into_iter().take(left) {
            shown += 1;
            let value = json::record_value(&record);
            if arguments.json {
                out.json_line(&value)?;
            } else {
                rows.push(value);
            }
        }
        request.page_token = page.next_page_token;
        let more = cut || !request.page_token.is_empty();
        if !more || shown >= limit {
            break (page.revision, more);
        }
    };
    if !arguments.json {
        let speakers = match arguments.collection {
            RecordKind::Claim | RecordKind::Estimate => Speakers::of(client, &rows, (revision, None)).await?,
            _ => Speakers::default(),
        };
        let (header, row) = table::columns(arguments.collection);
        out.table(header, rows.iter().map(|record| row(record, &speakers)))?;
    }
    out.flush()?;
    let more = if more { "; there are more: --limit 0 shows all" } else { "" };
    let kind = arguments.collection;
    let records = if shown == 1 { kind.singular() } else { kind.collection() };
    output::note(&format!("{shown} {records} at revision {revision}{more}"));
    Ok(())
}

/// Show the revisions of one record, newest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals history events/e1\n  annals history estimates/x --json --limit 0\n\n\
                        To show the record at a revision: annals get events/e1 --as-of REVISION")]
pub(super) struct HistoryArguments {
    /// The name of the record, such as events/e1.
    name: RecordName,
    /// The number of revisions to show. 0 shows all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Print the revisions in proto3 JSON, one annals.v1.Change per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// `annals history`: prints the changes of one record, newest first.
pub(super) fn history(arguments: &HistoryArguments, out: &mut Output) -> anyhow::Result<Outcome> {
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
        out.table(&["REVISION", "TIME", "CHANGE", "BY", "FIELDS"], changes.iter().map(change_row))?;
    }
    out.flush()?;
    if more {
        output::note(&format!("the newest {} revisions; there are more: --limit 0 shows all", changes.len()));
    }
    Ok(Outcome::Done)
}

/// The newest changes up to the limit, and whether there are more.
async fn changes(client: &Client, arguments: &HistoryArguments) -> Result<(Vec<Change>, bool), ClientError> {
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

fn change_row(change: &Change) -> Vec<String> {
    vec![
        change.revision.to_string(),
        table::time(change.commit_time.as_ref()),
        table::change(change),
        change.author.clone(),
        change.changed_fields.join(", "),
    ]
}

/// Show how many records the store has, and the version and the limits of the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  annals info\n  annals info --json\n  annals info --data ./annals-data")]
pub(super) struct InfoArguments {
    /// Print annals.v1.GetServerInfoResponse in proto3 JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// `annals info`: prints what a server says about itself and its store.
pub(super) fn info(arguments: &InfoArguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let info = access::block_on(async {
        let connection = arguments.access.connect().await?;
        let info = connection.client.info().await;
        connection.close().await?;
        Ok(info?)
    })?;
    if arguments.json {
        out.json(&json::to_value(&info))?;
    } else {
        out.table(&[], info_rows(&info))?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn info_rows(info: &GetServerInfoResponse) -> Vec<Vec<String>> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("version", info.version.clone()),
        row("store id", info.store_id.clone()),
        row("head revision", info.head_revision.to_string()),
        row("oldest revision", info.oldest_revision.to_string()),
        row("server time", table::time(info.server_time.as_ref())),
        row("features", info.features.join(", ")),
    ];
    rows.extend(info.record_counts.iter().map(|(collection, count)| row(collection, count.to_string())));
    rows.extend(info.limits.iter().map(|(name, limit)| row(&format!("limit {name}"), limit.to_string())));
    rows
}

/// Check a data folder: compare every key of its state with its log, and every entry of the log with its checksums.
///
/// No server may have the folder open. Nothing is changed. Each error is one line on standard output. The exit status is 1 if
/// there are errors.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  annals verify --data ./annals-data")]
pub(super) struct VerifyArguments {
    /// The data folder to check.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// `annals verify`: checks a folder, and prints each error. `Failed` if there are errors.
pub(super) fn verify(arguments: &VerifyArguments, out: &mut Output) -> anyhow::Result<Outcome> {
    if !arguments.data.is_dir() {
        anyhow::bail!("there is no folder {}", arguments.data.display());
    }
    let mut written: io::Result<()> = Ok(());
    let verified = open::verify(&arguments.data, &mut |discrepancy| {
        if written.is_ok() {
            written = out.line(discrepancy.to_string());
        }
    })?;
    written?;
    out.flush()?;
    output::note(&format!("{} entries, {} keys, {} errors", verified.entries, verified.keys, verified.discrepancies));
    Ok(if verified.discrepancies == 0 { Outcome::Done } else { Outcome::Failed })
}
