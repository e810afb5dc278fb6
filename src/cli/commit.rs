//! `annals commit`: applies the commits of files, one after another.
//!
//! Must not know what a mutation means, or when a commit is retried.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;

use super::{
    access::{self, Access},
    input::{self, InputFile, fill_request_id},
    output::{self, Outcome, Output},
};
use crate::{
    client::Client,
    formats::json,
    proto::{ChangeKind, CommitRequest, CommitResponse},
};

/// Apply commits from files.
///
/// A file contains annals.v1.CommitRequest messages in proto3 JSON: one object, or one object per line. The commits are applied
/// in order, each completely or not at all. Transient errors are retried. It is safe to run the command again: a commit whose
/// request_id was applied before gets the same answer. A commit without a request_id gets one that is made from its content.
/// Files that end in .gz or .zst are decompressed.
///
/// "annals ingest" is faster for many commits.
#[derive(Debug, Args)]
#[allow(clippy::doc_markdown)] // Shown to people as it is: a backtick would be, too.
#[command(after_help = "Examples:\n  annals commit article.json\n  annals commit --server http://10.0.0.5:50051 *.ndjson\n  \
                        generate-commits | annals commit -\n  annals commit --dry-run article.json\n  \
                        annals commit --data ./annals-data seed.json")]
pub(super) struct Arguments {
    /// The files of commits. - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check each commit against the records in the store, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Continue after a commit that fails.
    #[arg(long)]
    keep_going: bool,
    /// Print the answers in proto3 JSON, one per line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// How many commits of all files were applied, and how many were not.
#[derive(Debug, Default)]
struct Counts {
    commits: u64,
    /// How many of the commits were applied by an earlier run.
    replayed: u64,
    failed: u64,
}

/// Applies the commits of all files, and prints each answer. `Failed` if a commit was refused.
pub(super) fn run(arguments: &Arguments, out: &mut Output) -> anyhow::Result<Outcome> {
    let mut counts = Counts::default();
    access::block_on(async {
        let files = input::open(&arguments.files)?;
        let progress = input::progress(&files);
        arguments.access.create()?;
        let connection = arguments.access.connect_with(access::options(&progress)).await?;
        let mut applied = Ok(true);
        for file in &files {
            applied = apply_file(&connection.client, arguments, file, &progress, &mut counts, out).await;
            if !matches!(applied, Ok(true)) {
                break;
            }
        }
        progress.finish_and_clear();
        connection.close().await?;
        applied
    })?;
    out.flush()?;
    if counts.commits + counts.failed > 1 {
        output::note(&format!(
            "{} commits applied, {} of them already applied before, {} failed",
            counts.commits, counts.replayed, counts.failed
        ));
    }
    Ok(if counts.failed == 0 { Outcome::Done } else { Outcome::Failed })
}

/// Applies the commits of one file. False if the command must stop.
async fn apply_file(
    client: &Client,
    arguments: &Arguments,
    file: &InputFile,
    progress: &ProgressBar,
    counts: &mut Counts,
    out: &mut Output,
) -> anyhow::Result<bool> {
    let name = &file.name;
    let from = file.read(progress).with_context(|| format!("cannot read {name}"))?;
    for (index, request) in json::JsonReader::<_, CommitRequest>::new(from).enumerate() {
        let mut request = request.map_err(|error| anyhow::anyhow!("{name}, {error}"))?;
        request.validate_only |= arguments.dry_run;
        let label = match request.request_id.as_str() {
            "" => format!("{name}, commit {}", index + 1),
            id => id.to_owned(),
        };
        fill_request_id(&mut request);
        match client.commit(request).await {
            Ok(response) => {
                counts.commits += 1;
                counts.replayed += u64::from(response.replayed);
                progress.suspend(|| {
                    let written = if arguments.json {
                        out.json_line(&json::to_value(&response))
                    } else {
                        out.line(format!("{label}: {}", describe(&response)))
                    };
                    // On a terminal each answer is shown at once; a pipe gets larger blocks.
                    written.and_then(|()| if io::stdout().is_terminal() { out.flush() } else { Ok(()) })
                })?;
            }
            Err(error) => {
                counts.failed += 1;
                out.flush()?;
                progress.suspend(|| output::complain(&format!("{label}: {}", output::describe_answer(&error))));
                if !arguments.keep_going {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// A response as text: "revision 7, 90 created, 6 updated".
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
        parts.push("already applied before".to_owned());
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
        assert_eq!(describe(&response), "revision 7, 2 created, 1 updated, already applied before");
        assert_eq!(describe(&CommitResponse::default()), "checked, nothing written");
    }
}
