//! Every limit of a record, of a request and of a store, stated once: its name, its bound, and what it bounds.
//!
//! The checks, the names and numbers in errors, `GetServerInfo.limits` and the table in `docs/api.md` all use this list. The
//! server adds its own. Must not know what is measured, or who refuses it.

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

macro_rules! fixed_limits {
    ($($(#[$doc:meta])* $bound:ident, $limit:ident: $maximum:expr, $name:literal, $bounds:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) const $bound: usize = $maximum;
            pub(crate) const $limit: Limit = Limit { name: $name, maximum: $bound as u64, bounds: $bounds };
        )*

        /// The limits that are the same in every store.
        const FIXED_LIMITS: &[Limit] = &[$($limit),*];
    };
}

fixed_limits! {
    /// Longest request id, in characters. It is ASCII.
    REQUEST_ID_CHARS_MAX, REQUEST_ID_CHARS: 128, "request_id.chars", "a request id. `FIELD_INVALID`";
    /// Most commits of one Ingest that wait for their answers.
    INGEST_COMMITS_MAX, INGEST_COMMITS: 256, "ingest.commits",
        "commits of an Ingest without an answer. Never exceeded: the server reads the next one later";
    /// Longest id of a record, in characters. It is ASCII.
    ID_CHARS_MAX, ID_CHARS: 63, "id.chars", "the id in the name of a record, and a label of a mutation. `FIELD_INVALID`";
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
    TITLE_CHARS_MAX, TITLE_CHARS: 512, "title.chars",
        "a title or name: `title`, `display_name` and `ActorName.text`. `FIELD_INVALID`";
    /// Longest statement of a claim, in characters.
    STATEMENT_CHARS_MAX, STATEMENT_CHARS: 4096, "statement.chars", "the statement of a claim. `FIELD_INVALID`";
    /// Longest text of a source, in bytes of UTF-8.
    TEXT_BYTES_MAX, TEXT_BYTES: 64 * 1024, "text.bytes",
        "the text of a source, in UTF-8. For a longer text, send its `uri` and `sha256`. `FIELD_INVALID`";
    /// Longest scheme of an external id or a code, in characters. It is ASCII.
    SCHEME_CHARS_MAX, SCHEME_CHARS: 32, "scheme.chars", "the scheme of an external id or a code. `FIELD_INVALID`";
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

            /// Every limit that a caller can meet: those of the store and those that all stores share.
            pub fn list(&self) -> impl Iterator<Item = Limit> + use<> {
                [$(self.$field()),*].into_iter().chain(FIXED_LIMITS.iter().copied())
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
        /// Records and keys read for one page to follow the references of a filter.
        filter_reads: 20_000, "filter.reads",
            "other records and keys read for a page, if its filter goes through references. The page ends early, if it can";
        /// Fields of an order.
        order_fields: 3, "order_by.fields", "fields of an order. `ORDER_BY_INVALID`";
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

    /// Fails unless a file contains these sentences. Where its lines break does not matter.
    fn check_sentences(file: &str, sentences: &[String]) {
        let text = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let text = text.split_whitespace().filter(|word| *word != "//").collect::<Vec<_>>().join(" ");
        for sentence in sentences {
            assert!(text.contains(sentence), "{file} does not say {sentence:?}");
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
        let now = format!("{before}{}| name | default | what it limits |\n|--|--|--|\n{rows}{}{after}", MARKS.0, MARKS.1);
        if std::env::var_os("ANNALS_UPDATE").is_some() {
            fs::write(path, &now).unwrap();
        } else {
            assert!(now == written, "docs/api.md is stale: run this test with ANNALS_UPDATE=1");
        }
    }

    #[test]
    fn the_contract_and_the_pages_state_the_limits_as_they_are() {
        let StoreLimits { page_size, page_size_default, scan_rows, page_ms, sort_rows, .. } = StoreLimits::default();
        let StoreLimits {
            commit_mutations,
            batch_get_names,
            order_fields,
            filter_chars,
            filter_terms,
            filter_depth,
            filter_reads,
            ..
        } = StoreLimits::default();
        let thousands = |rows: u64| format!("{},{:03}", rows / 1000, rows % 1000);
        check_sentences(
            "proto/annals/v1/records.proto",
            &[
                format!("\"events/{{event}}\": 1 to {ID_CHARS_MAX} of a-z 0-9 -"),
                format!("At most {EXTERNAL_IDS_MAX}; the value has 1 to {EXTERNAL_ID_CHARS_MAX} printable ASCII characters"),
                format!("\"iso3166:408\". At most {LABELS_MAX} "),
                format!("-4.4}}. At most {METRICS_MAX}, finite"),
                format!("At most {ANNOTATIONS_MAX}, of {} KiB each", ANNOTATION_BYTES_MAX >> 10),
                format!("A scheme has 1 to {SCHEME_CHARS_MAX} of a-z 0-9 . _ -, a code 1 to {CODE_CHARS_MAX} characters"),
                format!("a key 1 to {KEY_CHARS_MAX} of a-z 0-9 . _ / -. A record has at most {REFERENCES_MAX} references"),
                format!("The best-known name. 1 to {TITLE_CHARS_MAX} characters"),
                format!("The ministry sent no troops.\" 1 to {STATEMENT_CHARS_MAX} characters"),
                format!("At most {} KiB. For a longer text", TEXT_BYTES_MAX >> 10),
            ],
        );
        check_sentences(
            "proto/annals/v1/record_service.proto",
            &[
                format!("Default {page_size_default}, at most {page_size} (a larger value is read as {page_size})"),
                format!("1 to {batch_get_names} names"),
                format!("1 to {REQUEST_ID_CHARS_MAX} of A-Z a-z 0-9 . _ : -"),
                format!("1 to {commit_mutations}, each on a different record"),
                format!("A name for this record inside the commit: 1 to {ID_CHARS_MAX} of"),
            ],
        );
        check_sentences(
            "docs/api.md",
            &[
                format!("An **id** has 1 to {ID_CHARS_MAX} of"),
                format!("The scheme has 1 to {SCHEME_CHARS_MAX} of"),
                format!("The value has 1 to {EXTERNAL_ID_CHARS_MAX} printable"),
                format!(
                    "`page_size` is {page_size_default} by default and at most {page_size}. A larger value is read as {page_size}."
                ),
                format!("after {} rows read, or after {page_ms} ms", thousands(scan_rows)),
                format!("up to {order_fields} single-valued fields"),
                format!("up to {} matches", thousands(sort_rows)),
            ],
        );
        check_sentences(
            "docs/filters.md",
            &[
                format!("{filter_chars} characters, {filter_terms} comparisons and {filter_depth} levels of parentheses"),
                format!("For one page the server reads at most {} other records", thousands(filter_reads)),
                format!("up to {order_fields} single-valued fields"),
                format!("up to {}.", thousands(sort_rows)),
                format!("after {} records or {page_ms} ms", thousands(scan_rows)),
            ],
        );
        check_sentences(
            "docs/data-model.md",
            &[
                format!("The id has 1 to {ID_CHARS_MAX} of"),
                format!("The value has 1 to {EXTERNAL_ID_CHARS_MAX} printable"),
                format!("The code has 1 to {CODE_CHARS_MAX} characters"),
                format!("| scheme | 1 to {SCHEME_CHARS_MAX} of"),
                format!("`metrics` | 1 to {KEY_CHARS_MAX} of"),
            ],
        );
    }
}
