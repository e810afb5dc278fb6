//! The log in files. The MANIFEST lists its segments in order, and the last one takes the appends.
//!
//! One append is one frame and one sync. Readers see a frame once it is durable. After a failed sync the log refuses appends
//! until it is opened again: a later sync that succeeds does not prove that the earlier writes are durable. Every other failure
//! is transient: the group is refused, and the next one is tried anew. What a failed write leaves behind the last frame is
//! overwritten by the next frame, and cut off by the next open. Its header is erased at once, so that it cannot be taken for a
//! frame.
//!
//! Knows files through [`Disk`](super::disk::Disk). Must not know the state.

use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use self::{
    index::{INDEX_SPACING_BYTES, SegmentBounds, Stamp, encode_footer},
    manifest::{Listed, Manifest},
    preallocate::{Allocated, Preallocator},
    segment::{Identity, Segment, random_salt},
};
use super::{
    disk::{DiskFile, is_full, refused, remove_if_there, sync_failed, to_usize, write_all_at},
    folder::{DataFolder, LogEnd},
};
use crate::engine::{Cause, EngineError, Log, LogEntry, LogSeek, LogSequence, Result, assert_follow};

mod frame;
mod index;
mod manifest;
mod open;
mod preallocate;
mod segment;

pub(super) use self::preallocate::SegmentAllocator;

/// The folder of the segments, in the data folder.
const FOLDER: &str = "log";
/// What an entry counts, in addition to its body, when a read is bounded by bytes.
const ENTRY_BYTES: usize = 64;
/// The most bytes that a reader reads from the disk at once, unless one frame is longer.
const READ_BYTES_MAX: usize = 4 << 20;

/// A log in a data folder. Only this process appends to it.
#[derive(Debug)]
pub struct EmbeddedLog {
    allocator: SegmentAllocator,
    segment_bytes: u64,
    appender: Mutex<Appender>,
    published: RwLock<Published>,
    /// Declared last, so that the folder's lock outlives every file.
    folder: Arc<DataFolder>,
}

/// What readers see.
#[derive(Debug)]
struct Published {
    /// As the MANIFEST lists them. Never empty.
    segments: Vec<Arc<Segment>>,
    /// The newest durable entry.
    head: LogSequence,
}

/// What an append uses. A lock lets one append run at a time.
struct Appender {
    manifest: Manifest,
    /// The last segment of the MANIFEST.
    active: Arc<Segment>,
    file: Box<dyn DiskFile>,
    tail: Tail,
    /// A segment that should have been the next one and could not be listed. It is used at the next attempt.
    unlisted: Option<(Identity, Box<dyn DiskFile>)>,
    /// The stamp of the newest durable entry.
    head: Stamp,
    /// No segment has this number or a greater one.
    next_number: u64,
    /// `None` once the log is closed.
    preallocator: Option<Preallocator>,
    /// Why appends are refused, if they are.
    poisoned: Option<Arc<dyn Error + Send + Sync>>,
}

/// What lies after the last durable frame of the active segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// Zeros.
    Clear,
    /// Bytes of a write that failed. They are no frame.
    Torn,
    /// Bytes of a write that failed, and perhaps a whole frame: its header could not be erased.
    InDoubt,
    /// Perhaps the footer, and the MANIFEST may list the next segment: no frame may follow. The attempt to begin that segment
    /// has failed.
    Sealing,
}

