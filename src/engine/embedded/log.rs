//! The log: segments in the order of the MANIFEST, the last of which is written to.
//!
//! One append is one frame and one sync. Readers see a frame once it is durable. After a failed write or sync the log
//! refuses to append until it is opened again, because no later success says anything about what was lost.
//!
//! Knows files through [`Disk`](super::disk::Disk). Must not know the state.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{
    disk::{DiskFile, create_folders, read_up_to, refused, remove_if_there, to_usize, write_all_at},
    frame,
    index::{Bounds, LANDMARK_SPACING_BYTES, Stamp, encode_footer},
    manifest::{self, Listed, Manifest},
    prepare::{Prepared, Preparer, Workshop},
    recover::{self, Recovered},
    segment::{self, FrameReader, Identity, SEGMENT_BYTES_MIN, Segment},
};
use crate::engine::{EngineError, LogEntry, LogSeek, LogSequence, Result, assert_follow};

/// The folder of the segments, in the data folder.
const FOLDER: &str = "log";
/// What an entry counts beside its body when a read is bounded by bytes.
const ENTRY_BYTES: usize = 64;
/// The most that a reader asks the disk for at once, unless one frame is longer.
const READ_BYTES_MAX: usize = 4 << 20;

/// Where a log ended when it was closed. A crash cannot have shortened it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogEnd {
    pub(super) number: u64,
    pub(super) end: u64,
    pub(super) link: u32,
    pub(super) head: LogSequence,
}

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    workshop: Workshop,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    shown: RwLock<Shown>,
}

/// What readers see.
#[derive(Debug)]
struct Shown {
    /// As the MANIFEST lists them. Never empty.
    segments: Vec<Arc<Segment>>,
    /// The newest durable entry.
    head: LogSequence,
}

/// What one append at a time uses.
struct Writer {
    manifest: Manifest,
    /// The last segment of the MANIFEST.
    active: Arc<Segment>,
    file: Box<dyn DiskFile>,
    /// The stamp of the newest durable entry.
    head: Stamp,
    /// No segment has this number or a greater one.
    next_number: u64,
    preparer: Option<Preparer>,
    /// Why nothing is appended any more.
    poisoned: Option<String>,
}

impl Log {
    /// Opens the log of a data folder, or starts one. `closed` says where it ended, if it was closed: then it must end there.
    /// Otherwise what the last segment holds may never have reached the disk, so it is copied to a new file, which is synced
    /// and takes the segment's place before anything is read.
    pub(super) fn open(data_folder: &Path, workshop: Workshop, segment_bytes: u64, closed: Option<LogEnd>) -> Result<Self> {
        let segment_bytes = segment_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(4096);
        let disk = Arc::clone(&workshop.disk);
        let manifest = match manifest::read(&*disk, data_folder)? {
            Some(manifest) => manifest,
            None => start(data_folder, &workshop, segment_bytes)?,
        };
        let opened = Opened::open(data_folder, &workshop, manifest, closed)?;
        remove_unlisted(&workshop, &opened.manifest)?;

        let preparer = Preparer::start(workshop.clone(), segment_bytes)?;
        let mut segments: Vec<_> = opened
            .manifest
            .segments
            .iter()
            .filter_map(|listed| Some(Arc::new(Segment::new(&workshop.folder, listed.identity, listed.sealed?, None))))
            .collect();
        segments.push(Arc::clone(&opened.active));
        let head = segments.iter().rev().find_map(|segment| segment.bounds().last());
        let before_first = LogSequence(opened.active.identity.first.0 - 1);
        let head = head.unwrap_or(Stamp { sequence: before_first, revision: 0, time_us: i64::MIN });
        let next_number = 1 + opened.manifest.segments.iter().map(|listed| listed.identity.number).max().unwrap_or_default();
        let writer = Writer {
            manifest: opened.manifest,
            active: opened.active,
            file: opened.file,
            head,
            next_number,
            preparer: Some(preparer),
            poisoned: None,
        };
        Ok(Self {
            folder: data_folder.to_path_buf(),
            workshop,
            segment_bytes,
            writer: Mutex::new(writer),
            shown: RwLock::new(Shown { segments, head: head.sequence }),
        })
    }

