//! Page tokens. A token is a text with the position from which a list resumes. The caller sends it back for the next page.
//!
//! A token is stateless. It holds the revision that all pages read, the position reached, and a digest of the request, so that
//! the request for the next page must be the same. A token is checked for damage but not for forgery: a forged token reads only
//! what a list would return.
//!
//! Knows requests. Must not know how a list is read.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{
    model::{RecordKind, is_id, wire},
    proto::{ErrorReason, ListRecordsRequest, ListRevisionsRequest},
    store::error::{Result, StoreError, StoreErrorDetails, StoreErrorKind},
};

/// Bytes of the checksum, and of each digest of a text.
const DIGEST_BYTES: usize = 8;

/// The purpose of a token. A token is refused if it is used for another purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// Pages of a list of records.
    List = 1,
    /// Pages of a record's revisions.
    Revisions = 2,
    /// An export that is resumed.
    Export = 3,
}

/// Makes a text from bytes, with a purpose and a checksum.
pub(crate) fn seal(purpose: Purpose, payload: &[u8]) -> String {
    let mut bytes = vec![purpose as u8];
    bytes.extend_from_slice(payload);
    let sum = digest(&bytes);
    bytes.extend_from_slice(&sum);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a text that [`seal`] has made. `None`: it is damaged, or was made for another purpose.
pub(crate) fn open(purpose: Purpose, text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sealed, sum) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
    let (first, payload) = sealed.split_first()?;
    (*first == purpose as u8 && *sum == digest(sealed)).then(|| payload.to_vec())
}

/// The beginning of the SHA-256 of some bytes: enough to notice a difference.
pub(crate) fn digest(bytes: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut digest = [0; DIGEST_BYTES];
    digest.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, byte)| *to = byte);
    digest
}

/// The position that a list has reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The sort key of the last row. Empty in an order by name.
    pub(super) key: Vec<u8>,
    /// The id of the last row.
    pub(super) id: String,
}

/// The contents of a page token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageToken {
    /// The revision that all pages are read at.
    pub(crate) revision: u64,
    /// Where the page begins: after this position.
    pub(crate) position: Position,
}