impl EmbeddedLog {
    /// Writes and syncs one frame. After `Unknown` the frame may be in the log. After `SyncFailed` it is unknown what is on the
    /// disk. After any other error, nothing of the frame is in the log.
    fn append_frame(&self, appender: &mut Appender, entries: &[LogEntry], first: Stamp, last: Stamp) -> Result<()> {
        if let Some(failure) = appender.preallocator.as_ref().and_then(Preallocator::take_failed_sync) {
            return Err(failure);
        }
        if appender.tail == Tail::InDoubt {
            Self::erase(appender)?;
        }
        // The blocks of the segment are allocated already, but the state grows with every entry too.
        self.allocator.reserve.check(&*self.allocator.disk, 0)?;
        let bytes = frame::frame_bytes(frame::body_bytes(entries));
        if appender.tail == Tail::Sealing || appender.active.bounds().end + bytes > appender.active.identity.frames_end_max() {
            self.begin_segment(appender, first.sequence, bytes)?;
        }

        let bounds = appender.active.bounds();
        let (frame, link) = frame::encode(entries, bounds.link, appender.active.identity.salt);
        assert_eq!(frame.len() as u64, bytes, "a frame has the length that was computed for it");
        if let Err(error) = write_all_at(&*appender.file, &frame, bounds.end) {
            appender.tail = Tail::InDoubt;
            Self::erase(appender)?;
            return Err(refused("write", &appender.active.path)(error));
        }
        appender.file.sync_data().map_err(sync_failed(&appender.active.path))?;

        // Durable: readers may see it from here on.
        appender.active.add_frame(first, last, bytes, link);
        appender.head = last;
        self.published.write().unwrap_or_else(PoisonError::into_inner).head = last.sequence;
        let bounds = appender.active.bounds();
        if bounds.end > appender.active.identity.bytes / 2 {
            appender.request_segment();
        }
        Ok(())
    }

    /// Makes sure that what a failed write has left is no frame: overwrites its header, and syncs that. Otherwise the next open
    /// could find a group that was refused. `Unknown` if the header cannot be overwritten.
    fn erase(appender: &mut Appender) -> Result<()> {
        let path = &appender.active.path;
        write_all_at(&*appender.file, &[0; frame::HEADER_BYTES], appender.active.bounds().end)
            .map_err(|error| EngineError::Unknown(Box::new(refused("erase what was written to", path)(error))))?;
        appender.file.sync_data().map_err(sync_failed(path))?;
        appender.tail = Tail::Torn;
        Ok(())
    }

    /// Seals the active segment and begins one with room for a frame of `frame_bytes` bytes. `Full` if the disk has no room for
    /// it: then nothing was changed.
    fn begin_segment(&self, appender: &mut Appender, first: LogSequence, frame_bytes: u64) -> Result<()> {
        let (identity, file) = self.next_segment(appender, first, segment::bytes_for(frame_bytes, self.segment_bytes))?;
        appender.tail = Tail::Sealing;
        let manifest = match self.list_segment(appender, identity, &*file) {
            Ok(manifest) => manifest,
            Err(error) => {
                appender.unlisted = Some((identity, file));
                return Err(error);
            }
        };
        let empty = index::SparseIndex::default();
        let active = Arc::new(Segment::new(&self.allocator.folder, identity, identity.empty(), Some(empty)));
        let before = std::mem::replace(&mut appender.active, Arc::clone(&active));
        (appender.manifest, appender.file, appender.tail) = (manifest, file, Tail::Clear);
        let is_unused = before.bounds().span.is_none();
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        if is_unused {
            published.segments.pop();
        }
        published.segments.push(active);
        drop(published);
        if is_unused && let Err(error) = remove_if_there(&*self.allocator.disk, &before.path) {
            tracing::warn!(%error, "cannot remove an unused log segment; the next start will");
        }
        Ok(())
    }

    /// The file of the next segment, with its identity: the one that could not be listed, if it is long enough, or a new one.
    fn next_segment(&self, appender: &mut Appender, first: LogSequence, bytes: u64) -> Result<(Identity, Box<dyn DiskFile>)> {
        if let Some((identity, file)) = appender.unlisted.take_if(|(identity, _)| identity.bytes >= bytes) {
            return Ok((Identity { first, ..identity }, file));
        }
        let Allocated { number, bytes, file } = if bytes == self.segment_bytes {
            appender.take_segment()?
        } else {
            appender.next_number += 1;
            self.allocator.allocate(appender.next_number - 1, bytes)?
        };
        Ok((Identity { number, first, bytes, salt: random_salt() }, file))
    }

