//! Opens a log, or creates one. Reads the last segment, and tells a torn frame, which a crash can leave, from damage.
//!
//! Frame N+1 is never written before frame N is durable. So a crash can leave one bad frame with nothing after it. If a valid
//! frame follows a bad one, the bad one was durable once and was damaged later.
//!
//! Knows the MANIFEST and the last segment. Must not know how entries are appended or read.

use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;

use super::{
    Appender, EmbeddedLog, Published, Tail,
    frame::{ALIGNMENT, FrameHeader, HEADER_BYTES},
    index::{SegmentBounds, SparseIndex, Stamp, decode_footer},
    manifest::{self, Listed, Manifest},
    preallocate::{Allocated, Preallocator, SegmentAllocator},
    segment::{self, FRAMES_START, Identity, SEGMENT_BYTES_MIN, Segment, random_salt},
};
use crate::engine::{
    EngineError, LogSequence, Result,
    embedded::{
        disk::{DiskFile, create_folders, read_up_to, refused, remove_if_there, sync_failed, to_usize, write_all_at},
        folder::{DataFolder, LogEnd},
    },
};

impl EmbeddedLog {
    /// Opens the log of a data folder, or creates one. `closed` says where the log ended when it was closed: it must still end
    /// there. If it was not closed, the contents of the last segment may be in the page cache only. So they are copied to a new
    /// file, which is synced and replaces the segment before any reader sees them.
    pub(in crate::engine::embedded) fn open(
        folder: Arc<DataFolder>,
        allocator: SegmentAllocator,
        segment_bytes: u64,
        closed: Option<LogEnd>,
    ) -> Result<Self> {
        let segment_bytes = segment_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(4096);
        let manifest = match manifest::read(&*allocator.disk, folder.path())? {
            Some(manifest) => manifest,
            None => start(&folder, &allocator, segment_bytes)?,
        };
        let opened = Opened::open(&folder, &allocator, manifest, closed)?;
        remove_unlisted(&allocator, &opened.manifest)?;

        let preallocator = Preallocator::start(allocator.clone(), segment_bytes)?;
        let mut segments: Vec<_> = opened
            .manifest
            .segments
            .iter()
            .filter_map(|listed| Some(Arc::new(Segment::new(&allocator.folder, listed.identity, listed.sealed?, None))))
            .collect();
        segments.push(Arc::clone(&opened.active));
        let head = segments.iter().rev().find_map(|segment| segment.bounds().last());
        let before_first = LogSequence(opened.active.identity.first.0 - 1);
        let head = head.unwrap_or(Stamp { sequence: before_first, revision: 0, time_us: i64::MIN });
        let next_number = 1 + opened.manifest.segments.iter().map(|listed| listed.identity.number).max().unwrap_or_default();
        let appender = Appender {
            manifest: opened.manifest,
            active: opened.active,
            file: opened.file,
            head,
            next_number,
            preallocator: Some(preallocator),
            tail: Tail::Clear,
            unlisted: None,
            poisoned: None,
        };
        Ok(Self {
            allocator,
            segment_bytes,
            appender: Mutex::new(appender),
            published: RwLock::new(Published { segments, head: head.sequence }),
            folder,
        })
    }
}

/// Creates a log: its folder, an empty segment, and the MANIFEST that lists it. Each is durable before the next is created.
fn start(data_folder: &DataFolder, allocator: &SegmentAllocator, segment_bytes: u64) -> Result<Manifest> {
    let SegmentAllocator { disk, folder, .. } = allocator;
    create_folders(&**disk, folder)?;
    // If a crash interrupts this, it leaves a segment without frames. A segment with frames was listed in a MANIFEST once.
    for name in disk.list(folder).map_err(refused("list", folder))? {
        let path = folder.join(name);
        let file = disk.open(&path).map_err(refused("open", &path))?;
        let bytes = file.bytes().map_err(refused("measure", &path))?;
        if let Some(identity) = segment::read_header(&*file, &path)? {
            let contents = read_up_to(&*file, to_usize(bytes), 0).map_err(refused("read", &path))?;
            if holds_frames(&contents, identity.salt) {
                let missing = data_folder.path().join(manifest::NAME);
                let what = format!("{} is missing, and {} holds entries", missing.display(), path.display());
                return Err(EngineError::Corrupt(what.into()));
            }
        }
        drop(file);
        remove_if_there(&**disk, &path)?;
    }
    let Allocated { number, bytes, file } = allocator.allocate(1, segment_bytes)?;
    let identity = Identity { number, first: LogSequence(1), bytes, salt: random_salt() };
    let path = identity.path(folder);
    segment::write_header(&*file, &identity, &path)?;
    file.sync_data().map_err(sync_failed(&path))?;
    let manifest = Manifest { segments: vec![Listed { identity, sealed: None }] };
    manifest::write(&**disk, data_folder.path(), &manifest)?;
    Ok(manifest)
}

