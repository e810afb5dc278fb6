//! What is wrong with a message, field by field. A check reports every violation, not only the first.

use std::fmt;

use crate::limits::Limit;

/// Where a field is in a message: `mutations[3].create.claim.attribution[0].actors[1]`. A check builds it on the stack on its
/// way down, and writes it out only if there is something to report.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> FieldPath<'a> {
    /// The message itself.
    pub const ROOT: FieldPath<'static> = FieldPath { parent: None, step: Step::Root };

    /// A field of the message at this path, by proto name. A name with dots stands for several steps.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of the repeated field at this path.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// An entry of the map at this path.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        parent.fmt(to)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if matches!(parent.step, Step::Root) => write!(to, "{name}"),
            Step::Field(name) => write!(to, ".{name}"),
            Step::Index(index) => write!(to, "[{index}]"),
            Step::Key(key) => write!(to, "[{key:?}]"),
        }
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, as a path from the request.
    pub field: String,
    /// A sentence that says what is wrong and what to do.
    pub description: String,
    /// Which kind of rule is broken, and its variables.
    pub kind: ViolationKind,
}

/// The kinds of error that a message can have, regardless of other records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// The value breaks a rule (`FIELD_INVALID`).
    Invalid,
    /// The value has too many elements, characters or bytes (`LIMIT_EXCEEDED`).
    Limit {
        /// The limit's name in `GetServerInfo.limits`.
        limit: &'static str,
        /// The most that is allowed.
        maximum: u64,
        /// The count, characters or bytes that were sent.
        actual: u64,
    },
    /// A reference to a label that no mutation of the request has (`LABEL_UNKNOWN`).
    LabelUnknown {
        /// The label, without "@".
        label: String,
    },
}

/// All violations found so far, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    list: Vec<Violation>,
}

impl Violations {
    /// Reports a value that breaks a rule.
    pub fn invalid(&mut self, at: &FieldPath<'_>, description: impl Into<String>) {
        self.list.push(Violation { field: at.to_string(), description: description.into(), kind: ViolationKind::Invalid });
    }

    /// Reports a value if it exceeds a limit.
    pub(crate) fn limit(&mut self, at: &FieldPath<'_>, limit: Limit, actual: u64) {
        let Limit { name: limit, maximum, .. } = limit;
        if actual > maximum {
            self.list.push(Violation {
                field: at.to_string(),
                description: format!("{limit} is limited to {maximum}, but there are {actual}: {}", way_out(limit)),
                kind: ViolationKind::Limit { limit, maximum, actual },
            });
        }
    }

    /// Reports a reference to a label that no mutation has.
    pub fn label_unknown(&mut self, field: String, label: &str) {
        self.list.push(Violation {
            description: format!(
                "no mutation of this commit has the label \"{label}\": give a mutation this label, or write the name of a record"
            ),
            kind: ViolationKind::LabelUnknown { label: label.to_owned() },
            field,
        });
    }

    /// Whether no violation was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds the violations of another check.
    pub fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
    }

    /// All violations, in the order in which they were found.
    pub fn into_vec(self) -> Vec<Violation> {
        self.list
    }

    /// All violations, in the order in which they were found.
    pub fn as_slice(&self) -> &[Violation] {
        &self.list
    }
}

/// A text in quotes for a description. A long text is cut, because descriptions travel in headers, which are small.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// What to do about an exceeded limit. The first or the last word of the limit's name says what is counted.
fn way_out(limit: &str) -> &'static str {
    match limit.split_once('.') {
        Some(("commit", _)) => "split it into several commits",
        Some(("batch_get", _)) => "split it into several calls",
        Some((_, unit)) if unit.ends_with("chars") || unit.ends_with("bytes") => "shorten it",
        _ => "send fewer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_fields_indexes_and_keys() {
        let mutations = FieldPath::ROOT.field("mutations");
        let mutation = mutations.index(3);
        assert_eq!(mutation.field("create.event").field("places").to_string(), "mutations[3].create.event.places");
        assert_eq!(mutation.field("metrics").key("a.b").to_string(), "mutations[3].metrics[\"a.b\"]");
        assert_eq!(FieldPath::ROOT.to_string(), "");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(quoted("폭풍\n"), "\"폭풍\\n\"");
        assert_eq!(quoted(&"폭".repeat(80)), format!("\"{}\"", "폭".repeat(80)));
        assert_eq!(quoted(&"폭".repeat(81)), format!("\"{}\"...", "폭".repeat(80)));
    }
}