    /// The newest durable entry.
    pub(super) fn head(&self) -> LogSequence {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).head
    }

    /// See [`Engine::append`](crate::engine::Engine::append).
    pub(super) fn append(&self, expected_head: LogSequence, entries: &[LogEntry]) -> Result<()> {
        let mut writer = self.lock();
        if let Some(reason) = &writer.poisoned {
            return Err(EngineError::Poisoned(reason.clone()));
        }
        if writer.head.sequence != expected_head {
            return Err(EngineError::Superseded { head: writer.head.sequence });
        }
        assert_follow(expected_head, writer.head.revision, writer.head.time_us, entries);
        let Some((first, last)) = entries.first().zip(entries.last()) else { return Ok(()) };
        let appended = self.append_frame(&mut writer, entries, first.into(), last.into());
        if let Err(error) = &appended
            && !matches!(error, EngineError::Full { .. })
        {
            tracing::error!(%error, "the log refuses writes from now on: open it again");
            writer.poisoned = Some(error.to_string());
        }
        appended
    }

    /// Any error but `Full` leaves it unknown what is on the disk.
    fn append_frame(&self, writer: &mut Writer, entries: &[LogEntry], first: Stamp, last: Stamp) -> Result<()> {
        if let Some(failure) = writer.preparer.as_ref().and_then(Preparer::take_failure) {
            return Err(failure);
        }
        // A segment's blocks are there already; but the state grows with every entry too.
        self.workshop.reserve.check(&*self.workshop.disk, 0)?;
        let bytes = frame::frame_bytes(frame::body_bytes(entries));
        if writer.active.bounds().end + bytes > writer.active.identity.frames_end_max() {
            self.begin_segment(writer, first.sequence, bytes)?;
        }

        let bounds = writer.active.bounds();
        let (frame, link) = frame::encode(entries, bounds.link, writer.active.identity.salt);
        assert_eq!(frame.len() as u64, bytes, "a frame is as long as it was said to be");
        write_all_at(&*writer.file, &frame, bounds.end).map_err(refused("write", &writer.active.path))?;
        writer.file.sync_data().map_err(refused("sync", &writer.active.path))?;

        // Durable: from here on it is shown.
        writer.active.add_frame(first, last, bytes, link);
        writer.head = last;
        self.shown.write().unwrap_or_else(PoisonError::into_inner).head = last.sequence;
        let bounds = writer.active.bounds();
        if bounds.end > writer.active.identity.bytes / 2 {
            writer.want_segment();
        }
        Ok(())
    }

    /// Seals the active segment and begins one with room for a frame of `frame_bytes` bytes. `Full` where the room for it is
    /// missing, before anything was changed.
    fn begin_segment(&self, writer: &mut Writer, first: LogSequence, frame_bytes: u64) -> Result<()> {
        let disk = &*self.workshop.disk;
        let bytes = segment::bytes_for(frame_bytes, self.segment_bytes);
        let Prepared { number, bytes, file } = if bytes == self.segment_bytes {
            writer.take_segment()?
        } else {
            writer.next_number += 1;
            self.workshop.prepare(writer.next_number - 1, bytes)?
        };

        let sealed = writer.active.bounds();
        let unused = sealed.span.is_none().then(|| writer.active.path.clone());
        let mut manifest = writer.manifest.clone();
        if unused.is_some() {
            manifest.segments.pop();
        } else {
            let footer = encode_footer(&sealed, &writer.active.landmarks(disk)?, writer.active.identity.salt);
            write_all_at(&*writer.file, &footer, writer.active.identity.frames_end_max())
                .and_then(|()| writer.file.sync_data())
                .map_err(refused("seal", &writer.active.path))?;
            if let Some(listed) = manifest.segments.last_mut() {
                listed.sealed = Some(sealed);
            }
        }

        let identity = Identity { number, first, bytes, salt: random() };
        let active = Arc::new(Segment::new(&self.workshop.folder, identity, identity.empty(), Some(Vec::new())));
        segment::write_header(&*file, &identity, &active.path)?;
        file.sync_data().map_err(refused("sync", &active.path))?;
        manifest.segments.push(Listed { identity, sealed: None });
        manifest::write(disk, &self.folder, &manifest)?;
        if let Some(unused) = unused {
            remove_if_there(disk, &unused)?;
        }

        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        if sealed.span.is_none() {
            shown.segments.pop();
        }
        shown.segments.push(Arc::clone(&active));
        (writer.manifest, writer.active, writer.file) = (manifest, active, file);
        Ok(())
    }

    /// See [`Engine::read_log`](crate::engine::Engine::read_log).
    pub(super) fn read(&self, after: LogSequence, bytes_max: usize) -> Result<Vec<LogEntry>> {
        let (segments, head) = self.shown_from(after);
        let mut found: Vec<LogEntry> = Vec::new();
        let mut bytes = 0_usize;
        for segment in segments {
            let bounds = segment.bounds();
            if bounds.span.is_none() {
                break;
            }
            let landmarks = segment.landmarks(&*self.workshop.disk)?;
            let next = LogSequence(found.last().map_or(after.0, |entry| entry.sequence.0) + 1);
            let at = landmarks.partition_point(|landmark| landmark.stamp.sequence <= next);
            let landmark = at.checked_sub(1).and_then(|at| landmarks.get(at));
            let landmark = landmark.ok_or_else(|| segment.damaged(0, "its index does not hold its first entry"))?;
            let chunk_bytes = bytes_max.saturating_sub(bytes).clamp(64 << 10, READ_BYTES_MAX);
            let file = segment.open(&*self.workshop.disk)?;
            let mut frames = FrameReader::from_landmark(&segment, file, bounds, landmark, chunk_bytes);
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

    /// See [`Engine::seek`](crate::engine::Engine::seek).
    pub(super) fn seek(&self, seek: LogSeek) -> Result<LogSequence> {
        let is_behind = |stamp: Stamp| seek.is_at_or_behind(stamp.revision, stamp.time_us);
        let segments = self.shown.read().unwrap_or_else(PoisonError::into_inner).segments.clone();
        // The last segment whose first entry is not beyond what is sought.
        let holds = |segment: &Arc<Segment>| segment.bounds().span.is_some_and(|(first, _)| is_behind(first));
        let Some(segment) = segments.partition_point(holds).checked_sub(1).and_then(|at| segments.get(at)) else {
            return Ok(LogSequence(0));
        };
        let bounds = segment.bounds();
        if let Some(last) = bounds.last().filter(|last| is_behind(*last)) {
            return Ok(last.sequence);
        }
        let landmarks = segment.landmarks(&*self.workshop.disk)?;
        let at = landmarks.partition_point(|landmark| is_behind(landmark.stamp));
        let landmark = at.checked_sub(1).and_then(|at| landmarks.get(at));
        let landmark = landmark.ok_or_else(|| segment.damaged(0, "its index does not hold its first entry"))?;
        let mut found = landmark.stamp.sequence;
        let chunk_bytes = to_usize(LANDMARK_SPACING_BYTES);
        let mut frames =
            FrameReader::from_landmark(segment, segment.open(&*self.workshop.disk)?, bounds, landmark, chunk_bytes);
        loop {
            let offset = frames.offset;
            let Some((header, body)) = frames.next()? else { return Ok(found) };
            for entry in segment.entries(&header, body, offset)? {
                if !is_behind(Stamp::from(&entry)) {
                    return Ok(found);
                }
                found = entry.sequence;
            }
        }
    }

    /// Bytes of the segments' files.
    pub(super) fn bytes(&self) -> u64 {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).segments.iter().map(|segment| segment.identity.bytes).sum()
    }

    /// Refuses appends from now on, and says where the log ends; `None` where it is not known what is on the disk.
    pub(super) fn close(&self) -> Option<LogEnd> {
        let mut writer = self.lock();
        let sound = writer.poisoned.is_none();
        writer.poisoned.get_or_insert_with(|| "the engine was closed".into());
        if let Some(unused) = writer.preparer.take().and_then(Preparer::stop)
            && let Err(error) = self.workshop.disk.remove(&segment::path(&self.workshop.folder, unused.number))
        {
            tracing::warn!(%error, "cannot remove an unused log segment; the next start will");
        }
        let Bounds { end, link, .. } = writer.active.bounds();
        let number = writer.active.identity.number;
        sound.then_some(LogEnd { number, end, link, head: writer.head.sequence })
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            // An assertion failed half way through an append.
            let mut writer = poisoned.into_inner();
            writer.poisoned.get_or_insert_with(|| "an append panicked".into());
            writer
        })
    }

    /// The head, and the segments that hold entries behind `after`.
    fn shown_from(&self, after: LogSequence) -> (Vec<Arc<Segment>>, LogSequence) {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        if after >= shown.head {
            return (Vec::new(), shown.head);
        }
        let at = shown.segments.partition_point(|segment| segment.identity.first.0 <= after.0 + 1).saturating_sub(1);
        (shown.segments.get(at..).unwrap_or_default().to_vec(), shown.head)
    }
}

