//! A segment: one file of the log. It holds a header in its own page, frames, zeros, and a footer once it is sealed.
//!
//! The file is filled with zeros to its full length and synced before the first frame is written. So the sync of a frame need
//! not record a new length or new blocks in the file system.
//!
//! Knows a segment's file and how to read frames out of it. Must not know other segments or the MANIFEST.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use bytes::{Buf as _, BufMut as _, Bytes};

use super::{
    frame::{self, FrameHeader, first_link},
    index::{IndexEntry, SegmentBounds, SparseIndex, Stamp, decode_footer, footer_room},
};
use crate::engine::{
    EngineError, LogEntry, LogSequence, Result,
    embedded::disk::{Disk, DiskFile, checksum, read_up_to, refused, sync_failed, to_usize, write_all_at},
};

/// Where the frames begin. The header has its own page, so that writing a frame never touches it.
pub(super) const FRAMES_START: u64 = 4096;
/// The smallest segment: a page of header, and room for frames and a footer.
pub(super) const SEGMENT_BYTES_MIN: u64 = 16 << 10;
const MAGIC: u64 = u64::from_le_bytes(*b"ANNALSLG");
const HEADER_BYTES: usize = 44;
/// Zeros are written in chunks of this size.
const FILL_BYTES: u64 = 1 << 20;

/// What distinguishes a segment from every other one. It is stored in the segment's header and in the MANIFEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Names the file. Never used twice in a log. Says nothing about the order.
    pub(super) number: u64,
    /// The sequence of its first entry. If the segment is empty, the sequence that its first entry will have.
    pub(super) first: LogSequence,
    /// The file's length.
    pub(super) bytes: u64,
    /// Every checksum of frames and footer begins with it.
    pub(super) salt: u64,
}

impl Identity {
    /// The path of the segment's file.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        path(folder, self.number)
    }

    /// The bounds of the segment while it holds no frame.
    pub(super) fn empty(&self) -> SegmentBounds {
        SegmentBounds { end: FRAMES_START, link: first_link(self.salt), span: None }
    }

    /// Where the footer begins. Frames must end before it.
    pub(super) fn frames_end_max(&self) -> u64 {
        self.bytes - footer_room(self.bytes)
    }

    fn encode(&self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.put_u64_le(MAGIC);
        header.put_u64_le(self.number);
        header.put_u64_le(self.first.0);
        header.put_u64_le(self.bytes);
        header.put_u64_le(self.salt);
        let sum = checksum(0, &header);
        header.put_u32_le(sum);
        header
    }

    fn decode(header: &[u8]) -> Option<Self> {
        let mut fields: &[u8] = header.first_chunk::<HEADER_BYTES>()?;
        let summed = fields.get(..HEADER_BYTES - 4)?;
        let magic = fields.get_u64_le();
        let found = Self {
            number: fields.get_u64_le(),
            first: LogSequence(fields.get_u64_le()),
            bytes: fields.get_u64_le(),
            salt: fields.get_u64_le(),
        };
        (magic == MAGIC && fields.get_u32_le() == checksum(0, summed)).then_some(found)
    }
}

/// The path of the segment file with this number.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.segment"))
}

/// The size of a segment with room for a frame of `frame_bytes`: the usual size, or a greater one if the frame needs it.
pub(super) fn bytes_for(frame_bytes: u64, usual_bytes: u64) -> u64 {
    let mut bytes = usual_bytes;
    while bytes < FRAMES_START + frame_bytes + footer_room(bytes) {
        bytes = (FRAMES_START + frame_bytes + footer_room(bytes)).next_multiple_of(4096);
    }
    bytes
}

/// Creates the file of a segment, filled with zeros and synced. The name is durable only after a sync of the folder.
pub(super) fn create_filled(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<Box<dyn DiskFile>> {
    let file = disk.create(path).map_err(refused("create", path))?;
    let zeros = vec![0; to_usize(FILL_BYTES.min(bytes))];
    let mut position = 0;
    while position < bytes {
        let chunk = zeros.get(..to_usize(FILL_BYTES.min(bytes - position))).unwrap_or(&zeros);
        write_all_at(&*file, chunk, position).map_err(refused("fill", path))?;
        position += chunk.len() as u64;
    }
    file.sync_data().map_err(sync_failed(path))?;
    Ok(file)
}

/// Writes a segment's header. Durable after a sync.
pub(super) fn write_header(file: &dyn DiskFile, identity: &Identity, path: &Path) -> Result<()> {
    write_all_at(file, &identity.encode(), 0).map_err(refused("write", path))
}

/// The header of a segment's file. `None` if it is not valid.
pub(super) fn read_header(file: &dyn DiskFile, path: &Path) -> Result<Option<Identity>> {
    Ok(Identity::decode(&read_up_to(file, HEADER_BYTES, 0).map_err(refused("read", path))?))
}

/// A number for a segment's salt, which no client can guess.
pub(super) fn random_salt() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

/// A segment of the log, as readers see it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) identity: Identity,
    pub(super) path: PathBuf,
    extent: RwLock<Extent>,
}