/// The fields of a request that must not change between pages, in the order in which a token holds their digests. Errors use
/// these names.
fn bound(kind: RecordKind, request: &ListRecordsRequest) -> [(&'static str, Vec<u8>); 6] {
    let time = request.as_of_time.map_or_else(Vec::new, |time| {
        let mut bytes = time.seconds.to_be_bytes().to_vec();
        bytes.extend_from_slice(&time.nanos.to_be_bytes());
        bytes
    });
    [
        ("method", vec![kind as u8]),
        ("filter", digest(request.filter.as_bytes()).to_vec()),
        ("order_by", digest(request.order_by.as_bytes()).to_vec()),
        ("show_deleted", vec![u8::from(request.show_deleted)]),
        ("as_of_revision", request.as_of_revision.to_be_bytes().to_vec()),
        ("as_of_time", time),
    ]
}

/// The token of the page that begins after a position.
pub(super) fn encode(kind: RecordKind, request: &ListRecordsRequest, revision: u64, position: &Position) -> String {
    let mut payload = Vec::new();
    wire::put_varint(revision, &mut payload);
    let bound = bound(kind, request);
    let parts = bound.iter().map(|(_, bytes)| bytes.as_slice()).chain([position.key.as_slice(), position.id.as_bytes()]);
    for part in parts {
        wire::put_varint(part.len() as u64, &mut payload);
        payload.extend_from_slice(part);
    }
    seal(Purpose::List, &payload)
}

/// The token of the page that begins after a record, in a list by name.
pub(crate) fn after(kind: RecordKind, request: &ListRecordsRequest, revision: u64, id: &str) -> String {
    encode(kind, request, revision, &Position { key: Vec::new(), id: id.to_owned() })
}

/// Decodes the token of a request, if it has one: the revision to read, and the position for [`super::list`].
///
/// Fails with `PAGE_TOKEN_INVALID`, or with `PAGE_TOKEN_MISMATCH` and the field that has changed since the page before.
pub(crate) fn decode(kind: RecordKind, request: &ListRecordsRequest) -> Result<Option<PageToken>> {
    if request.page_token.is_empty() {
        return Ok(None);
    }
    let payload = open(Purpose::List, &request.page_token).ok_or_else(invalid)?;
    let (revision, mut rest) = wire::varint(&payload).ok_or_else(invalid)?;
    let mut part = || -> Result<&[u8]> {
        let (length, bytes) = wire::varint(rest).ok_or_else(invalid)?;
        let length = usize::try_from(length).map_err(|_| invalid())?;
        let (part, behind) = bytes.split_at_checked(length).ok_or_else(invalid)?;
        rest = behind;
        Ok(part)
    };
    for (field, bytes) in bound(kind, request) {
        if part()? != bytes {
            return Err(mismatch(field));
        }
    }
    let key = part()?.to_vec();
    let id = std::str::from_utf8(part()?).ok().filter(|id| is_id(id)).ok_or_else(invalid)?.to_owned();
    if !rest.is_empty() {
        return Err(invalid());
    }
    Ok(Some(PageToken { revision, position: Position { key, id } }))
}

/// The token of the page of a record's revisions that begins after a revision.
pub(crate) fn encode_revision(request: &ListRevisionsRequest, revision: u64) -> String {
    let mut payload = digest(request.name.as_bytes()).to_vec();
    wire::put_varint(revision, &mut payload);
    seal(Purpose::Revisions, &payload)
}

/// The revision after which a page of a record's revisions begins. Fails as [`decode`] does.
pub(crate) fn decode_revision(request: &ListRevisionsRequest) -> Result<u64> {
    let payload = open(Purpose::Revisions, &request.page_token).ok_or_else(invalid)?;
    let (name, revision) = payload.split_first_chunk::<DIGEST_BYTES>().ok_or_else(invalid)?;
    if *name != digest(request.name.as_bytes()) {
        return Err(mismatch("name"));
    }
    match wire::varint(revision) {
        Some((revision, [])) => Ok(revision),
        _ => Err(invalid()),
    }
}

fn invalid() -> StoreError {
    let message = "page_token is damaged, or was not returned by this method: send next_page_token unchanged, or start the \
                   list again without one";
    StoreError::new(StoreErrorKind::Invalid, ErrorReason::PageTokenInvalid, message).with_details(details(message))
}

fn mismatch(field: &'static str) -> StoreError {
    let message = match field {
        "method" => "page_token was returned by another method: send it to that method".to_owned(),
        field => format!(
            "{field} differs from the request for the page before: only page_size may change between pages; to change \
             {field}, start the list again without page_token"
        ),
    };
    let details = details(&message);
    StoreError::new(StoreErrorKind::Invalid, ErrorReason::PageTokenMismatch, message).with("field", field).with_details(details)
}

fn details(description: &str) -> StoreErrorDetails {
    StoreErrorDetails::Fields(vec![crate::model::Violation {
        field: "page_token".to_owned(),
        description: description.to_owned(),
        kind: crate::model::ViolationKind::Invalid,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ListRecordsRequest {
        ListRecordsRequest { filter: "title:*".into(), order_by: "title".into(), as_of_revision: 7, ..Default::default() }
    }

    fn sealed() -> ListRecordsRequest {
        let position = Position { key: vec![1, 0, 255], id: "e1".into() };
        ListRecordsRequest { page_token: encode(RecordKind::Event, &request(), 300, &position), ..request() }
    }

    #[test]
    fn a_token_gives_back_its_revision_and_position() {
        let token = decode(RecordKind::Event, &ListRecordsRequest { page_size: 3, ..sealed() }).unwrap().unwrap();
        assert_eq!(token, PageToken { revision: 300, position: Position { key: vec![1, 0, 255], id: "e1".into() } });
        assert_eq!(decode(RecordKind::Event, &request()).unwrap(), None);
    }

    #[test]
    fn a_token_of_revisions_is_bound_to_the_record() {
        let request = |name: &str, page_token| ListRevisionsRequest { name: name.into(), page_token, ..Default::default() };
        let token = encode_revision(&request("events/e", String::new()), 300);
        assert_eq!(decode_revision(&request("events/e", token.clone())).unwrap(), 300);
        let error = decode_revision(&request("events/f", token)).unwrap_err();
        assert_eq!(error.reason, ErrorReason::PageTokenMismatch);
        let error = decode_revision(&request("events/e", sealed().page_token)).unwrap_err();
        assert_eq!(error.reason, ErrorReason::PageTokenInvalid);
    }

    #[test]
    fn a_token_used_with_other_arguments_names_the_one_that_differs() {
        let check = |kind, request: ListRecordsRequest, field: &str| {
            let error = decode(kind, &request).unwrap_err();
            assert_eq!(error.reason, ErrorReason::PageTokenMismatch);
            assert_eq!(error.metadata, [("field", field.to_owned())]);
        };
        let time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        check(RecordKind::Claim, sealed(), "method");
        check(RecordKind::Event, ListRecordsRequest { filter: "title:* ".into(), ..sealed() }, "filter");
        check(RecordKind::Event, ListRecordsRequest { order_by: String::new(), ..sealed() }, "order_by");
        check(RecordKind::Event, ListRecordsRequest { show_deleted: true, ..sealed() }, "show_deleted");
        check(RecordKind::Event, ListRecordsRequest { as_of_revision: 0, ..sealed() }, "as_of_revision");
        check(RecordKind::Event, ListRecordsRequest { as_of_time: time, ..sealed() }, "as_of_time");
    }

    #[test]
    fn a_damaged_or_foreign_token_is_refused() {
        let check = |token: String| {
            let error = decode(RecordKind::Event, &ListRecordsRequest { page_token: token.clone(), ..request() }).unwrap_err();
            assert_eq!(error.reason, ErrorReason::PageTokenInvalid, "{token}");
        };
        let token = sealed().page_token;
        for at in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            check(String::from_utf8(damaged).unwrap());
            check(token[..at].to_owned() + "!");
            if at > 0 {
                check(token[..at].to_owned());
            }
        }
        check(seal(Purpose::Revisions, &open(Purpose::List, &token).unwrap()));
        check(seal(Purpose::List, &[]));
        check(seal(Purpose::List, &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]));
    }

    #[test]
    fn a_made_up_position_is_no_id() {
        let position = Position { key: Vec::new(), id: "x".repeat(300) };
        let token = encode(RecordKind::Event, &request(), 1, &position);
        let error = decode(RecordKind::Event, &ListRecordsRequest { page_token: token, ..request() }).unwrap_err();
        assert_eq!(error.reason, ErrorReason::PageTokenInvalid);
    }
}
