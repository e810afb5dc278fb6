//! What a segment holds and where: its bounds, and its sparse index, which finds a log entry with a short read. Both are stored
//! in the footer of a sealed segment, and kept in memory for the active one.
//!
//! Knows numbers and their bytes. Must not know files or frames.

use bytes::{Buf as _, BufMut as _};

use crate::engine::{LogEntry, LogSequence, embedded::disk::checksum};

/// The least bytes of frames between two index entries. A search by revision or time reads at most this, and one frame more.
pub(super) const INDEX_SPACING_BYTES: u64 = 64 << 10;
const MAGIC: u64 = u64::from_le_bytes(*b"ANNALSIX");
/// Magic, bounds and the number of index entries, and the checksum at the end.
const FOOTER_FIXED_BYTES: u64 = 8 + 8 + 4 + 2 * STAMP_BYTES + 4 + 4;
const STAMP_BYTES: u64 = 24;
const INDEX_ENTRY_BYTES: u64 = STAMP_BYTES + 8 + 4;

/// The numbers by which a log entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) sequence: LogSequence,
    pub(super) revision: i64,
    pub(super) time_us: i64,
}

/// A frame in the sparse index: where it starts, the stamp of its first log entry, and its link. A frame that is read there
/// must have this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) stamp: Stamp,
    pub(super) offset: u64,
    pub(super) link: u32,
}

/// Some frames of a segment: the first, and then one after every [`INDEX_SPACING_BYTES`] or more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SparseIndex {
    entries: Vec<IndexEntry>,
}

/// Where the frames of a segment end, and which log entries they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentBounds {
    /// The byte after the last frame.
    pub(super) end: u64,
    /// The last frame's link.
    pub(super) link: u32,
    /// The first and the last log entry. `None` in a segment without frames.
    pub(super) span: Option<(Stamp, Stamp)>,
}

impl From<&LogEntry> for Stamp {
    fn from(entry: &LogEntry) -> Self {
        Self { sequence: entry.sequence, revision: entry.revision, time_us: entry.time_us }
    }
}

impl SparseIndex {
    /// The last indexed frame whose first log entry satisfies a predicate. The predicate must be true up to some entry and
    /// false after it.
    pub(super) fn last_where(&self, satisfies: impl Fn(Stamp) -> bool) -> Option<IndexEntry> {
        let at = self.entries.partition_point(|entry| satisfies(entry.stamp));
        self.entries.get(at.checked_sub(1)?).copied()
    }
}

impl SegmentBounds {
    /// The bounds after a frame of `bytes` bytes was added. Adds the frame to the index if the spacing asks for an entry.
    pub(super) fn with_frame(self, first: Stamp, last: Stamp, bytes: u64, link: u32, index: &mut SparseIndex) -> Self {
        if index.entries.last().is_none_or(|before| self.end - before.offset >= INDEX_SPACING_BYTES) {
            index.entries.push(IndexEntry { stamp: first, offset: self.end, link });
        }
        Self { end: self.end + bytes, link, span: Some((self.span.map_or(first, |(first, _)| first), last)) }
    }

    /// The last entry's stamp.
    pub(super) fn last(&self) -> Option<Stamp> {
        self.span.map(|(_, last)| last)
    }
}

/// Bytes at the end of a segment of this size that are reserved for the footer.
pub(super) const fn footer_room(segment_bytes: u64) -> u64 {
    FOOTER_FIXED_BYTES + INDEX_ENTRY_BYTES * (segment_bytes / INDEX_SPACING_BYTES + 2)
}

/// The footer of a segment that holds frames.
pub(super) fn encode_footer(bounds: &SegmentBounds, index: &SparseIndex, salt: u64) -> Vec<u8> {
    let (first, last) = bounds.span.expect("only a segment with frames is sealed");
    let mut footer = Vec::new();
    footer.put_u64_le(MAGIC);
    footer.put_u64_le(bounds.end);
    footer.put_u32_le(bounds.link);
    put_stamp(&mut footer, first);
    put_stamp(&mut footer, last);
    footer.put_u32_le(u32::try_from(index.entries.len()).expect("a segment has one index entry per 64 KiB"));
    for entry in &index.entries {
        put_stamp(&mut footer, entry.stamp);
        footer.put_u64_le(entry.offset);
        footer.put_u32_le(entry.link);
    }
    let sum = checksum(salt, &footer);
    footer.put_u32_le(sum);
    footer
}

/// The footer at the start of `bytes`, if there is one and its checksum is right.
pub(super) fn decode_footer(bytes: &[u8], salt: u64) -> Option<(SegmentBounds, SparseIndex)> {
    let mut fields = bytes;
    if fields.try_get_u64_le().ok()? != MAGIC {
        return None;
    }
    let end = fields.try_get_u64_le().ok()?;
    let link = fields.try_get_u32_le().ok()?;
    let span = Some((get_stamp(&mut fields)?, get_stamp(&mut fields)?));
    let count = fields.try_get_u32_le().ok()?;
    let entries = (0..count)
        .map(|_| {
            Some(IndexEntry {
                stamp: get_stamp(&mut fields)?,
                offset: fields.try_get_u64_le().ok()?,
                link: fields.try_get_u32_le().ok()?,
            })
        })
        .collect::<Option<_>>()?;
    let summed = bytes.get(..bytes.len() - fields.len())?;
    (fields.try_get_u32_le().ok()? == checksum(salt, summed))
        .then_some((SegmentBounds { end, link, span }, SparseIndex { entries }))
}

fn put_stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    bytes.put_u64_le(stamp.sequence.0);
    bytes.put_i64_le(stamp.revision);
    bytes.put_i64_le(stamp.time_us);
}

fn get_stamp(bytes: &mut &[u8]) -> Option<Stamp> {
    Some(Stamp {
        sequence: LogSequence(bytes.try_get_u64_le().ok()?),
        revision: bytes.try_get_i64_le().ok()?,
        time_us: bytes.try_get_i64_le().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 3;

    fn filled(segment_bytes: u64, frame_bytes: u64) -> (SegmentBounds, SparseIndex) {
        let mut index = SparseIndex::default();
        let mut bounds = SegmentBounds { end: 4096, link: 1, span: None };
        for sequence in 1.. {
            if bounds.end + frame_bytes + footer_room(segment_bytes) > segment_bytes {
                break;
            }
            let stamp = Stamp { sequence: LogSequence(sequence), revision: sequence.cast_signed() * 3, time_us: -9 };
            bounds = bounds.with_frame(stamp, stamp, frame_bytes, 7, &mut index);
        }
        (bounds, index)
    }

    #[test]
    fn a_footer_fits_into_its_room_and_comes_back() {
        for (segment_bytes, frame_bytes) in
            [(16 << 10, 56), (1 << 20, 56), (1 << 20, 65_544), (4 << 20, 65_528), (64 << 20, 4096)]
        {
            let (bounds, index) = filled(segment_bytes, frame_bytes);
            let mut footer = encode_footer(&bounds, &index, SALT);
            assert!(footer.len() as u64 <= footer_room(segment_bytes), "{segment_bytes} {frame_bytes}");
            footer.resize(usize::try_from(footer_room(segment_bytes)).unwrap(), 0);
            assert_eq!(decode_footer(&footer, SALT), Some((bounds, index)));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_footer_is_noticed() {
        let (bounds, index) = filled(256 << 10, 4096);
        let footer = encode_footer(&bounds, &index, SALT);
        for bit in 0..footer.len() * 8 {
            let mut flipped = footer.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_footer(&flipped, SALT), None, "bit {bit}");
        }
    }
}