#[derive(Debug)]
struct Extent {
    /// Frames below `bounds.end` are durable and never change again.
    bounds: SegmentBounds,
    /// `None` until the footer of a sealed segment is first needed.
    index: Option<Arc<SparseIndex>>,
}

impl Segment {
    /// A segment with known bounds. If no index is given, it is read from the footer when it is first needed.
    pub(super) fn new(folder: &Path, identity: Identity, bounds: SegmentBounds, index: Option<SparseIndex>) -> Self {
        let extent = RwLock::new(Extent { bounds, index: index.map(Arc::new) });
        Self { identity, path: identity.path(folder), extent }
    }

    /// The bounds of the durable frames.
    pub(super) fn bounds(&self) -> SegmentBounds {
        // A panic cannot leave the extent half changed.
        self.extent.read().unwrap_or_else(PoisonError::into_inner).bounds
    }

    /// Adds a durable frame, so that readers see it.
    pub(super) fn add_frame(&self, first: Stamp, last: Stamp, bytes: u64, link: u32) {
        let mut extent = self.extent.write().unwrap_or_else(PoisonError::into_inner);
        let extent = &mut *extent;
        let index = Arc::make_mut(extent.index.get_or_insert_default());
        extent.bounds = extent.bounds.with_frame(first, last, bytes, link, index);
    }

    /// The segment's sparse index, read if it is not in memory yet.
    pub(super) fn index(&self, disk: &dyn Disk) -> Result<Arc<SparseIndex>> {
        if let Some(known) = &self.extent.read().unwrap_or_else(PoisonError::into_inner).index {
            return Ok(Arc::clone(known));
        }
        let read = Arc::new(self.read_index(disk)?);
        self.extent.write().unwrap_or_else(PoisonError::into_inner).index = Some(Arc::clone(&read));
        Ok(read)
    }

    /// The index of a sealed segment, from its footer. If the footer is damaged, the index is made from the frames again. This
    /// also finds damaged frames.
    fn read_index(&self, disk: &dyn Disk) -> Result<SparseIndex> {
        let bounds = self.bounds();
        let file = self.open(disk)?;
        let footer = read_up_to(&*file, to_usize(footer_room(self.identity.bytes)), self.identity.frames_end_max())
            .map_err(refused("read", &self.path))?;
        match decode_footer(&footer, self.identity.salt) {
            Some((found, index)) if found == bounds => Ok(index),
            _ => {
                tracing::warn!(path = %self.path.display(), "the index of a log segment is damaged: reading the segment instead");
                let mut frames = FrameReader::from_start(self, file, bounds);
                let mut index = SparseIndex::default();
                let mut seen = self.identity.empty();
                while let Some((header, body)) = frames.next()? {
                    let (first, last) = self.stamps(&header, body, seen.end)?;
                    seen = seen.with_frame(first, last, header.frame_bytes(), header.link, &mut index);
                }
                Ok(index)
            }
        }
    }

    /// The stamps of a frame's first and last entry.
    pub(super) fn stamps(&self, header: &FrameHeader, body: Bytes, offset: u64) -> Result<(Stamp, Stamp)> {
        let entries = self.entries(header, body, offset)?;
        entries
            .first()
            .zip(entries.last())
            .map(|(first, last)| (first.into(), last.into()))
            .ok_or_else(|| self.damaged(offset, "a frame without entries"))
    }

    /// The entries of a frame.
    pub(super) fn entries(&self, header: &FrameHeader, body: Bytes, offset: u64) -> Result<Vec<LogEntry>> {
        header.decode_body(body).ok_or_else(|| self.damaged(offset, "a frame whose entries do not fill it"))
    }

    /// A reader of the durable frames. It starts at the last indexed frame whose first log entry satisfies a predicate. The
    /// predicate must be true up to some entry and false after it. The reader reads `chunk_bytes` at a time, or a whole frame
    /// if that is longer.
    pub(super) fn frames_from(
        &self,
        disk: &dyn Disk,
        bounds: SegmentBounds,
        chunk_bytes: usize,
        satisfies: impl Fn(Stamp) -> bool,
    ) -> Result<FrameReader<'_>> {
        let start = self.index(disk)?.last_where(satisfies);
        let start = start.ok_or_else(|| self.damaged(0, "its index does not hold its first entry"))?;
        Ok(FrameReader::from_index(self, self.open(disk)?, bounds, start, chunk_bytes))
    }

    /// Opens the file for reading. Checks that its header is the one that the MANIFEST lists.
    pub(super) fn open(&self, disk: &dyn Disk) -> Result<Box<dyn DiskFile>> {
        let file = disk.open(&self.path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let context = self.at(0, "the file is missing");
                EngineError::Corrupt(Box::new(EngineError::Io { context, source: error }))
            }
            _ => refused("open", &self.path)(error),
        })?;
        match read_header(&*file, &self.path)? {
            Some(found) if found == self.identity => Ok(file),
            Some(_) => Err(self.damaged(0, "the file's header is that of another segment")),
            None => Err(self.damaged(0, "the file's header has a wrong checksum")),
        }
    }

    /// A text about a byte of this segment.
    fn at(&self, offset: u64, what: &str) -> String {
        format!("{} at byte {offset}: {what}", self.path.display())
    }

    /// The error for damage at a byte of this segment.
    pub(super) fn damaged(&self, offset: u64, what: &str) -> EngineError {
        EngineError::Corrupt(self.at(offset, what).into())
    }
}

