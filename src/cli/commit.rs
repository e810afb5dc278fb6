//! `annals commit`: files of commits into a record.
//!
//! Knows `CommitRequest`. Must not know what its mutations mean, or when it is sent again.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;

use super::{
    Outcome,
    access::{self, Access},
    input::{self, Input},
    output::{self, Output},
    problem, request_id,
};
use crate::{
    client::Client,
    formats::json,
    proto::{ChangeKind, CommitRequest, CommitResponse},
};

/// Apply commits from files.
///
/// A file holds annals.v1.CommitRequest in proto3 JSON: one object, or one a line. They are applied in order, each whole or not
/// at all. It is safe to do it again: a commit whose request_id was applied before is answered as it was then. One without a
/// request_id gets one that is made from its content. Files that end in .gz and .zst are decompressed.
///
/// For many commits "annals ingest" is faster.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals commit article.json\n  annals commit --server http://10.0.0.5:50051 *.ndjson\n  \
                        generate-commits | annals commit -\n  annals commit --dry-run article.json\n  \
                        annals commit --data ./annals-data seed.json")]
pub(super) struct Arguments {
    /// Files of commits; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check each commit against the record as it is, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on after a commit that fails.
    #[arg(long)]
    keep_going: bool,
    /// Print the answers in proto3 JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Tally {
    commits: u64,
    replayed: u64,
    failed: u64,
}

/// Applies them.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let mut tally = Tally::default();
    access::block_on(async {
        let files = input::open(&arguments.files)?;
        let progress = input::progress(&files);
        arguments.access.create()?;
        let connection = arguments.access.connect_with(access::options(&progress)).await?;
        let mut applied = Ok(true);
        for file in &files {
            applied = apply_file(&connection.client, arguments, file, &progress, &mut tally, out).await;
            if !matches!(applied, Ok(true)) {
                break;
            }
        }
        progress.finish_and_clear();
        connection.close().await?;
        applied
    })?;
    out.flush()?;
    if tally.commits + tally.failed > 1 {
        output::note(&format!("{} commits applied, {} of them before, {} failed", tally.commits, tally.replayed, tally.failed));
    }
    Ok(if tally.failed == 0 { Outcome::Done } else { Outcome::Failed })
}

/// Applies the commits of one file. Whether to go on.
async fn apply_file(
    client: &Client,
    arguments: &Arguments,
    file: &Input,
    progress: &ProgressBar,
    tally: &mut Tally,
    out: &mut Output,
) -> anyhow::Result<bool> {
    let name = &file.name;
    let from = file.read(progress).with_context(|| format!("cannot read {name}"))?;
    for (index, request) in json::Reader::<_, CommitRequest>::new(from).enumerate() {
        let mut request = request.map_err(|error| anyhow::anyhow!("{name}, {error}"))?;
        request.validate_only |= arguments.dry_run;
        let label = match request.request_id.as_str() {
            "" => format!("{name}, commit {}", index + 1),
            id => id.to_owned(),
        };
        request_id::fill(&mut request);
        match client.commit(request).await {
            Ok(response) => {
                tally.commits += 1;
                tally.replayed += u64::from(response.replayed);
                progress.suspend(|| {
                    let written = if arguments.json {
                        out.json_line(&json::to_value(&response))
                    } else {
                        out.line(format!("{label}: {}", describe(&response)))
                    };
                    // Seen at once by people; a pipe is filled in larger pieces.
                    written.and_then(|()| if io::stdout().is_terminal() { out.flush() } else { Ok(()) })
                })?;
            }
            Err(error) => {
                tally.failed += 1;
                out.flush()?;
                progress.suspend(|| output::complain(&format!("{label}: {}", problem::describe_answer(&error))));
                if !arguments.keep_going {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// "revision 7, 90 created, 6 updated".
fn describe(response: &CommitResponse) -> String {
    let mut parts = vec![match response.revision {
        0 => "checked, nothing written".to_owned(),
        revision => format!("revision {revision}"),
    }];
    let kinds = [
        (ChangeKind::Created, "created"),
        (ChangeKind::Updated, "updated"),
        (ChangeKind::Deleted, "deleted"),
        (ChangeKind::Undeleted, "undeleted"),
        (ChangeKind::Merged, "merged"),
        (ChangeKind::Unmerged, "unmerged"),
        (ChangeKind::Unchanged, "unchanged"),
    ];
    for (kind, word) in kinds {
        let count = response.results.iter().filter(|result| result.kind() == kind).count();
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    if response.replayed {
        parts.push("as it was applied before".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::MutationResult;

    #[test]
    fn an_answer_says_revision_counts_and_whether_it_was_applied_before() {
        let result = |kind: ChangeKind| MutationResult { kind: kind.into(), ..Default::default() };
        let results = vec![result(ChangeKind::Created), result(ChangeKind::Updated), result(ChangeKind::Created)];
        let mut response = CommitResponse { revision: 7, results, ..Default::default() };
        assert_eq!(describe(&response), "revision 7, 2 created, 1 updated");
        response.replayed = true;
        assert_eq!(describe(&response), "revision 7, 2 created, 1 updated, as it was applied before");
        assert_eq!(describe(&CommitResponse::default()), "checked, nothing written");
    }
}
