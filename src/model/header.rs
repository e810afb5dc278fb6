//! The fields that every record has and a client writes: external ids, labels, metrics, annotations.
//!
//! Knows fields 7 to 10. Must not know the fields of any single type, nor those that the server writes.

use std::collections::{BTreeMap, HashMap};

use super::{FieldPath, Violations, code};
use crate::limits;

/// The common fields of a record of any type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    /// Field 7.
    pub(super) external_ids: &'a [String],
    /// Field 8.
    pub(super) labels: &'a [String],
    /// Field 9.
    pub(super) metrics: &'a BTreeMap<String, f64>,
    /// Field 10.
    pub(super) annotations: &'a BTreeMap<String, String>,
}

impl Header<'_> {
    /// Reports what is too many, too long or of the wrong form. `shape` checks that metrics are finite, as it does for all
    /// numbers.
    pub(super) fn check(&self, at: &FieldPath<'_>, violations: &mut Violations) {
        let ids = at.field("external_ids");
        violations.limit(&ids, limits::EXTERNAL_IDS, self.external_ids.len() as u64);
        code::check_external_ids(self.external_ids, &ids, violations);
        check_repeats(self.external_ids, &ids, violations);

        let labels = at.field("labels");
        violations.limit(&labels, limits::LABELS, self.labels.len() as u64);
        code::check_all(self.labels, &labels, violations);
        check_repeats(self.labels, &labels, violations);

        let metrics = at.field("metrics");
        violations.limit(&metrics, limits::METRICS, self.metrics.len() as u64);
        check_keys(self.metrics.keys(), &metrics, violations);

        check_annotations(self.annotations, &at.field("annotations"), violations);
    }
}

/// Reports each text of a list that an earlier one of the list has, too. An empty one is reported as such.
fn check_repeats(texts: &[String], at: &FieldPath<'_>, violations: &mut Violations) {
    let mut first = HashMap::new();
    for (index, text) in texts.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        let before = *first.entry(text.as_str()).or_insert(index);
        if before != index {
            violations.invalid(&at.index(index), format!("repeats {}: leave one of them out", at.index(before)));
        }
    }
}

/// Reports annotations, of a record or of a commit, that are too many, too long or have keys of the wrong form.
pub fn check_annotations(annotations: &BTreeMap<String, String>, at: &FieldPath<'_>, violations: &mut Violations) {
    violations.limit(at, limits::ANNOTATIONS, annotations.len() as u64);
    check_keys(annotations.keys(), at, violations);
    for (key, value) in annotations {
        violations.limit(&at.key(key), limits::ANNOTATION_BYTES, value.len() as u64);
    }
}

fn check_keys<'a>(keys: impl Iterator<Item = &'a String>, at: &FieldPath<'_>, violations: &mut Violations) {
    for key in keys {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._/-".contains(&byte);
        if key.is_empty() || !key.bytes().all(allowed) {
            violations.invalid(&at.key(key), format!("is not a key: use 1-{} of a-z 0-9 . _ / -", limits::KEY_CHARS_MAX));
        } else {
            violations.limit(&at.key(key), limits::KEY_CHARS, key.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, entries};
    use crate::proto::Event;

    /// Sets these common fields of an event and checks which fields are refused.
    fn check(change: impl FnOnce(&mut Event), expect: &[&str]) {
        let mut event = testing::event();
        change(&mut event);
        testing::check(event, expect);
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("x:{number}")).collect()
    }

    #[test]
    fn external_ids_are_at_most_256_and_well_formed() {
        check(|event| event.external_ids = many(256), &[]);
        check(|event| event.external_ids = many(257), &["external_ids: external_ids.count 257"]);
        check(|event| event.external_ids = vec!["a:1".into(), "a 2".into()], &["external_ids[1]"]);
    }

    #[test]
    fn an_external_id_or_a_label_is_in_its_list_once() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        check(|event| event.external_ids = list(&["a:1", "b:1", "a:1", "a:1"]), &["external_ids[2]", "external_ids[3]"]);
        check(|event| event.external_ids = list(&["a:1", "A:1", "a:01"]), &["external_ids[1]"]);
        check(|event| event.labels = list(&["tlp:red", "tlp:green", "tlp:red"]), &["labels[2]"]);
        check(|event| event.labels = list(&["tlp:red", "tlp:Red"]), &[]);
    }

    #[test]
    fn labels_are_at_most_64_and_codes() {
        check(|event| event.labels = many(64), &[]);
        check(|event| event.labels = many(65), &["labels: labels.count 65"]);
        check(|event| event.labels = vec!["green".into(), "tlp:green".into()], &["labels[0]"]);
    }

    #[test]
    fn annotations_are_at_most_32_with_keys_of_63_and_values_of_8_kib() {
        check(|event| event.annotations = entries(32, "v".repeat(8192)), &[]);
        check(|event| event.annotations = entries(33, String::new()), &["annotations: annotations 33"]);
        check(
            |event| event.annotations = [("a".to_owned(), "v".repeat(8193))].into(),
            &["annotations[\"a\"]: annotations.value_bytes 8193"],
        );
        check(|event| event.annotations = [("a.b_c/d-0".to_owned(), String::new())].into(), &[]);
        check(|event| event.annotations = [("k".repeat(63), String::new())].into(), &[]);
        let long = "k".repeat(64);
        check(
            |event| event.annotations = [(long.clone(), String::new())].into(),
            &[&format!("annotations[\"{long}\"]: map_key.chars 64")],
        );
        check(|event| event.annotations = [("A".to_owned(), String::new())].into(), &["annotations[\"A\"]"]);
        check(|event| event.annotations = [(String::new(), String::new())].into(), &["annotations[\"\"]"]);
    }

    #[test]
    fn metrics_are_at_most_64_finite_numbers() {
        check(|event| event.metrics = entries(64, -4.4), &[]);
        check(|event| event.metrics = entries(65, 0.0), &["metrics: metrics 65"]);
        check(|event| event.metrics = [("gdelt.tone".to_owned(), f64::NAN)].into(), &["metrics[\"gdelt.tone\"]"]);
        check(|event| event.metrics = [("x".to_owned(), f64::NEG_INFINITY)].into(), &["metrics[\"x\"]"]);
        check(|event| event.metrics = [("é".to_owned(), 1.0)].into(), &["metrics[\"é\"]"]);
    }
}
