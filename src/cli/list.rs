//! `annals list`: the records of a collection that match a filter.

use clap::Args;
use serde_json::Value;

use super::{
    Outcome,
    access::{self, Access},
    collection,
    output::{self, Output},
    table,
    time::AsOf,
};
use crate::{client::Client, formats::json, model::RecordKind, proto::ListRecordsRequest};

/// Records of a page where neither --page-size nor --limit says less.
const PAGE_SIZE: i32 = 500;

/// List the records of a collection that match a filter.
///
/// A filter compares fields by their paths: title = "*troops*", time.earliest >= "2024-10-01",
/// participants:(actor = "actors/a1" AND role = INITIATOR), NOT external_ids:*. AND and OR are not mixed without parentheses.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals list events --filter 'title = \"*troops*\"' --order-by 'time.earliest desc'\n  \
                        annals list actors --filter 'external_ids:\"wikidata:Q423\"' --json\n  \
                        annals list claims --filter 'attribution.actors:\"actors/nis\"' --as-of 2024-10-23 --limit 0\n  \
                        annals list estimates --filter 'estimand.measure = \"measure:fatalities\"' --explain")]
pub(super) struct Arguments {
    /// sources, actors, events, claims, estimates or relations.
    #[arg(value_parser = collection::parse)]
    collection: RecordKind,
    /// Which records. Left out: all.
    #[arg(long, default_value = "", hide_default_value = true)]
    filter: String,
    /// In which order: up to three fields, each with an optional "desc". Left out: by name.
    #[arg(long, value_name = "FIELDS", default_value = "", hide_default_value = true)]
    order_by: String,
    /// As they were at a revision, or at a time: 12, 2024-10-23, 2024-10-23T08:00:00Z.
    #[arg(long, value_name = "REVISION|TIME")]
    as_of: Option<AsOf>,
    /// Show deleted ones, too.
    #[arg(long)]
    show_deleted: bool,
    /// Records to show; 0: all.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Records to ask for at a time, at most 1000.
    #[arg(long, value_name = "COUNT")]
    page_size: Option<i32>,
    /// Print proto3 JSON, one record a line.
    #[arg(long)]
    json: bool,
    /// Show how the list would be read, and read nothing. Without --data, as this program's version would read it.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    access: Access,
}

/// Lists them.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
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
            return explain(arguments, &request, out).await;
        }
        let connection = arguments.access.connect().await?;
        let listed = list(&connection.client, arguments, request, out).await;
        connection.close().await?;
        listed
    })?;
    out.flush()?;
    Ok(Outcome::Done)
}

async fn explain(arguments: &Arguments, request: &ListRecordsRequest, out: &mut Output) -> anyhow::Result<()> {
    // A plan depends on the filter, the order and the indexes, which an empty store has as well.
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

async fn list(client: &Client, arguments: &Arguments, mut request: ListRecordsRequest, out: &mut Output) -> anyhow::Result<()> {
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
        let (header, columns) = table::columns(arguments.collection);
        out.table(header, rows.iter().map(columns))?;
    }
    out.flush()?;
    let more = if more { ", there are more: --limit 0 shows all" } else { "" };
    let kind = arguments.collection;
    let records = if shown == 1 { kind.singular() } else { kind.collection() };
    output::note(&format!("{shown} {records} at revision {revision}{more}"));
    Ok(())
}