/// The last segment of a log, ready for appends, and the MANIFEST that lists it.
struct Opened {
    manifest: Manifest,
    active: Arc<Segment>,
    file: Box<dyn DiskFile>,
}

impl Opened {
    fn open(
        data_folder: &DataFolder,
        allocator: &SegmentAllocator,
        mut manifest: Manifest,
        closed: Option<LogEnd>,
    ) -> Result<Self> {
        let SegmentAllocator { disk, folder, .. } = allocator;
        let Some(Listed { identity, .. }) = manifest.segments.pop() else {
            let manifest = data_folder.path().join(manifest::NAME);
            return Err(EngineError::Corrupt(format!("{} lists no segments", manifest.display()).into()));
        };
        let segment = Segment::new(folder, identity, identity.empty(), None);
        let file = segment.open(&**disk)?;
        let recovered = recover(&segment, &*file)?;
        if let Some(closed) = closed {
            let head = recovered.bounds.last().map_or(identity.first.0 - 1, |last| last.sequence.0);
            let SegmentBounds { end, link, .. } = recovered.bounds;
            if closed != (LogEnd { number: identity.number, end, link, head: LogSequence(head) }) || recovered.torn {
                let what = format!("entry {head} ends the log here, which was closed after entry {}", closed.head.0);
                return Err(segment.damaged(end, &what));
            }
            let active = Segment::new(folder, identity, recovered.bounds, Some(recovered.index));
            manifest.segments.push(Listed { identity, sealed: None });
            return Ok(Self { manifest, active: Arc::new(active), file });
        }

        let Recovered { contents, bounds, index, torn } = recovered;
        if torn {
            tracing::warn!(path = %segment.path.display(), end = bounds.end, "cut off a frame that a crash had torn");
        }
        let number = 1 + identity.number.max(manifest.segments.iter().map(|listed| listed.identity.number).max().unwrap_or(0));
        let identity = Identity { number, ..identity };
        let copied = Segment::new(folder, identity, bounds, Some(index));
        remove_if_there(&**disk, &copied.path)?;
        let file = segment::create_filled(&**disk, &copied.path, identity.bytes)?;
        let frames = contents.get(to_usize(FRAMES_START)..).unwrap_or_default();
        write_all_at(&*file, frames, FRAMES_START).map_err(refused("write", &copied.path))?;
        segment::write_header(&*file, &identity, &copied.path)?;
        file.sync_data().map_err(sync_failed(&copied.path))?;
        disk.sync_folder(folder).map_err(sync_failed(folder))?;
        manifest.segments.push(Listed { identity, sealed: None });
        manifest::write(&**disk, data_folder.path(), &manifest)?;
        Ok(Self { manifest, active: Arc::new(copied), file })
    }
}

/// Removes the files that a crash or a replaced segment left in the log's folder. An error if a listed segment is missing.
fn remove_unlisted(allocator: &SegmentAllocator, manifest: &Manifest) -> Result<()> {
    let SegmentAllocator { disk, folder, .. } = allocator;
    let mut unlisted = disk.list(folder).map_err(refused("list", folder))?;
    for listed in &manifest.segments {
        let path = listed.identity.path(folder);
        match unlisted.iter().position(|name| path.ends_with(name)) {
            Some(at) => drop(unlisted.swap_remove(at)),
            None => return Err(EngineError::Corrupt(format!("{} is missing", path.display()).into())),
        }
    }
    for name in unlisted {
        tracing::info!(%name, "removing a file that is not part of the log");
        remove_if_there(&**disk, &folder.join(name))?;
    }
    Ok(())
}

