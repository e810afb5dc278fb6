//! Every bound of the store: what a request, a record, a page and a queue may hold.
//!
//! Knows numbers and their names. Must not know what is measured.

use std::collections::BTreeMap;

/// The bounds of a store. The names that `GetServerInfo.limits` and errors use are those of [`StoreLimits::by_name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of one encoded request.
    pub request_bytes: u64,
    /// Bytes of one encoded response: pages and batches close before.
    pub response_bytes: u64,
    /// Bytes of one encoded record.
    pub record_bytes: u64,
    /// Mutations of one commit.
    pub commit_mutations: u64,
    /// Preconditions of one commit.
    pub commit_preconditions: u64,
    /// Bytes of the records of all changes of one commit.
    pub commit_bytes: u64,
    /// Records of a page where the request does not say.
    pub page_size_default: u64,
    /// Most records of a page.
    pub page_size: u64,
    /// Rows looked at for one page.
    pub scan_rows: u64,
    /// Milliseconds spent on one page.
    pub page_ms: u64,
    /// Rows sorted for an order that no index serves.
    pub sort_rows: u64,
    /// Characters of a filter.
    pub filter_chars: u64,
    /// Comparisons of a filter.
    pub filter_terms: u64,
    /// Depth of parentheses in a filter.
    pub filter_depth: u64,
    /// Names of one `BatchGetRecords`.
    pub batch_get_names: u64,
    /// Commits that wait for the writer.
    pub queue_commits: u64,
    /// Commits that share one sync.
    pub group_commits: u64,
    /// Watches at once.
    pub watches: u64,
    /// Watches at once of one caller.
    pub watches_caller: u64,
    /// Steps along a chain of links when looking for a cycle.
    pub cycle_steps: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            request_bytes: 4 << 20,
            response_bytes: (4 << 20) - (64 << 10),
            record_bytes: 256 << 10,
            commit_mutations: 1000,
            commit_preconditions: 100,
            commit_bytes: 3 << 20,
            page_size_default: 50,
            page_size: 1000,
            scan_rows: 50_000,
            page_ms: 200,
            sort_rows: 50_000,
            filter_chars: 4096,
            filter_terms: 64,
            filter_depth: 16,
            batch_get_names: 1000,
            queue_commits: 4096,
            group_commits: 512,
            watches: 1000,
            watches_caller: 100,
            cycle_steps: 1000,
        }
    }
}

impl StoreLimits {
    /// Each limit that a caller can meet, by the name that errors give.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("request.bytes", self.request_bytes),
            ("response.bytes", self.response_bytes),
            ("record.bytes", self.record_bytes),
            ("commit.mutations", self.commit_mutations),
            ("commit.preconditions", self.commit_preconditions),
            ("commit.bytes", self.commit_bytes),
            ("list.page_size", self.page_size),
            ("list.scan_rows", self.scan_rows),
            ("list.page_ms", self.page_ms),
            ("list.sort_rows", self.sort_rows),
            ("filter.chars", self.filter_chars),
            ("filter.terms", self.filter_terms),
            ("filter.depth", self.filter_depth),
            ("batch_get.names", self.batch_get_names),
            ("commit.queue", self.queue_commits),
            ("watches", self.watches),
            ("watches.caller", self.watches_caller),
            ("links.steps", self.cycle_steps),
        ])
    }
}
