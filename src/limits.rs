//! Every limit of a record and of a store, stated once: its name, its bound, and what it bounds.
//!
//! The checks, the names in errors, `GetServerInfo.limits` and the table in `docs/api.md` all use this list. The server adds
//! its own. Must not know what is measured, or who refuses it.

/// A limit that a caller can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in errors and in `GetServerInfo.limits`. Part of the API.
    pub name: &'static str,
    /// The largest value that is allowed.
    pub maximum: u64,
    /// What it bounds, for the documentation.
    pub bounds: &'static str,
}

macro_rules! record_limits {
    ($($(#[$doc:meta])* $bound:ident, $limit:ident: $maximum:expr, $name:literal, $bounds:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) const $bound: usize = $maximum;
            pub(crate) const $limit: Limit = Limit { name: $name, maximum: $bound as u64, bounds: $bounds };
        )*

        /// The limits of a single record.
        const RECORD_LIMITS: &[Limit] = &[$($limit),*];
    };
}

record_limits! {
    /// Most external ids of a record.
    EXTERNAL_IDS_MAX, EXTERNAL_IDS: 256, "external_ids.count", "external ids of a record, also after a merge or an upsert";
    /// Most labels of a record.
    LABELS_MAX, LABELS: 64, "labels.count", "labels of a record, also after a merge or an upsert";
    /// Most entries of `annotations`.
    ANNOTATIONS_MAX, ANNOTATIONS: 32, "annotations", "annotations of a record or of a commit";
    /// Most entries of `metrics`.
    METRICS_MAX, METRICS: 64, "metrics", "metrics of a record";
    /// Longest key of `annotations` and `metrics`, in characters. A key is ASCII.
    KEY_CHARS_MAX, KEY_CHARS: 63, "map_key.chars",
        "a key of `annotations` or `metrics`, of `a-z 0-9 . _ / -`. Another form is `FIELD_INVALID`";
    /// Longest value of an annotation, in bytes.
    ANNOTATION_BYTES_MAX, ANNOTATION_BYTES: 8 * 1024, "annotations.value_bytes", "the value of an annotation";
    /// Most references of a record, in all its fields together.
    REFERENCES_MAX, REFERENCES: 500, "references.count", "references of a record, in all its fields";
    /// Longest title or name, in characters.
    TITLE_CHARS_MAX, TITLE_CHARS: 512, "title.chars", "a title or name. `FIELD_INVALID`";
    /// Longest statement of a claim, in characters.
    STATEMENT_CHARS_MAX, STATEMENT_CHARS: 4096, "statement.chars", "the statement of a claim. `FIELD_INVALID`";
    /// Longest text of a source, in bytes of UTF-8.
    TEXT_BYTES_MAX, TEXT_BYTES: 64 * 1024, "text.bytes", "the text of a source. `FIELD_INVALID`";
    /// Longest value of an external id, in characters. It is ASCII.
    EXTERNAL_ID_CHARS_MAX, EXTERNAL_ID_CHARS: 256, "external_id.chars",
        "the part of an external id after the scheme. `FIELD_INVALID`";
    /// Longest code of a vocabulary, in characters.
    CODE_CHARS_MAX, CODE_CHARS: 256, "code.chars", "the part of a code after the scheme. `FIELD_INVALID`";
}

macro_rules! store_limits {
    (
        named { $($(#[$doc:meta])* $field:ident: $default:expr, $name:literal, $bounds:literal;)* }
        unnamed { $($(#[$other_doc:meta])* $other:ident: $other_default:expr;)* }
    ) => {
        /// The bounds of a store. [`Self::list`] lists the limits that a caller can meet, each with its name. The method with
        /// the same name as a field returns one of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct StoreLimits {
            $($(#[$doc])* pub $field: u64,)*
            $($(#[$other_doc])* pub $other: u64,)*
        }

        impl Default for StoreLimits {
            fn default() -> Self {
                Self { $($field: $default,)* $($other: $other_default,)* }
            }
        }

        impl StoreLimits {
            $(
                $(#[$doc])*
                pub const fn $field(&self) -> Limit {
                    Limit { name: $name, maximum: self.$field, bounds: $bounds }
                }
            )*

            /// Every limit that a caller can meet: those of the store and those of one record.
            pub fn list(&self) -> impl Iterator<Item = Limit> + use<> {
                [$(self.$field()),*].into_iter().chain(RECORD_LIMITS.iter().copied())
            }
        }
    };
}

store_limits! {
    named {
        /// Bytes of one encoded request.
        request_bytes: 4 << 20, "request.bytes", "a request, after decompression";
        /// Bytes of one encoded response. Pages and batches end before it.
        response_bytes: (4 << 20) - (64 << 10), "response.bytes", "a response. Never exceeded: pages and batches end early";
        /// Bytes of one encoded record.
        record_bytes: 256 << 10, "record.bytes", "a record";
        /// Mutations of one commit.
        commit_mutations: 1000, "commit.mutations", "mutations of a commit";
        /// Preconditions of one commit.
        commit_preconditions: 100, "commit.preconditions", "preconditions of a commit";
        /// Bytes of the records of all changes of one commit.
        commit_bytes: 3 << 20, "commit.bytes",
            "the records of a commit after it, including the last states of deleted and merged records";
        /// Steps along a chain of links in the search for a cycle.
        cycle_steps: 1000, "links.steps", "records in a chain of links that must not have a cycle, such as PART_OF";
        /// Most records of a page.
        page_size: 1000, "list.page_size", "records of a page, 50 by default. A larger value is read as the maximum";
        /// Rows read for one page.
        scan_rows: 50_000, "list.scan_rows", "rows read for a page. Never exceeded: the page ends early";
        /// Milliseconds spent on one page.
        page_ms: 200, "list.page_ms", "time spent for a page. Never exceeded: the page ends early";
        /// Rows sorted for an order that no index serves.
        sort_rows: 50_000, "list.sort_rows", "matches sorted for an order that no index serves";
        /// Characters of a filter.
        filter_chars: 4096, "filter.chars", "characters of a filter";
        /// Comparisons of a filter.
        filter_terms: 64, "filter.terms", "comparisons of a filter";
        /// Depth of parentheses in a filter.
        filter_depth: 16, "filter.depth", "nested parentheses of a filter";
        /// Names of one `BatchGetRecords`.
        batch_get_names: 1000, "batch_get.names", "names of a BatchGetRecords";
        /// Concurrent watches.
        watches: 1000, "watches", "concurrent watches. `TOO_MANY_WATCHES`";
        /// Concurrent watches of one caller.
        watches_caller: 100, "watches.caller",
            "concurrent watches of one caller (without authentication: of one connection). `TOO_MANY_WATCHES`";
        /// Commits that wait for the writer.
        queue_commits: 4096, "commit.queue", "commits waiting to be written. `TOO_MANY_REQUESTS`";
    }
    unnamed {
        /// Records of a page if the request does not say.
        page_size_default: 50;
        /// Commits that share one sync.
        group_commits: 512;
    }
}

#[cfg(test)]
#[cfg(feature = "server")]
mod tests {
    use std::fs;

    use super::*;

    /// The lines around the table in `docs/api.md`.
    const MARKS: (&str, &str) = ("<!-- limits: made by a test -->\n", "<!-- end of limits -->\n");

    /// A bound, in the unit that its name ends with.
    fn bound(limit: Limit) -> String {
        let Limit { name, maximum, .. } = limit;
        let is_bytes = name.ends_with("bytes") || name.contains("bytes_");
        match maximum {
            _ if is_bytes && maximum % (1 << 20) == 0 => format!("{} MiB", maximum >> 20),
            _ if is_bytes && maximum % (1 << 10) == 0 => format!("{} KiB", maximum >> 10),
            _ if name.ends_with("_ms") && maximum % 1000 == 0 => format!("{} s", maximum / 1000),
            _ if name.ends_with("_ms") => format!("{maximum} ms"),
            10_000.. => format!("{},{:03}", maximum / 1000, maximum % 1000),
            _ => maximum.to_string(),
        }
    }

    fn all() -> Vec<Limit> {
        StoreLimits::default().list().chain(crate::rpc::ServerOptions::default().limits()).collect()
    }

    #[test]
    fn no_two_limits_have_one_name() {
        let mut names: Vec<_> = all().into_iter().map(|limit| limit.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_documentation_has_every_limit() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");
        let written = fs::read_to_string(path).unwrap();
        let (before, rest) = written.split_once(MARKS.0).expect("the comment before the table");
        let (_, after) = rest.split_once(MARKS.1).expect("the comment after the table");
        let row = |limit: Limit| format!("| `{}` | {} | {} |", limit.name, bound(limit), limit.bounds);
        let rows = all().into_iter().map(row).collect::<Vec<_>>().join("\n") + "\n";
        let now = format!("{before}{}| name | default | of what |\n|--|--|--|\n{rows}{}{after}", MARKS.0, MARKS.1);
        if std::env::var_os("ANNALS_UPDATE").is_some() {
            fs::write(path, &now).unwrap();
        } else {
            assert!(now == written, "docs/api.md is stale: run this test with ANNALS_UPDATE=1");
        }
    }
}