/// What the last segment of a log holds.
struct Recovered {
    /// The file's bytes up to the end of its valid frames.
    contents: Bytes,
    bounds: SegmentBounds,
    index: SparseIndex,
    /// Whether bytes other than zeros follow: part of a frame or of a footer that never became durable.
    torn: bool,
}

/// Reads the frames of a segment that is not sealed: only the frames themselves say where they end. `Corrupt` if a crash cannot
/// explain what is there.
fn recover(segment: &Segment, file: &dyn DiskFile) -> Result<Recovered> {
    let identity = &segment.identity;
    let whole: Bytes = read_up_to(file, to_usize(identity.bytes), 0).map_err(refused("read", &segment.path))?.into();
    if whole.len() as u64 != identity.bytes {
        return Err(segment.damaged(whole.len() as u64, &format!("the file ends here and not after {} bytes", identity.bytes)));
    }
    let frames = whole.slice(..to_usize(identity.frames_end_max()));
    let footer = decode_footer(&whole[frames.len()..], identity.salt);

    let mut index = SparseIndex::default();
    let mut bounds = identity.empty();
    while let Some((header, body)) = valid_frame(&frames, bounds, identity.salt, identity.first) {
        let (first, last) = segment.stamps(&header, body, bounds.end)?;
        bounds = bounds.with_frame(first, last, header.frame_bytes(), header.link, &mut index);
    }
    let end = to_usize(bounds.end);
    if let Some(header) = FrameHeader::decode(&frames[end..], identity.salt)
        && !follows(&header, frames.len() as u64, bounds, identity.first)
    {
        return Err(segment.damaged(bounds.end, "a frame with a right header that does not follow the one before it"));
    }
    if let Some((sealed, _)) = footer
        && sealed != bounds
    {
        return Err(segment.damaged(bounds.end, &format!("a bad frame, and the segment was sealed at byte {}", sealed.end)));
    }
    if let Some(later) = later_frame(&frames, end, identity.salt, next_sequence(bounds, identity.first)) {
        return Err(segment.damaged(bounds.end, &format!("a bad frame, and a valid one after it at byte {later}")));
    }
    let torn = whole[end..].iter().any(|byte| *byte != 0);
    Ok(Recovered { contents: whole.slice(..end), bounds, index, torn })
}

/// Whether a segment file that no MANIFEST lists holds a frame. Frames are written only once a MANIFEST lists their segment.
fn holds_frames(contents: &[u8], salt: u64) -> bool {
    later_frame(contents, to_usize(FRAMES_START) - ALIGNMENT, salt, LogSequence(0)).is_some()
}

/// The frame at the end of `bounds`, if it is valid and follows the frame before.
fn valid_frame(frames: &Bytes, bounds: SegmentBounds, salt: u64, first: LogSequence) -> Option<(FrameHeader, Bytes)> {
    let start = to_usize(bounds.end);
    let header = FrameHeader::decode(frames.get(start..)?, salt)?;
    let body_start = start + HEADER_BYTES;
    let body_end = body_start + header.body_bytes as usize;
    let body = frames.get(body_start..body_end)?;
    let valid = follows(&header, frames.len() as u64, bounds, first) && header.is_header_of(body, salt);
    valid.then(|| (header, frames.slice(body_start..body_end)))
}

/// Whether a frame with this header can stand at the end of `bounds`: it continues the chain, and fits into the segment.
fn follows(header: &FrameHeader, frames_end_max: u64, bounds: SegmentBounds, first: LogSequence) -> bool {
    let in_chain = header.link_before == bounds.link && header.first == next_sequence(bounds, first);
    in_chain && bounds.end + header.frame_bytes() <= frames_end_max
}

/// The offset of the first frame header after the offset `bad` that starts with entry `next` or a later one. A header with a
/// right checksum is enough: its frame was written, so the bad frame before it was durable.
fn later_frame(frames: &[u8], bad: usize, salt: u64, next: LogSequence) -> Option<usize> {
    (bad + ALIGNMENT..frames.len()).step_by(ALIGNMENT).find(|at| {
        frames.get(*at..).and_then(|bytes| FrameHeader::decode(bytes, salt)).is_some_and(|header| header.first >= next)
    })
}

fn next_sequence(bounds: SegmentBounds, first: LogSequence) -> LogSequence {
    bounds.last().map_or(first, |last| LogSequence(last.sequence.0 + 1))
}
