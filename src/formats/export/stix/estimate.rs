//! Estimates: notes that say the number in words.

use serde_json::{Value, json};

use super::{
    object::{Object, Property, always},
    property::{grounds, object_refs, str_of, texts, word},
};
use crate::formats::quantity;

pub(super) const OBJECTS: &[Object] = &[Object {
    kind: "note",
    each: "",
    only: "",
    applies: always,
    is_record: true,
    observed_by: &[],
    properties: &[
        Property {
            name: "abstract",
            from: "`estimand.measure`",
            value: |e, _| str_of(e.get("estimand")?, "measure").map(|measure| json!(measure)),
        },
        Property {
            name: "content",
            from: "`quantity`, `aspect`, `mode` and the words of `reference_time` and `as_of`, in a sentence",
            value: |e, _| Some(json!(sentence(e))),
        },
        Property {
            name: "object_refs",
            from: "`claim`, `estimand.subjects`, `inputs`, the `actors` of `attribution`, the `source` of `citations`",
            value: |e, context| {
                let subjects = e.get("estimand").into_iter().flat_map(|estimand| texts(estimand, "subjects"));
                Some(object_refs(
                    str_of(e, "claim").into_iter().chain(subjects).chain(texts(e, "inputs")).chain(grounds(e)),
                    context,
                ))
            },
        },
    ],
}];

/// `measure:troops_deployed: 3000 ("around 3,000"), cumulative, counted, of 2024-10, as of 2024-10-23`
fn sentence(estimate: &Value) -> String {
    let measure = estimate.pointer("/estimand/measure").and_then(Value::as_str).unwrap_or_default();
    let number = estimate.get("quantity");
    let mut text = format!("{measure}: {}", quantity::in_words(number));
    if let Some(words) = number.and_then(|number| str_of(number, "verbatim")) {
        text.extend([" (\"", words, "\")"]);
    }
    for (field, prefix) in [("aspect", "ASPECT_"), ("mode", "ESTIMATE_MODE_")] {
        text.extend(word(estimate, field, prefix).map(|word| format!(", {word}")));
    }
    for (field, of) in [("reference_time", "of"), ("as_of", "as of")] {
        let time = estimate.get(field);
        let time = time
            .and_then(|time| str_of(time, "edtf").or_else(|| str_of(time, "verbatim")).or_else(|| str_of(time, "earliest")));
        text.extend(time.map(|time| format!(", {of} {time}")));
    }
    text
}
