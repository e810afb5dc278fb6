//! Exports all records at one revision, page by page. A reader can resume where it stopped.
//!
//! Knows snapshots and selections. Must not know keys, or how a server streams.

use bytes::Bytes;

use super::{
    EncodedPage, Store,
    entry::record,
    error::{Result, StoreError, StoreErrorKind},
    query::token::{self, Purpose},
    selection::exported_kinds,
    snapshot::StoreSnapshot,
};
use crate::{
    model::{RecordKind, schema, wire},
    proto::{ErrorReason, ExportRequest, ListRecordsRequest, Record},
};

/// Number of records that are read at once.
const PAGE_RECORDS: i32 = 1000;

/// An export in progress. It gives encoded records.
#[derive(Debug)]
pub(crate) struct ExportCursor {
    snapshot: StoreSnapshot,
    kinds: Vec<RecordKind>,
    filter: String,
    /// The index of the kind that is read now. Past the last kind, the export is at its end.
    kind: usize,
    /// The page token of the next page of this kind. Empty for its first page.
    page_token: String,
    /// Digest of the request, to check that a resumed export has the same request.
    asked: Vec<u8>,
    started: bool,
}

/// One chunk of an export.
#[derive(Debug)]
pub(crate) struct ExportChunk {
    pub(crate) records: Vec<(RecordKind, Bytes)>,
    /// The token with which an export resumes after these records.
    pub(crate) resume_token: String,
}

/// An iterator over every record at one revision. [`Store::export`] makes it.
///
/// It ends after an error, except after `STORE_REBUILDING`: then the next call tries again. It keeps the store open, as a clone
/// of the store does.
#[derive(Debug)]
pub struct StoreExport {
    export: ExportCursor,
    /// The rest of the last chunk.
    records: std::vec::IntoIter<(RecordKind, Bytes)>,
    /// The record that was returned last.
    last: Option<(RecordKind, Bytes)>,
    /// The token with which an export resumes after the last chunk.
    resume_token: String,
    ended: bool,
}

impl Store {
    /// Every record at one revision, ordered by type and name. The request selects types and records as on the service. If the
    /// request has a time, this may wait for the clock.
    ///
    /// ```
    /// use annals::{proto::{Actor, CommitRequest, ExportRequest, Mutation}, store::Store};
    ///
    /// let store = Store::in_memory()?;
    /// let actor = |id| Mutation::create(Actor { name: format!("actors/{id}"), display_name: "NIS".into(), ..Default::default() });
    /// store.commit(CommitRequest::of("first", [actor("a"), actor("b")]))?;
    ///
    /// let mut export = store.export(&ExportRequest::default())?;
    /// let first = export.next().expect("two records")?;
    /// // An export that ended half way resumes at the same revision.
    /// let resumed = ExportRequest { resume_token: export.resume_token(), ..Default::default() };
    /// assert_eq!((export.revision(), store.export(&resumed)?.count()), (1, 1));
    /// # Ok::<(), annals::store::StoreError>(())
    /// ```
    pub fn export(&self, request: &ExportRequest) -> Result<StoreExport> {
        let export = self.export_chunks(request)?;
        Ok(StoreExport {
            resume_token: export.resume_token(),
            export,
            records: Vec::new().into_iter(),
            last: None,
            ended: false,
        })
    }

    /// Like [`Self::export`], for a server that sends encoded records.
    pub(crate) fn export_chunks(&self, request: &ExportRequest) -> Result<ExportCursor> {
        let kinds = exported_kinds(&request.types, &request.filter, self.limits())?;
        let asked = digest(request);
        let (snapshot, kind, page_token) = match request.resume_token.as_str() {
            "" => (self.snapshot(request.as_of_revision, request.as_of_time.as_ref())?, 0, String::new()),
            text => {
                let (revision, kind, page_token) = resume(text, &asked)?;
                (StoreSnapshot::of(self, revision), kind, page_token)
            }
        };
        Ok(ExportCursor {
            snapshot,
            filter: request.filter.clone(),
            kinds,
            kind,
            page_token,
            started: !request.resume_token.is_empty(),
            asked,
        })
    }
}

impl ExportCursor {
    /// The revision that is exported.
    pub(crate) fn revision(&self) -> i64 {
        self.snapshot.revision()
    }

