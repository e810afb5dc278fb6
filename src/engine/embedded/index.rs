//! What a segment holds and where: its bounds, and a landmark every so many bytes by which an entry is found with a short
//! read. Lies in the footer of a sealed segment, and in memory for the one that is written to.
//!
//! Knows numbers and their bytes. Must not know files or frames.

use bytes::{Buf as _, BufMut as _};

use super::frame::checksum;
use crate::engine::{LogEntry, LogSequence};

/// Bytes of frames between two landmarks: what a search by revision or time reads at most, beside one frame.
pub(super) const LANDMARK_SPACING_BYTES: u64 = 64 << 10;
const MAGIC: u64 = u64::from_le_bytes(*b"ANNALSIX");
/// Magic, bounds, number of landmarks; the checksum behind them is counted too.
const FOOTER_FIXED_BYTES: u64 = 8 + 8 + 4 + 2 * STAMP_BYTES + 4 + 4;
const STAMP_BYTES: u64 = 24;
const LANDMARK_BYTES: u64 = STAMP_BYTES + 8 + 4;

/// The numbers of an entry by which it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) sequence: LogSequence,
    pub(super) revision: u64,
    pub(super) time_us: i64,
}

/// Where a frame starts, what its first entry is stamped with, and its link, which the frame read there must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Landmark {
    pub(super) stamp: Stamp,
    pub(super) offset: u64,
    pub(super) link: u32,
}

/// Where the frames of a segment end, and which entries they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The byte behind the last frame.
    pub(super) end: u64,
    /// The last frame's link.
    pub(super) link: u32,
    /// The first and the last entry; none in a segment without frames.
    pub(super) span: Option<(Stamp, Stamp)>,
}

impl From<&LogEntry> for Stamp {
    fn from(entry: &LogEntry) -> Self {
        Self { sequence: entry.sequence, revision: entry.revision, time_us: entry.time_us }
    }
}

impl Bounds {
    /// The bounds after a frame of `bytes` bytes was added, and a landmark for it if it is due.
    pub(super) fn with_frame(self, first: Stamp, last: Stamp, bytes: u64, link: u32, landmarks: &mut Vec<Landmark>) -> Self {
        if landmarks.last().is_none_or(|before| self.end - before.offset >= LANDMARK_SPACING_BYTES) {
            landmarks.push(Landmark { stamp: first, offset: self.end, link });
        }
        Self { end: self.end + bytes, link, span: Some((self.span.map_or(first, |(first, _)| first), last)) }
    }

    /// The last entry's stamp.
    pub(super) fn last(&self) -> Option<Stamp> {
        self.span.map(|(_, last)| last)
    }
}

/// Bytes at the end of a segment of this size that are kept for the footer.
pub(super) const fn footer_room(segment_bytes: u64) -> u64 {
    FOOTER_FIXED_BYTES + LANDMARK_BYTES * (segment_bytes / LANDMARK_SPACING_BYTES + 2)
}

/// The footer of a segment that holds frames.
pub(super) fn encode_footer(bounds: &Bounds, landmarks: &[Landmark], salt: u64) -> Vec<u8> {
    let (first, last) = bounds.span.expect("only a segment with frames is sealed");
    let mut footer = Vec::new();
    footer.put_u64_le(MAGIC);
    footer.put_u64_le(bounds.end);
    footer.put_u32_le(bounds.link);
    put_stamp(&mut footer, first);
    put_stamp(&mut footer, last);
    footer.put_u32_le(u32::try_from(landmarks.len()).expect("landmarks are as many as the segment has multiples of 64 KiB"));
    for landmark in landmarks {
        put_stamp(&mut footer, landmark.stamp);
        footer.put_u64_le(landmark.offset);
        footer.put_u32_le(landmark.link);
    }
    let sum = checksum(salt, &footer);
    footer.put_u32_le(sum);
    footer
}

/// The footer at the start of `bytes`, if there is one with a right checksum.
pub(super) fn decode_footer(bytes: &[u8], salt: u64) -> Option<(Bounds, Vec<Landmark>)> {
    let mut fields = bytes;
    if fields.try_get_u64_le().ok()? != MAGIC {
        return None;
    }
    let end = fields.try_get_u64_le().ok()?;
    let link = fields.try_get_u32_le().ok()?;
    let span = Some((get_stamp(&mut fields)?, get_stamp(&mut fields)?));
    let count = fields.try_get_u32_le().ok()?;
    let landmarks = (0..count)
        .map(|_| {
            Some(Landmark {
                stamp: get_stamp(&mut fields)?,
                offset: fields.try_get_u64_le().ok()?,
                link: fields.try_get_u32_le().ok()?,
            })
        })
        .collect::<Option<_>>()?;
    let summed = bytes.get(..bytes.len() - fields.len())?;
    (fields.try_get_u32_le().ok()? == checksum(salt, summed)).then_some((Bounds { end, link, span }, landmarks))
}

fn put_stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    bytes.put_u64_le(stamp.sequence.0);
    bytes.put_u64_le(stamp.revision);
    bytes.put_i64_le(stamp.time_us);
}

fn get_stamp(bytes: &mut &[u8]) -> Option<Stamp> {
    Some(Stamp {
        sequence: LogSequence(bytes.try_get_u64_le().ok()?),
        revision: bytes.try_get_u64_le().ok()?,
        time_us: bytes.try_get_i64_le().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 3;

    fn filled(segment_bytes: u64, frame_bytes: u64) -> (Bounds, Vec<Landmark>) {
        let mut landmarks = Vec::new();
        let mut bounds = Bounds { end: 4096, link: 1, span: None };
        for sequence in 1.. {
            if bounds.end + frame_bytes + footer_room(segment_bytes) > segment_bytes {
                break;
            }
            let stamp = Stamp { sequence: LogSequence(sequence), revision: sequence * 3, time_us: -9 };
            bounds = bounds.with_frame(stamp, stamp, frame_bytes, 7, &mut landmarks);
        }
        (bounds, landmarks)
    }

    #[test]
    fn a_footer_fits_into_its_room_and_comes_back() {
        for (segment_bytes, frame_bytes) in
            [(16 << 10, 56), (1 << 20, 56), (1 << 20, 65_544), (4 << 20, 65_528), (64 << 20, 4096)]
        {
            let (bounds, landmarks) = filled(segment_bytes, frame_bytes);
            let mut footer = encode_footer(&bounds, &landmarks, SALT);
            assert!(footer.len() as u64 <= footer_room(segment_bytes), "{segment_bytes} {frame_bytes}");
            footer.resize(usize::try_from(footer_room(segment_bytes)).unwrap(), 0);
            assert_eq!(decode_footer(&footer, SALT), Some((bounds, landmarks)));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_footer_is_noticed() {
        let (bounds, landmarks) = filled(256 << 10, 4096);
        let footer = encode_footer(&bounds, &landmarks, SALT);
        for bit in 0..footer.len() * 8 {
            let mut flipped = footer.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_footer(&flipped, SALT), None, "bit {bit}");
        }
    }
}
