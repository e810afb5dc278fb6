//! Reads the last segment of a log when it is opened, and tells a frame that a crash tore from damage.
//!
//! Frame N+1 is never written before frame N is durable. So a crash can leave one bad frame, and nothing behind it: a bad
//! frame that has a valid one behind it was durable once and has been damaged since.
//!
//! Knows frames in memory. Must not know the MANIFEST.

use bytes::Bytes;

use super::{
    disk::{DiskFile, read_up_to, refused, to_usize},
    frame::{ALIGNMENT, FrameHeader, HEADER_BYTES},
    index::{Bounds, Landmark, decode_footer},
    segment::{FRAMES_START, Segment},
};
use crate::engine::{LogSequence, Result};

/// What the last segment of a log holds.
pub(super) struct Recovered {
    /// The file's bytes up to the end of its valid frames.
    pub(super) contents: Bytes,
    pub(super) bounds: Bounds,
    pub(super) landmarks: Vec<Landmark>,
    /// Whether bytes follow that are not zeros: the begin of a frame, or of a footer, that never became durable.
    pub(super) torn: bool,
}

/// Reads the frames of a segment that nothing says the end of. Damage, where a crash cannot have left what is there.
pub(super) fn recover(segment: &Segment, file: &dyn DiskFile) -> Result<Recovered> {
    let identity = &segment.identity;
    let whole: Bytes = read_up_to(file, to_usize(identity.bytes), 0).map_err(refused("read", &segment.path))?.into();
    if whole.len() as u64 != identity.bytes {
        return Err(segment.damaged(whole.len() as u64, &format!("the file ends here and not after {} bytes", identity.bytes)));
    }
    let frames = whole.slice(..to_usize(identity.frames_end_max()));
    let footer = decode_footer(&whole[frames.len()..], identity.salt);

    let mut landmarks = Vec::new();
    let mut bounds = identity.empty();
    while let Some((header, body)) = valid_frame(&frames, bounds, identity.salt, identity.first) {
        let (first, last) = segment.stamps(&header, body, bounds.end)?;
        bounds = bounds.with_frame(first, last, header.frame_bytes(), header.link, &mut landmarks);
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
        return Err(segment.damaged(bounds.end, &format!("a bad frame, and a valid one behind it at byte {later}")));
    }
    let torn = whole[end..].iter().any(|byte| *byte != 0);
    Ok(Recovered { contents: whole.slice(..end), bounds, landmarks, torn })
}

/// Whether a segment file that no MANIFEST lists holds a frame. Frames are written only once a MANIFEST lists their segment.
pub(super) fn holds_frames(contents: &[u8], salt: u64) -> bool {
    later_frame(contents, to_usize(FRAMES_START) - ALIGNMENT, salt, LogSequence(0)).is_some()
}

/// The frame at the end of `bounds`, if it is valid and follows the ones before.
fn valid_frame(frames: &Bytes, bounds: Bounds, salt: u64, first: LogSequence) -> Option<(FrameHeader, Bytes)> {
    let start = to_usize(bounds.end);
    let header = FrameHeader::decode(frames.get(start..)?, salt)?;
    let body_start = start + HEADER_BYTES;
    let body_end = body_start + header.body_bytes as usize;
    let body = frames.get(body_start..body_end)?;
    let valid = follows(&header, frames.len() as u64, bounds, first) && header.is_header_of(body, salt);
    valid.then(|| (header, frames.slice(body_start..body_end)))
}

/// Whether a frame with this header, at the end of `bounds`, is what a writer would have put there.
fn follows(header: &FrameHeader, frames_end_max: u64, bounds: Bounds, first: LogSequence) -> bool {
    let in_chain = header.link_before == bounds.link && header.first == next_sequence(bounds, first);
    in_chain && bounds.end + header.frame_bytes() <= frames_end_max
}

/// Where the first header of a frame at or behind `next` lies, behind the place `bad` where a frame should have been. A right
/// header suffices: its frame was written, so the bad one was durable.
fn later_frame(frames: &[u8], bad: usize, salt: u64, next: LogSequence) -> Option<usize> {
    (bad + ALIGNMENT..frames.len()).step_by(ALIGNMENT).find(|at| {
        frames.get(*at..).and_then(|bytes| FrameHeader::decode(bytes, salt)).is_some_and(|header| header.first >= next)
    })
}

fn next_sequence(bounds: Bounds, first: LogSequence) -> LogSequence {
    bounds.last().map_or(first, |last| LogSequence(last.sequence.0 + 1))
}