    /// The next chunk. `None` at the end. If there are no records at all, the first chunk is empty, and tells the revision.
    pub(crate) fn next(&mut self) -> Result<Option<ExportChunk>> {
        let mut records = Vec::new();
        while records.is_empty()
            && let Some(kind) = self.kinds.get(self.kind).copied()
        {
            let page = self.page(kind)?;
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
        Ok(Some(ExportChunk { records, resume_token: self.resume_token() }))
    }

    fn page(&self, kind: RecordKind) -> Result<EncodedPage> {
        let request = ListRecordsRequest { page_token: self.page_token.clone(), ..self.request() };
        let position = token::decode(kind, &request)?.map(|token| token.position);
        self.snapshot.list_encoded(kind, &request, position.as_ref())
    }

    /// The list request for a page, without its page token.
    fn request(&self) -> ListRecordsRequest {
        ListRecordsRequest {
            filter: self.filter.clone(),
            page_size: PAGE_RECORDS,
            as_of_revision: self.snapshot.revision(),
            ..Default::default()
        }
    }

    /// The token with which an export resumes after the chunks so far.
    fn resume_token(&self) -> String {
        self.token(self.kind, &self.page_token)
    }

    /// The token with which an export resumes after a record.
    fn token_after(&self, kind: RecordKind, record: &[u8]) -> String {
        let position = self.kinds.iter().position(|selected| *selected == kind).unwrap_or(self.kind);
        let name = wire::texts(record, schema::NAME).next().unwrap_or_default();
        let id = name.split_once('/').map_or(name, |(_, id)| id);
        let revision = self.snapshot.revision().cast_unsigned();
        self.token(position, &token::after(kind, &self.request(), revision, id))
    }

    fn token(&self, kind: usize, page_token: &str) -> String {
        let mut payload = self.asked.clone();
        wire::put_varint(self.snapshot.revision().cast_unsigned(), &mut payload);
        wire::put_varint(kind as u64, &mut payload);
        payload.extend_from_slice(page_token.as_bytes());
        token::seal(Purpose::Export, &payload)
    }
}

impl StoreExport {
    /// The revision that is exported. 0 before the first commit.
    pub fn revision(&self) -> i64 {
        self.export.revision()
    }

    /// The token with which an export resumes after the last record that was returned. All other fields of the request must be
    /// the same.
    pub fn resume_token(&self) -> String {
        match &self.last {
            Some((kind, record)) if self.records.len() > 0 => self.export.token_after(*kind, record),
            _ => self.resume_token.clone(),
        }
    }
}

impl Iterator for StoreExport {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        loop {
            if let Some((kind, bytes)) = self.records.next() {
                let decoded = record(kind, &bytes);
                self.last = Some((kind, bytes));
                return decoded.transpose();
            }
            if self.ended {
                return None;
            }
            match self.export.next() {
                Ok(Some(chunk)) => (self.records, self.resume_token) = (chunk.records.into_iter(), chunk.resume_token),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = !error.is_transient();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Digest of the request fields that must stay the same for a resume token: all but the token.
fn digest(request: &ExportRequest) -> Vec<u8> {
    let bound = ExportRequest { resume_token: String::new(), ..request.clone() };
    token::digest(&prost::Message::encode_to_vec(&bound)).to_vec()
}

fn resume(text: &str, asked: &[u8]) -> Result<(u64, usize, String)> {
    let invalid = || {
        let message = "resume_token is damaged, or was not returned by Export: send it unchanged, or start again without one";
        StoreError::new(StoreErrorKind::Invalid, ErrorReason::PageTokenInvalid, message)
    };
    let payload = token::open(Purpose::Export, text).ok_or_else(invalid)?;
    let rest = payload.get(asked.len()..).ok_or_else(invalid)?;
    if !payload.starts_with(asked) {
        let message = "resume_token belongs to another request: send all other fields as they were in that request";
        return Err(
            StoreError::new(StoreErrorKind::Invalid, ErrorReason::PageTokenMismatch, message).with("field", "resume_token")
        );
    }
    let (revision, rest) = wire::varint(rest).ok_or_else(invalid)?;
    let (kind, page_token) = wire::varint(rest).ok_or_else(invalid)?;
    let page_token = std::str::from_utf8(page_token).map_err(|_| invalid())?;
    Ok((revision, usize::try_from(kind).map_err(|_| invalid())?, page_token.to_owned()))
}
