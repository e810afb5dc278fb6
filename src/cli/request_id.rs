//! The request id of a commit that has none.
//!
//! It is made from the commit's content, so that sending the same commit again, from whatever file and in whatever order, finds the
//! first answer: a file may be begun again, mended, split or joined with others. The price is that a commit which stands twice
//! in the input is made once. Whoever means it twice gives each an id.
//!
//! Knows digests. Must not know what a commit means.

use prost::Message;
use sha2::{Digest, Sha256};

use crate::proto::CommitRequest;

/// What the id begins with.
const PREFIX: &str = "sha256:";

/// Gives a commit that has no id one made from all else that it says. Whether it had none. One that is only checked needs none.
pub(super) fn fill(request: &mut CommitRequest) -> bool {
    if !request.request_id.is_empty() || request.validate_only {
        return false;
    }
    // Of the decoded message, whose maps are in order: spaces, the order of keys and the form of names in JSON do not matter.
    request.request_id = format!("{PREFIX}{:x}", Sha256::digest(request.encode_to_vec()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::json;

    fn id(text: &str) -> String {
        let mut request = json::from_str(text).expect("a request");
        fill(&mut request);
        request.request_id
    }

    #[test]
    fn equal_content_has_one_id_however_it_is_written_and_other_content_another() {
        let first = id(
            r#"{"annotations": {"a": "1", "b": "2"}, "mutations": [{"delete": {"name": "events/e", "allow_missing": true}}]}"#,
        );
        let again = id(r#"{"mutations":[{"delete":{"allowMissing":true,"name":"events/e"}}],"annotations":{"b":"2","a":"1"}}"#);
        let other = id(
            r#"{"annotations": {"a": "1", "b": "3"}, "mutations": [{"delete": {"name": "events/e", "allow_missing": true}}]}"#,
        );
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first.len() == 71 && first.starts_with("sha256:"), "{first}");
        assert_eq!(id(r#"{"request_id": "mine"}"#), "mine");
        assert_eq!(id(r#"{"validate_only": true}"#), "");
    }
}