impl Writer {
    /// Asks for the next segment to be prepared, unless it is already.
    fn want_segment(&mut self) {
        if self.preparer.as_ref().is_some_and(|preparer| preparer.want(self.next_number)) {
            self.next_number += 1;
        }
    }

    /// The next segment, prepared now if it was not before, or if the disk was full then.
    fn take_segment(&mut self) -> Result<Prepared> {
        let asked_before = !self.preparer.as_ref().is_some_and(|preparer| preparer.want(self.next_number));
        if !asked_before {
            self.next_number += 1;
        }
        let preparer = self.preparer.as_ref().expect("a log that is not closed has its preparer");
        match preparer.take() {
            Err(EngineError::Full { .. }) if asked_before => self.take_segment(),
            outcome => outcome,
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Writer").field("head", &self.head).field("poisoned", &self.poisoned).finish_non_exhaustive()
    }
}

/// Starts a log: its folder, an empty segment, and the MANIFEST that lists it, each durable before the next.
fn start(data_folder: &Path, workshop: &Workshop, segment_bytes: u64) -> Result<Manifest> {
    let Workshop { disk, folder, .. } = workshop;
    create_folders(&**disk, folder)?;
    // A start that a crash interrupted leaves a segment without frames. One with frames had a MANIFEST.
    for name in disk.list(folder).map_err(refused("list", folder))? {
        let path = folder.join(name);
        let file = disk.open(&path).map_err(refused("open", &path))?;
        let bytes = file.bytes().map_err(refused("measure", &path))?;
        if let Some(identity) = segment::read_header(&*file, &path)? {
            let contents = read_up_to(&*file, to_usize(bytes), 0).map_err(refused("read", &path))?;
            if recover::holds_frames(&contents, identity.salt) {
                let missing = data_folder.join(manifest::NAME);
                return Err(EngineError::Corrupt(format!(
                    "{} is missing, and {} holds entries",
                    missing.display(),
                    path.display()
                )));
            }
        }
        drop(file);
        remove_if_there(&**disk, &path)?;
    }
    let Prepared { number, bytes, file } = workshop.prepare(1, segment_bytes)?;
    let identity = Identity { number, first: LogSequence(1), bytes, salt: random() };
    let path = identity.path(folder);
    segment::write_header(&*file, &identity, &path)?;
    file.sync_data().map_err(refused("sync", &path))?;
    let manifest = Manifest { segments: vec![Listed { identity, sealed: None }] };
    manifest::write(&**disk, data_folder, &manifest)?;
    Ok(manifest)
}

/// A log's last segment, ready to be written to, and the MANIFEST that lists it.
struct Opened {
    manifest: Manifest,
    active: Arc<Segment>,
    file: Box<dyn DiskFile>,
}

impl Opened {
    fn open(data_folder: &Path, workshop: &Workshop, mut manifest: Manifest, closed: Option<LogEnd>) -> Result<Self> {
        let Workshop { disk, folder, .. } = workshop;
        let Some(Listed { identity, .. }) = manifest.segments.pop() else {
            return Err(EngineError::Corrupt(format!("{} lists no segments", data_folder.join(manifest::NAME).display())));
        };
        let segment = Segment::new(folder, identity, identity.empty(), None);
        let file = segment.open(&**disk)?;
        let recovered = recover::recover(&segment, &*file)?;
        if let Some(closed) = closed {
            let head = recovered.bounds.last().map_or(identity.first.0 - 1, |last| last.sequence.0);
            let Bounds { end, link, .. } = recovered.bounds;
            if closed != (LogEnd { number: identity.number, end, link, head: LogSequence(head) }) || recovered.torn {
                let what = format!("entry {head} ends the log here, which was closed after entry {}", closed.head.0);
                return Err(segment.damaged(end, &what));
            }
            let active = Segment::new(folder, identity, recovered.bounds, Some(recovered.landmarks));
            manifest.segments.push(Listed { identity, sealed: None });
            return Ok(Self { manifest, active: Arc::new(active), file });
        }

        let Recovered { contents, bounds, landmarks, torn } = recovered;
        if torn {
            tracing::warn!(path = %segment.path.display(), end = bounds.end, "cut off a frame that a crash had torn");
        }
        let number = 1 + identity.number.max(manifest.segments.iter().map(|listed| listed.identity.number).max().unwrap_or(0));
        let identity = Identity { number, ..identity };
        let copied = Segment::new(folder, identity, bounds, Some(landmarks));
        remove_if_there(&**disk, &copied.path)?;
        let file = segment::create_filled(&**disk, &copied.path, identity.bytes)?;
        let frames = contents.get(to_usize(segment::FRAMES_START)..).unwrap_or_default();
        write_all_at(&*file, frames, segment::FRAMES_START).map_err(refused("write", &copied.path))?;
        segment::write_header(&*file, &identity, &copied.path)?;
        file.sync_data().map_err(refused("sync", &copied.path))?;
        disk.sync_folder(folder).map_err(refused("sync", folder))?;
        manifest.segments.push(Listed { identity, sealed: None });
        manifest::write(&**disk, data_folder, &manifest)?;
        Ok(Self { manifest, active: Arc::new(copied), file })
    }
}

/// Removes what a crash or a replaced segment left in the log's folder, and finds out whether a segment is missing.
fn remove_unlisted(workshop: &Workshop, manifest: &Manifest) -> Result<()> {
    let Workshop { disk, folder, .. } = workshop;
    let mut unlisted = disk.list(folder).map_err(refused("list", folder))?;
    for listed in &manifest.segments {
        let path = listed.identity.path(folder);
        match unlisted.iter().position(|name| path.ends_with(name)) {
            Some(at) => drop(unlisted.swap_remove(at)),
            None => return Err(EngineError::Corrupt(format!("{} is missing", path.display()))),
        }
    }
    for name in unlisted {
        tracing::info!(%name, "removing a file that is not part of the log");
        remove_if_there(&**disk, &folder.join(name))?;
    }
    Ok(())
}

/// A number that nobody outside can guess.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

/// The folder of the segments of a data folder.
pub(super) fn folder(data_folder: &Path) -> PathBuf {
    data_folder.join(FOLDER)
}