    /// Seals the active segment, writes the header of the next one, and replaces the MANIFEST by one that lists it. Each is
    /// durable before the next is written.
    fn list_segment(&self, appender: &Appender, identity: Identity, file: &dyn DiskFile) -> Result<Manifest> {
        let disk = &*self.allocator.disk;
        let sealed = appender.active.bounds();
        let mut manifest = appender.manifest.clone();
        if sealed.span.is_none() {
            manifest.segments.pop();
        } else {
            let footer = encode_footer(&sealed, &*appender.active.index(disk)?, appender.active.identity.salt);
            write_all_at(&*appender.file, &footer, appender.active.identity.frames_end_max())
                .map_err(refused("seal", &appender.active.path))?;
            appender.file.sync_data().map_err(sync_failed(&appender.active.path))?;
            if let Some(listed) = manifest.segments.last_mut() {
                listed.sealed = Some(sealed);
            }
        }
        let path = identity.path(&self.allocator.folder);
        segment::write_header(file, &identity, &path)?;
        file.sync_data().map_err(sync_failed(&path))?;
        manifest.segments.push(Listed { identity, sealed: None });
        manifest::write(disk, self.folder.path(), &manifest)?;
        Ok(manifest)
    }

    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(|poisoned| {
            // An append panicked before it was done.
            let mut appender = poisoned.into_inner();
            appender.poisoned.get_or_insert_with(|| Cause::from("an append panicked").into());
            appender
        })
    }

    fn published(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head, and the segments that hold entries after `after`.
    fn published_after(&self, after: LogSequence) -> (Vec<Arc<Segment>>, LogSequence) {
        let published = self.published();
        if after >= published.head {
            return (Vec::new(), published.head);
        }
        let at = published.segments.partition_point(|segment| segment.identity.first.0 <= after.0 + 1).saturating_sub(1);
        (published.segments.get(at..).unwrap_or_default().to_vec(), published.head)
    }
}

impl Log for EmbeddedLog {
    fn head(&self) -> Result<LogSequence> {
        Ok(self.published().head)
    }

    fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        let mut appender = self.appender();
        if let Some(reason) = &appender.poisoned {
            return Err(EngineError::Poisoned(Box::new(Arc::clone(reason))));
        }
        if appender.head.sequence != expected_head {
            return Err(EngineError::Superseded { head: appender.head.sequence });
        }
        assert_follow(expected_head, appender.head.revision, appender.head.time_us, entries);
        let Some((first, last)) = entries.first().zip(entries.last()) else { return Ok(()) };
        self.append_frame(&mut appender, entries, first.into(), last.into()).map_err(|error| match error {
            EngineError::Io { ref source, .. } if is_full(source) => self.allocator.reserve.exhausted(),
            EngineError::Io { .. } => EngineError::Unavailable(Box::new(error)),
            EngineError::Full { .. } | EngineError::Unknown(_) => error,
            error => {
                let reason: Arc<dyn Error + Send + Sync> = Arc::new(error);
                appender.poisoned = Some(Arc::clone(&reason));
                EngineError::Poisoned(Box::new(reason))
            }
        })
    }

    fn read_after(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        let (segments, head) = self.published_after(after);
        let mut found: Vec<LogEntry> = Vec::new();
        let mut bytes = 0_usize;
        for segment in segments {
            let bounds = segment.bounds();
            if bounds.span.is_none() {
                break;
            }
            let next = LogSequence(found.last().map_or(after.0, |entry| entry.sequence.0) + 1);
            let chunk_bytes = bytes_max.saturating_sub(bytes).clamp(64 << 10, READ_BYTES_MAX);
            let mut frames = segment.frames_from(&*self.allocator.disk, bounds, chunk_bytes, |stamp| stamp.sequence <= next)?;
            loop {
                let offset = frames.offset;
                let Some((header, body)) = frames.next()? else { break };
                if header.last() <= after {
                    continue;
                }
                for entry in segment.entries(&header, body, offset)? {
                    if entry.sequence <= after {
                        continue;
                    }
                    bytes = bytes.saturating_add(entry.body.len() + ENTRY_BYTES);
                    if entry.sequence > head || (bytes > bytes_max && !found.is_empty()) {
                        return Ok(found);
                    }
                    let follows = found.last().map_or(after.0, |before| before.sequence.0) + 1;
                    assert_eq!(entry.sequence.0, follows, "frames and segments are contiguous, as their readers checked");
                    found.push(entry);
                }
            }
        }
        Ok(found)
    }

    fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        let includes = |stamp: Stamp| seek.includes(stamp.revision, stamp.time_us);
        let segments = self.published().segments.clone();
        // The last segment whose first entry is included in the search.
        let holds = |segment: &Arc<Segment>| segment.bounds().span.is_some_and(|(first, _)| includes(first));
        let Some(segment) = segments.partition_point(holds).checked_sub(1).and_then(|at| segments.get(at)) else {
            return Ok(LogSequence(0));
        };
        let bounds = segment.bounds();
        if let Some(last) = bounds.last().filter(|last| includes(*last)) {
            return Ok(last.sequence);
        }
        // The first entry of the segment is included, so one is found.
        let mut found = LogSequence(0);
        let mut frames = segment.frames_from(&*self.allocator.disk, bounds, to_usize(INDEX_SPACING_BYTES), includes)?;
        loop {
            let offset = frames.offset;
            let Some((header, body)) = frames.next()? else { return Ok(found) };
            for entry in segment.entries(&header, body, offset)? {
                if !includes(Stamp::from(&entry)) {
                    return Ok(found);
                }
                found = entry.sequence;
            }
        }
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(self.published().segments.iter().map(|segment| segment.identity.bytes).sum())
    }

    fn close(&self) -> Result<()> {
        let mut appender = self.appender();
        // Only what ends with zeros can be told from what a crash has torn, or from damage.
        let is_sound = appender.poisoned.is_none() && appender.tail == Tail::Clear;
        appender.poisoned.get_or_insert_with(|| Cause::from("the engine was closed").into());
        if let Some(unused) = appender.preallocator.take().and_then(Preallocator::stop)
            && let Err(error) = self.allocator.disk.remove(&segment::path(&self.allocator.folder, unused.number))
        {
            tracing::warn!(%error, "cannot remove an unused log segment; the next start will");
        }
        let SegmentBounds { end, link, .. } = appender.active.bounds();
        let number = appender.active.identity.number;
        self.folder.log_closed(is_sound.then_some(LogEnd { number, end, link, head: appender.head.sequence }))
    }
}

impl Appender {
    /// Asks for the next segment to be allocated, unless it was asked for already.
    fn request_segment(&mut self) {
        if self.preallocator.as_ref().is_some_and(|preallocator| preallocator.request(self.next_number)) {
            self.next_number += 1;
        }
    }

    /// The next segment. It is allocated now if it was not allocated ahead, or if the disk was full then.
    fn take_segment(&mut self) -> Result<Allocated> {
        let requested_before = !self.preallocator.as_ref().is_some_and(|preallocator| preallocator.request(self.next_number));
        if !requested_before {
            self.next_number += 1;
        }
        let preallocator = self.preallocator.as_ref().expect("a log that is not closed has its preallocator");
        match preallocator.take() {
            Err(EngineError::Full { .. }) if requested_before => self.take_segment(),
            outcome => outcome,
        }
    }
}

impl fmt::Debug for Appender {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Appender").field("head", &self.head).field("poisoned", &self.poisoned).finish_non_exhaustive()
    }
}

/// The path of the segments' folder in a data folder.
pub(super) fn folder(data_folder: &Path) -> PathBuf {
    data_folder.join(FOLDER)
}
