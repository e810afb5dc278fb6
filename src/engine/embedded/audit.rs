//! Reads the files of a closed sled state and says whether anything in them was damaged or has gone since sled wrote it.
//!
//! sled 0.34.7 checks the checksum of what it reads, but when it opens it takes what fails the check for the place where a
//! crash struck: a flipped byte or a truncated file can open as a state in which records are missing. So this reads every
//! message of every segment first, which costs about as much as copying the file to nowhere.
//!
//! What is used of sled's format: the file `db` is segments of 512 KiB. A segment starts with a checksum, its LSN (a position
//! in the endless log, a multiple of the segment size), and an LSN up to which everything was written before; messages follow
//! one another up to a cap, or up to the last 32 bytes. A freed segment keeps its bytes until another takes its place.
//! A message is a checksum, a kind, its length, the number of its segment and of its page, and a body.
//! The version is pinned in `Cargo.toml`, and a test reads what sled writes.
//!
//! Knows sled's files. Must not know keys or the log.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

/// sled's default, which it is opened with.
const SEGMENT_BYTES: usize = 512 * 1024;
/// The same as an LSN.
const SEGMENT_LSN: i64 = 512 * 1024;
const SEGMENT_HEADER_BYTES: usize = 20;
/// No message starts in the last bytes of a segment.
const RED_ZONE_BYTES: usize = 32;
const KIND_CORRUPTED: u8 = 0;
const KIND_CAP: u8 = 2;
const KIND_MAX: u8 = 11;

/// What the files of a state looked like when it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outline {
    /// The length of the file `db`.
    pub(super) bytes: u64,
    /// A checksum of the headers of all its segments: which there are, and where.
    pub(super) headers_sum: u32,
    /// The LSN of the segment that was written to last.
    pub(super) tip: i64,
    /// Where its messages end.
    pub(super) tip_end: u64,
    /// A checksum of sled's other files.
    pub(super) others_sum: u32,
}

/// How a state was left, which decides what an undamaged one may look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left<'a> {
    /// Closed, with these files.
    Closed(&'a Outline),
    /// By a process that was killed. Writes that were under way may have left one gap near the tip. The file `db` had at least
    /// this length.
    Killed { bytes_min: u64 },
}

/// The outline of a state that is closed and durable.
pub(super) fn outline(folder: &Path) -> io::Result<Outline> {
    let file = File::open(folder.join("db"))?;
    let bytes = file.metadata()?.len();
    let mut headers_sum = crc32fast::Hasher::new();
    let mut tip = None;
    for position in (0..bytes).step_by(SEGMENT_BYTES) {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        read_up_to(&file, &mut header, position)?;
        headers_sum.update(&header);
        if let Some(found) = SegmentHeader::decode(&header) {
            tip = tip.max(Some((found.lsn, position)));
        }
    }
    let (tip, tip_end) = match tip {
        Some((lsn, position)) => {
            let mut segment = vec![0; SEGMENT_BYTES];
            let filled = read_up_to(&file, &mut segment, position)?;
            (lsn, walk(segment.get(..filled).unwrap_or_default(), lsn).end)
        }
        None => (-1, 0),
    };
    let others_sum = sum_others(folder)?;
    Ok(Outline { bytes, headers_sum: headers_sum.finalize(), tip, tip_end: tip_end as u64, others_sum })
}

/// Says what is wrong with a state's files, if anything is.
pub(super) fn audit(folder: &Path, left: Left<'_>) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", folder.display());
    if fs::read_dir(folder.join("blobs")).map_err(unreadable)?.next().is_some() {
        return Err("a value was moved to a file of its own, which nothing makes durable".into());
    }
    let file = File::open(folder.join("db")).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    match left {
        Left::Closed(closed) => {
            if bytes != closed.bytes {
                return Err(format!("its file has {bytes} bytes and had {} when it was closed", closed.bytes));
            }
            let found = outline(folder).map_err(unreadable)?;
            if found != *closed {
                return Err(format!("its files are not as they were when it was closed: {found:?} in place of {closed:?}"));
            }
        }
        Left::Killed { bytes_min } if bytes < bytes_min => {
            return Err(format!("its file has {bytes} bytes and had {bytes_min} while it was in use"));
        }
        Left::Killed { .. } => {}
    }
    let segments = walk_all(&file, bytes).map_err(unreadable)?;
    // Above this, writes may have been under way when the process was killed.
    let stable = segments.iter().filter_map(|segment| segment.header).map(|header| header.stable).max().unwrap_or(-1);
    let tip = segments.iter().filter_map(|segment| segment.header).map(|header| header.lsn).max().unwrap_or(-1);
    for (index, segment) in segments.iter().enumerate() {
        let position = index * SEGMENT_BYTES;
        let Some(header) = segment.header else {
            // Cleared by sled when it recovered from a crash, or skipped by writes that were under way. So a segment that was
            // zeroed whole after a kill is not noticed here; after a clean stop, the outline tells.
            if segment.zeros {
                continue;
            }
            return Err(format!("its file has a bad segment header at byte {position}"));
        };
        let may_be_cut = match left {
            Left::Closed(_) => header.lsn == tip,
            Left::Killed { .. } => header.lsn + SEGMENT_LSN > stable,
        };
        if !segment.walked.complete && (!may_be_cut || segment.walked.continues) {
            return Err(format!("its file has a bad message at byte {}", position + segment.walked.end));
        }
    }
    Ok(())
}

