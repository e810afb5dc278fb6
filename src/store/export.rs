//! Everything at one revision, page by page, from wherever a reader stopped.
//!
//! Knows lists. Must not know streams or messages of the contract.

use bytes::Bytes;

use super::{
    Store,
    error::{Result, StoreError, StoreErrorKind},
    query::token::{self, Purpose},
    selection::Selection,
};
use crate::{
    model::{RecordKind, wire},
    proto::{ErrorReason, ExportRequest, ListRecordsRequest},
};

/// Records that are read at once.
const PAGE_RECORDS: i32 = 1000;

/// An export on its way.
#[derive(Debug)]
pub(crate) struct Export {
    store: Store,
    selection: Selection,
    filter: String,
    revision: u64,
    /// Which of the selection's kinds is being read; past the last: it is done.
    kind: usize,
    /// Where its next page begins; empty at its start.
    page_token: String,
    /// Digest of what was asked, so that a resumed export asks for the same.
    asked: Vec<u8>,
    started: bool,
}

/// A piece of an export.
#[derive(Debug)]
pub(crate) struct ExportChunk {
    pub(crate) records: Vec<(RecordKind, Bytes)>,
    /// Where to go on after this piece.
    pub(crate) resume_token: String,
    pub(crate) revision: u64,
}

impl Store {
    /// Begins an export, or goes on with one. May wait for the clock.
    pub(crate) fn export(&self, request: &ExportRequest) -> Result<Export> {
        let selection = Selection::parse(&request.types, &request.filter, self.limits())?;
        let asked = digest(request);
        let (revision, kind, page_token) = match request.resume_token.as_str() {
            "" => (self.revision_as_of(request.as_of_revision, request.as_of_time.as_ref())?, 0, String::new()),
            text => resume(text, &asked)?,
        };
        Ok(Export {
            store: self.clone(),
            filter: request.filter.clone(),
            selection,
            revision,
            kind,
            page_token,
            started: !request.resume_token.is_empty(),
            asked,
        })
    }
}

impl Export {
    /// The next piece; none at the end. The first has no records where there are none at all, and tells the revision.
    pub(crate) fn next(&mut self) -> Result<Option<ExportChunk>> {
        let mut records = Vec::new();
        while records.is_empty()
            && let Some(kind) = self.selection.kinds().get(self.kind).copied()
        {
            // Revision 0 is the empty record; a list would read the newest instead.
            let page = if self.revision == 0 { super::EncodedPage::default() } else { self.page(kind)? };
            records.extend(page.records.into_iter().map(|record| (kind, record)));
            if page.next_page_token.is_empty() {
                self.kind += 1;
            }
            self.page_token = page.next_page_token;
        }
        let first = !std::mem::replace(&mut self.started, true);
        if records.is_empty() && !first {
            return Ok(None);
        }
        Ok(Some(ExportChunk { records, resume_token: self.resume_token(), revision: self.revision }))
    }

    fn page(&self, kind: RecordKind) -> Result<super::EncodedPage> {
        let request = ListRecordsRequest {
            filter: self.filter.clone(),
            page_size: PAGE_RECORDS,
            page_token: self.page_token.clone(),
            as_of_revision: self.revision.cast_signed(),
            ..Default::default()
        };
        self.store.list_encoded(kind, &request)
    }

    fn resume_token(&self) -> String {
        let mut payload = self.asked.clone();
        wire::put_varint(self.revision, &mut payload);
        wire::put_varint(self.kind as u64, &mut payload);
        payload.extend_from_slice(self.page_token.as_bytes());
        token::seal(Purpose::Export, &payload)
    }
}

/// Digest of what a token binds.
fn digest(request: &ExportRequest) -> Vec<u8> {
    let bound = ExportRequest { resume_token: String::new(), ..request.clone() };
    token::digest(&prost::Message::encode_to_vec(&bound)).to_vec()
}

fn resume(text: &str, asked: &[u8]) -> Result<(u64, usize, String)> {
    let invalid = || {
        let message = "resume_token is damaged, or is not one that Export gave: send it as it was, or start again without one";
        StoreError::new(StoreErrorKind::Invalid, ErrorReason::PageTokenInvalid, message)
    };
    let payload = token::open(Purpose::Export, text).ok_or_else(invalid)?;
    let rest = payload.get(asked.len()..).ok_or_else(invalid)?;
    if !payload.starts_with(asked) {
        let message = "resume_token is of an export with other arguments: all other fields must be as they were";
        return Err(
            StoreError::new(StoreErrorKind::Invalid, ErrorReason::PageTokenMismatch, message).with("field", "resume_token")
        );
    }
    let (revision, rest) = wire::varint(rest).ok_or_else(invalid)?;
    let (kind, page_token) = wire::varint(rest).ok_or_else(invalid)?;
    let page_token = std::str::from_utf8(page_token).map_err(|_| invalid())?;
    Ok((revision, usize::try_from(kind).map_err(|_| invalid())?, page_token.to_owned()))
}
