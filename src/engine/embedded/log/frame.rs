//! A frame: the entries of one append as a segment stores them, with the checksums that tell whether it is whole and in place.
//!
//! ```text
//! magic u32 | body bytes u32 | first sequence u64 | entries u32 | link before u32 | body checksum u32 | header checksum u32
//! body: for each entry  revision i64 | time_us i64 | bytes u32 | bytes
//! zeros up to a multiple of 8
//! ```
//! All numbers are little-endian. A frame's *link* is its header checksum. It covers the body checksum and the link of the
//! frame before, so that the links of a segment form a chain. Checksums begin with the segment's salt, a random number that no
//! client knows. So no client can commit a body that holds the bytes of a valid frame. Such bytes would make a torn frame look
//! like damage.
//!
//! Knows bytes and checksums. Must not know files.

use bytes::{Buf as _, BufMut as _, Bytes};

use crate::engine::{LogEntry, LogSequence, embedded::disk::checksum};

/// Bytes of a frame before its body.
pub(super) const HEADER_BYTES: usize = 32;
/// Frames start at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
const MAGIC: u32 = u32::from_le_bytes(*b"FRM1");
/// Revision, time and length before each entry's body.
const ENTRY_HEADER_BYTES: usize = 20;

/// The header of a frame. Its checksum was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) body_bytes: u32,
    pub(super) first: LogSequence,
    /// At least 1.
    pub(super) entries: u32,
    pub(super) link_before: u32,
    body_sum: u32,
    pub(super) link: u32,
}

impl FrameHeader {
    /// The header at the start of `bytes`, if there is one and its checksum is right.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let mut fields = &header[..];
        if fields.get_u32_le() != MAGIC {
            return None;
        }
        let found = Self {
            body_bytes: fields.get_u32_le(),
            first: LogSequence(fields.get_u64_le()),
            entries: fields.get_u32_le(),
            link_before: fields.get_u32_le(),
            body_sum: fields.get_u32_le(),
            link: fields.get_u32_le(),
        };
        let summed = header.first_chunk::<{ HEADER_BYTES - 4 }>()?;
        (checksum(salt, summed) == found.link && found.entries > 0).then_some(found)
    }

    /// Bytes that the whole frame takes in its segment.
    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.body_bytes as usize)
    }

    /// The last entry's sequence.
    pub(super) fn last(&self) -> LogSequence {
        LogSequence(self.first.0 + u64::from(self.entries) - 1)
    }

    /// Whether the length and the checksum of a body are those in the header.
    pub(super) fn is_header_of(&self, body: &[u8], salt: u64) -> bool {
        body.len() == self.body_bytes as usize && checksum(salt, body) == self.body_sum
    }

    /// The entries of a body that `is_header_of` has accepted. `None` if they do not fill it exactly. Only a bug in the writer
    /// can cause that, because damage would have changed the checksum.
    pub(super) fn decode_body(&self, mut body: Bytes) -> Option<Vec<LogEntry>> {
        let mut entries = Vec::with_capacity(self.entries.min(1 << 16) as usize);
        for sequence in self.first.0..self.first.0 + u64::from(self.entries) {
            let revision = body.try_get_i64_le().ok()?;
            let time_us = body.try_get_i64_le().ok()?;
            let bytes = body.try_get_u32_le().ok()? as usize;
            if body.len() < bytes {
                return None;
            }
            entries.push(LogEntry { sequence: LogSequence(sequence), revision, time_us, body: body.split_to(bytes) });
        }
        body.is_empty().then_some(entries)
    }
}

/// Bytes of the body that holds these entries. Panics if they are 4 GiB or more.
pub(super) fn body_bytes(entries: &[LogEntry]) -> usize {
    let bytes = entries.iter().map(|entry| ENTRY_HEADER_BYTES + entry.body.len()).sum();
    assert!(u32::try_from(bytes).is_ok(), "a group of {bytes} bytes does not fit into a frame");
    bytes
}

