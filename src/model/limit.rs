//! Every limit that concerns one record by itself.
//!
//! Knows the limits' names and sizes. Must not know which field breaks one: that is for whoever checks the field.

/// Most external ids of a record.
pub const EXTERNAL_IDS_MAX: usize = 256;
/// Most labels of a record.
pub const LABELS_MAX: usize = 64;
/// Most entries of `annotations`.
pub const ANNOTATIONS_MAX: usize = 32;
/// Most entries of `metrics`.
pub const METRICS_MAX: usize = 64;
/// Longest key of `annotations` and `metrics`, in characters, which are ASCII.
pub const KEY_CHARS_MAX: usize = 63;
/// Longest value of an annotation, in bytes.
pub const ANNOTATION_BYTES_MAX: usize = 8 * 1024;
/// Most references that a record holds, in all its fields together.
pub const REFERENCES_MAX: usize = 500;
/// Longest title or name, in characters.
pub const TITLE_CHARS_MAX: usize = 512;
/// Longest statement of a claim, in characters.
pub const STATEMENT_CHARS_MAX: usize = 4096;
/// Longest text of a source, in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest value of an external id, in characters, which are ASCII.
pub const EXTERNAL_ID_CHARS_MAX: usize = 256;
/// Longest code of a vocabulary, in characters.
pub const CODE_CHARS_MAX: usize = 256;

/// The limits under the names that `GetServerInfo.limits` and `LIMIT_EXCEEDED` call them by.
pub const LIMITS: [(&str, usize); 12] = [
    ("external_ids.count", EXTERNAL_IDS_MAX),
    ("labels.count", LABELS_MAX),
    ("annotations", ANNOTATIONS_MAX),
    ("metrics", METRICS_MAX),
    ("map_key.chars", KEY_CHARS_MAX),
    ("annotations.value_bytes", ANNOTATION_BYTES_MAX),
    ("references.count", REFERENCES_MAX),
    ("title.chars", TITLE_CHARS_MAX),
    ("statement.chars", STATEMENT_CHARS_MAX),
    ("text.bytes", TEXT_BYTES_MAX),
    ("external_id.chars", EXTERNAL_ID_CHARS_MAX),
    ("code.chars", CODE_CHARS_MAX),
];