/// Reads the durable frames of a segment in order. Checks the checksums, the link and the sequence of each.
pub(super) struct FrameReader<'a> {
    segment: &'a Segment,
    file: Box<dyn DiskFile>,
    /// Where the next frame starts.
    pub(super) offset: u64,
    bounds: SegmentBounds,
    next: LogSequence,
    expected: FrameLink,
    /// Bytes that were read ahead. The first is the one at `offset`.
    buffer: Bytes,
    chunk_bytes: usize,
}

/// What the link of the next frame must be.
#[derive(Clone, Copy)]
enum FrameLink {
    /// The frame before has this link.
    Before(u32),
    /// The frame itself has this link.
    Own(u32),
}

impl<'a> FrameReader<'a> {
    /// A reader of all frames.
    fn from_start(segment: &'a Segment, file: Box<dyn DiskFile>, bounds: SegmentBounds) -> Self {
        let empty = segment.identity.empty();
        Self {
            segment,
            file,
            offset: empty.end,
            bounds,
            next: segment.identity.first,
            expected: FrameLink::Before(empty.link),
            buffer: Bytes::new(),
            chunk_bytes: to_usize(FILL_BYTES),
        }
    }

    fn from_index(
        segment: &'a Segment,
        file: Box<dyn DiskFile>,
        bounds: SegmentBounds,
        start: IndexEntry,
        chunk_bytes: usize,
    ) -> Self {
        Self {
            segment,
            file,
            offset: start.offset,
            bounds,
            next: start.stamp.sequence,
            expected: FrameLink::Own(start.link),
            buffer: Bytes::new(),
            chunk_bytes: chunk_bytes.max(frame::HEADER_BYTES),
        }
    }

    /// The next frame; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<(FrameHeader, Bytes)>> {
        if self.offset == self.bounds.end {
            let last_is_right = self.bounds.last().is_none_or(|last| last.sequence.0 + 1 == self.next.0);
            let link_is_right = matches!(self.expected, FrameLink::Before(link) if link == self.bounds.link);
            if last_is_right && link_is_right {
                return Ok(None);
            }
            return Err(self.damaged("the last frame is not the one that was written last"));
        }
        self.fill(frame::HEADER_BYTES as u64)?;
        let header = FrameHeader::decode(&self.buffer, self.segment.identity.salt)
            .ok_or_else(|| self.damaged("a frame header has a wrong checksum"))?;
        if header.first != self.next {
            return Err(self.damaged(&format!("a frame starts at entry {} in place of {}", header.first.0, self.next.0)));
        }
        let in_chain = match self.expected {
            FrameLink::Before(link) => header.link_before == link,
            FrameLink::Own(link) => header.link == link,
        };
        if !in_chain {
            return Err(self.damaged("a frame does not follow the one before it"));
        }
        let bytes = header.frame_bytes();
        self.fill(bytes)?;
        let body = self.buffer.slice(frame::HEADER_BYTES..frame::HEADER_BYTES + header.body_bytes as usize);
        if !header.is_header_of(&body, self.segment.identity.salt) {
            return Err(self.damaged("a frame body has a wrong checksum"));
        }
        self.buffer.advance(to_usize(bytes));
        self.offset += bytes;
        self.next = LogSequence(header.last().0 + 1);
        self.expected = FrameLink::Before(header.link);
        Ok(Some((header, body)))
    }

    /// Reads until the buffer holds at least `bytes` bytes from `offset`.
    fn fill(&mut self, bytes: u64) -> Result<()> {
        if self.offset + bytes > self.bounds.end {
            return Err(self.damaged("a frame reaches past the end of the segment's frames"));
        }
        if (self.buffer.len() as u64) < bytes {
            let wanted = bytes.max(self.chunk_bytes as u64).min(self.bounds.end - self.offset);
            let read = read_up_to(&*self.file, to_usize(wanted), self.offset).map_err(refused("read", &self.segment.path))?;
            if (read.len() as u64) < bytes {
                return Err(self.damaged("the file ends within a frame"));
            }
            self.buffer = read.into();
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> EngineError {
        self.segment.damaged(self.offset, what)
    }
}