/// What was found in one segment.
struct Found {
    header: Option<SegmentHeader>,
    /// Whether every byte is zero: cleared, or not written yet.
    zeros: bool,
    walked: Walked,
}

/// Where the messages of a segment end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Walked {
    end: usize,
    /// Whether they fill the segment.
    complete: bool,
    /// Whether a valid one follows behind a bad one.
    continues: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SegmentHeader {
    lsn: i64,
    stable: i64,
}

impl SegmentHeader {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        let (sum, fields) = header.split_first_chunk::<4>()?;
        let (lsn, stable) = fields.split_first_chunk::<8>()?;
        let found = Self {
            lsn: i64::from_le_bytes(*lsn) ^ i64::MAX,
            stable: i64::from_le_bytes(*stable.first_chunk::<8>()?) ^ i64::MAX,
        };
        let right = u32::from_le_bytes(*sum) ^ u32::MAX == crc32fast::hash(fields);
        (right && found.lsn >= 0 && found.lsn % SEGMENT_LSN == 0).then_some(found)
    }
}

/// Reads all segments, on two threads: what it costs is checksums.
fn walk_all(file: &File, bytes: u64) -> io::Result<Vec<Found>> {
    let positions: Vec<u64> = (0..bytes).step_by(SEGMENT_BYTES).collect();
    let (first, second) = positions.split_at(positions.len() / 2);
    let walk_part = |part: &[u64]| -> io::Result<Vec<Found>> {
        let mut segment = vec![0; SEGMENT_BYTES];
        part.iter()
            .map(|position| {
                let filled = read_up_to(file, &mut segment, *position)?;
                let segment = segment.get(..filled).unwrap_or_default();
                let header = SegmentHeader::decode(segment);
                let walked = header.map(|header| walk(segment, header.lsn)).unwrap_or_default();
                Ok(Found { header, zeros: header.is_none() && segment.iter().all(|byte| *byte == 0), walked })
            })
            .collect()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| walk_part(second));
        let mut found = walk_part(first)?;
        found.extend(second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        Ok(found)
    })
}

/// Follows the messages of a segment as far as they are valid.
fn walk(segment: &[u8], lsn: i64) -> Walked {
    let number = lsn.unsigned_abs() / SEGMENT_BYTES as u64;
    let mut end = SEGMENT_HEADER_BYTES;
    while end + RED_ZONE_BYTES <= SEGMENT_BYTES {
        match message(segment.get(end..).unwrap_or_default(), number) {
            Some(Message { cap: true, .. }) => return Walked { end, complete: true, continues: false },
            Some(Message { bytes, .. }) => end += bytes,
            None => {
                let continues =
                    (end + 1..segment.len()).any(|at| segment.get(at..).is_some_and(|bytes| message(bytes, number).is_some()));
                return Walked { end, complete: false, continues };
            }
        }
    }
    Walked { end, complete: true, continues: false }
}

struct Message {
    bytes: usize,
    cap: bool,
}

/// The message at the start of `bytes`, if there is a valid one of this segment.
fn message(bytes: &[u8], segment_number: u64) -> Option<Message> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first()?;
    if *kind == KIND_CORRUPTED || *kind > KIND_MAX {
        return None;
    }
    let (body_bytes, rest) = varint(rest)?;
    let (number, rest) = varint(rest)?;
    let (_page, rest) = varint(rest)?;
    if number != segment_number {
        return None;
    }
    let body = rest.get(..usize::try_from(body_bytes).ok()?)?;
    let header = bytes.get(4..bytes.len() - rest.len())?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(header);
    (hasher.finalize() ^ u32::MAX == u32::from_le_bytes(*sum))
        .then_some(Message { bytes: 4 + header.len() + body.len(), cap: *kind == KIND_CAP })
}

/// A number as sled writes it, and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match *first {
        small @ 0..=240 => Some((small.into(), rest)),
        high @ 241..=248 => {
            let (low, rest) = rest.split_first()?;
            Some((240 + 256 * (u64::from(high) - 241) + u64::from(*low), rest))
        }
        249 => {
            let (pair, rest) = rest.split_first_chunk::<2>()?;
            Some((2288 + 256 * u64::from(pair[0]) + u64::from(pair[1]), rest))
        }
        more => {
            let (number, rest) = rest.split_at_checked(usize::from(more) - 247)?;
            let mut bytes = [0; 8];
            bytes.get_mut(..number.len())?.copy_from_slice(number);
            Some((u64::from_le_bytes(bytes), rest))
        }
    }
}

/// A checksum of sled's files beside `db`: its configuration and its snapshots.
fn sum_others(folder: &Path) -> io::Result<u32> {
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.retain(|name| name != "db" && name != "blobs");
    names.sort();
    let mut sum = crc32fast::Hasher::new();
    for name in names {
        sum.update(name.as_encoded_bytes());
        sum.update(&fs::read(folder.join(name))?);
    }
    Ok(sum.finalize())
}

fn read_up_to(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest @ [_, ..]) = buffer.get_mut(filled..) {
        match file.read_at(rest, position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