/// Bytes that a frame with such a body takes in its segment.
pub(super) fn frame_bytes(body_bytes: usize) -> u64 {
    (HEADER_BYTES + body_bytes).next_multiple_of(ALIGNMENT) as u64
}

/// The frame of these entries, and its link. Panics if there are no entries.
pub(super) fn encode(entries: &[LogEntry], link_before: u32, salt: u64) -> (Vec<u8>, u32) {
    let first = entries.first().map(|entry| entry.sequence).expect("a frame holds at least one entry");
    let body_bytes = body_bytes(entries);
    let mut frame = Vec::with_capacity((HEADER_BYTES + body_bytes).next_multiple_of(ALIGNMENT));
    frame.put_bytes(0, HEADER_BYTES);
    for entry in entries {
        frame.put_i64_le(entry.revision);
        frame.put_i64_le(entry.time_us);
        frame.put_u32_le(to_u32(entry.body.len()));
        frame.put_slice(&entry.body);
    }
    let (header, body) = frame.split_at_mut(HEADER_BYTES);
    let mut fields = &mut header[..];
    fields.put_u32_le(MAGIC);
    fields.put_u32_le(to_u32(body_bytes));
    fields.put_u64_le(first.0);
    fields.put_u32_le(to_u32(entries.len()));
    fields.put_u32_le(link_before);
    fields.put_u32_le(checksum(salt, body));
    let link = checksum(salt, &header[..HEADER_BYTES - 4]);
    header[HEADER_BYTES - 4..].copy_from_slice(&link.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(ALIGNMENT), 0);
    (frame, link)
}

/// The link that the first frame of a segment has in place of the link of a frame before.
pub(super) fn first_link(salt: u64) -> u32 {
    checksum(salt, b"first")
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).expect("counts and lengths within a frame are below 2^32, which body_bytes asserts")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x5a17;

    fn entries() -> Vec<LogEntry> {
        [&b""[..], b"one", &[7; 100]]
            .into_iter()
            .zip(40..)
            .map(|(body, sequence)| LogEntry {
                sequence: LogSequence(sequence),
                revision: sequence.cast_signed() * 2,
                time_us: -5,
                body: Bytes::copy_from_slice(body),
            })
            .collect()
    }

    fn whole(frame: &[u8]) -> Option<Vec<LogEntry>> {
        let header = FrameHeader::decode(frame, SALT)?;
        let body = frame.get(HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize)?;
        header.is_header_of(body, SALT).then(|| header.decode_body(Bytes::copy_from_slice(body)))?
    }

    #[test]
    fn a_frame_gives_back_its_entries_and_its_place_in_the_chain() {
        let (frame, link) = encode(&entries(), 77, SALT);
        let header = FrameHeader::decode(&frame, SALT).unwrap();
        assert_eq!(
            (header.first, header.last(), header.link_before, header.link),
            (LogSequence(40), LogSequence(42), 77, link)
        );
        assert_eq!(header.frame_bytes(), frame.len() as u64);
        assert_eq!(whole(&frame).unwrap(), entries());
    }

    #[test]
    fn every_flipped_bit_and_every_shorter_frame_is_noticed() {
        let (frame, _) = encode(&entries(), 77, SALT);
        let used = HEADER_BYTES + body_bytes(&entries());
        for bit in 0..used * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(whole(&flipped), None, "bit {bit}");
        }
        for length in 0..used {
            assert_eq!(whole(&frame[..length]), None, "length {length}");
            let mut torn = frame.clone();
            torn[length..used].fill(0);
            assert!(torn == frame || whole(&torn).is_none(), "zeros from {length}");
        }
    }

    #[test]
    fn a_frame_made_for_another_salt_is_none() {
        let (frame, _) = encode(&entries(), 77, SALT + 1);
        assert_eq!(FrameHeader::decode(&frame, SALT), None);
    }
}
