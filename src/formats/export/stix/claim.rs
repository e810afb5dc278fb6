//! Claims: notes. Not with their language: validators know few of those that reports are in.

use super::{
    object::{Object, Property, always},
    property::{grounds, object_refs, str_of, text, texts},
};

pub(super) const OBJECTS: &[Object] = &[Object {
    kind: "note",
    each: "",
    only: "",
    applies: always,
    is_record: true,
    observed_by: &[],
    properties: &[
        Property { name: "content", from: "`statement`", value: |c, _| text(c, "statement") },
        Property {
            name: "object_refs",
            from: "`about`, `condition`, the `actors` of `attribution`, the `source` of `citations`",
            value: |c, context| Some(object_refs(texts(c, "about").chain(str_of(c, "condition")).chain(grounds(c)), context)),
        },
    ],
}];
