//! Checks sled's files for damage and loss before sled opens them. While sled runs, observes its file, so that a later audit
//! can compare.
//!
//! sled 0.34.7 verifies checksums, but when it opens, it takes the first wrong checksum for the point where a crash interrupted
//! it. So a flipped byte or a truncated file can open as a state in which records are missing. The audit therefore reads every
//! message of every segment first. It costs about as much as reading the file once.
//!
//! After a process was killed, a file that was cut between two segments, or that has a segment of zeros, would still pass. So a
//! thread notes the length of the file and its cleared segments once a second. The note is not synced: it is used only in the
//! same boot of the machine, where the page cache holds it.
//!
//! What the audit uses of sled's format: the file `db` consists of segments of 512 KiB. A segment starts with a checksum, its
//! LSN, and an LSN up to which everything had been written before. An LSN is a position in sled's endless log; that of a
//! segment is a multiple of the segment size. Messages follow up to a cap, or up to the last 32 bytes. A freed segment keeps
//! its bytes until another one takes its place. A message is a checksum, a kind, its length, the number of its segment and of
//! its page, and a body. `Cargo.toml` pins the version of sled, and a test reads what sled writes.
//!
//! Knows sled's files. Must not know keys, or when a state is trusted.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use crate::engine::{
    Cause,
    embedded::{
        disk::{read_into, refused},
        folder::StateOutline,
    },
};

/// The file of the last observation, in the data folder.
const NOTE: &str = "state.note";
const OBSERVE_EVERY: Duration = Duration::from_secs(1);
/// The size of sled's segments: its default, which this engine does not change.
const SEGMENT_BYTES: usize = 512 * 1024;
/// The same, as a distance between LSNs.
const SEGMENT_LSN: i64 = 512 * 1024;
const SEGMENT_HEADER_BYTES: usize = 20;
/// No message starts in this many last bytes of a segment.
const RED_ZONE_BYTES: usize = 32;
const KIND_CORRUPTED: u8 = 0;
const KIND_CAP: u8 = 2;
const KIND_MAX: u8 = 11;

/// How a state was last shut down. It decides what the files of an undamaged state may look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shutdown<'a> {
    /// It was closed, and its files had this outline.
    Clean(&'a StateOutline),
    /// Its process was killed. Writes in progress may have left gaps near the tip. Holds the last observation of the file `db`,
    /// if there is one.
    Killed(Option<&'a Observation>),
}

/// The outline of a state that is closed and durable.
pub(super) fn outline(folder: &Path) -> io::Result<StateOutline> {
    let file = File::open(folder.join("db"))?;
    let bytes = file.metadata()?.len();
    let mut headers_sum = crc32fast::Hasher::new();
    let mut tip = None;
    for position in (0..bytes).step_by(SEGMENT_BYTES) {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        read_into(&file, &mut header, position)?;
        headers_sum.update(&header);
        if let Some(found) = SegmentHeader::decode(&header) {
            tip = tip.max(Some((found.lsn, position)));
        }
    }
    let (tip, tip_end) = match tip {
        Some((lsn, position)) => {
            let mut segment = vec![0; SEGMENT_BYTES];
            let filled = read_into(&file, &mut segment, position)?;
            (lsn, walk(segment.get(..filled).unwrap_or_default(), lsn).end)
        }
        None => (-1, 0),
    };
    let others_sum = sum_others(folder)?;
    Ok(StateOutline { bytes, headers_sum: headers_sum.finalize(), tip, tip_end: tip_end as u64, others_sum })
}

/// The length of sled's file, and the indexes of the segments that sled has cleared. If `of` is given, only these segments are
/// looked at.
fn cleared(path: &Path, of: Option<&BTreeSet<u64>>) -> io::Result<(u64, BTreeSet<u64>)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let is_cleared = |segment: u64| -> io::Result<bool> {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        read_into(&file, &mut header, segment * SEGMENT_BYTES as u64)?;
        Ok(header == [0; SEGMENT_HEADER_BYTES])
    };
    let mut found = BTreeSet::new();
    for segment in 0..bytes.div_ceil(SEGMENT_BYTES as u64) {
        if of.is_none_or(|of| of.contains(&segment)) && is_cleared(segment)? {
            found.insert(segment);
        }
    }
    Ok((bytes, found))
}

/// Checks the files of a state that is not open. The error says what is wrong with them.
pub(super) fn audit(folder: &Path, shutdown: Shutdown<'_>) -> Result<(), Cause> {
    let unreadable = |error: io::Error| refused("read", folder)(error);
    if fs::read_dir(folder.join("blobs")).map_err(unreadable)?.next().is_some() {
        return Err("a value was moved to a file of its own, which nothing makes durable".into());
    }
    let file = File::open(folder.join("db")).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    match shutdown {
        Shutdown::Clean(closed) => {
            if bytes != closed.bytes {
                return Err(format!("its file has {bytes} bytes and had {} when it was closed", closed.bytes).into());
            }
            let found = outline(folder).map_err(unreadable)?;
            if found != *closed {
                return Err(
                    format!("its files are not as they were when it was closed: {found:?} in place of {closed:?}").into()
                );
            }
        }
        Shutdown::Killed(Some(before)) if bytes < before.bytes => {
            return Err(format!("its file has {bytes} bytes and had {} while it was in use", before.bytes).into());
        }
        Shutdown::Killed(_) => {}
    }
    let segments = walk_all(&file, bytes).map_err(unreadable)?;
    // Above this LSN, writes may have been in progress when the process was killed.
    let stable = segments.iter().filter_map(|segment| segment.header).map(|header| header.stable).max().unwrap_or(-1);
    let tip = segments.iter().filter_map(|segment| segment.header).map(|header| header.lsn).max().unwrap_or(-1);
    let may_be_missing = |lsn: i64| lsn + SEGMENT_LSN > stable;
    // How many segments may be empty because their writes were in progress when later ones were done already.
    let present: BTreeSet<_> = segments.iter().filter_map(|segment| segment.header).map(|header| header.lsn).collect();
    let missing = (0..tip).step_by(SEGMENT_BYTES).filter(|lsn| may_be_missing(*lsn) && !present.contains(lsn));
    let mut missing = missing.count();
    for (index, segment) in segments.iter().enumerate() {
        let position = index * SEGMENT_BYTES;
        let Some(header) = segment.header else {
            match shutdown {
                // After a clean stop, the outline has been compared above.
                Shutdown::Clean(_) | Shutdown::Killed(None) if segment.zeros => continue,
                Shutdown::Killed(Some(before)) if segment.zeros && before.cleared.contains(&(index as u64)) => continue,
                Shutdown::Killed(_) if segment.zeros && missing > 0 => {
                    missing -= 1;
                    continue;
                }
                Shutdown::Clean(_) | Shutdown::Killed(_) => {}
            }
            return Err(format!("its file has a bad segment header at byte {position}").into());
        };
        let may_be_cut = match shutdown {
            Shutdown::Clean(_) => header.lsn == tip,
            Shutdown::Killed(_) => may_be_missing(header.lsn),
        };
        if !segment.walked.complete && (!may_be_cut || segment.walked.continues) {
            return Err(format!("its file has a bad message at byte {}", position + segment.walked.end).into());
        }
    }
    Ok(())
}

/// What sled's file looked like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    /// Its length.
    bytes: u64,
    /// The indexes of the segments that sled had cleared when it was opened and has not written to since.
    cleared: BTreeSet<u64>,
}

impl Observation {
    /// The last observation that was written. `None` if it cannot be read.
    pub(super) fn read(data_folder: &Path) -> Option<Self> {
        let note = fs::read_to_string(data_folder.join(NOTE)).ok()?;
        let mut numbers = note.strip_suffix('\n')?.split(' ').map(str::parse);
        let bytes = numbers.next()?.ok()?;
        Some(Self { bytes, cleared: numbers.collect::<Result<_, _>>().ok()? })
    }

    /// Removes the note: the file is gone, or about to change.
    pub(super) fn forget(data_folder: &Path) -> io::Result<()> {
        match fs::remove_file(data_folder.join(NOTE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Observes the file as it is now. If `before` is given, only segments that were cleared then count as cleared.
    fn of(file: &Path, before: Option<&Self>) -> io::Result<Self> {
        let (bytes, cleared) = cleared(file, before.map(|before| &before.cleared))?;
        Ok(Self { bytes, cleared })
    }

    /// One write, so that a line with an end is always whole.
    fn write(&self, to: &Path) -> io::Result<()> {
        let numbers: Vec<_> = std::iter::once(&self.bytes).chain(&self.cleared).map(u64::to_string).collect();
        fs::write(to, numbers.join(" ") + "\n")
    }
}

/// The thread that observes sled's file and writes the note. Dropping this stops and joins the thread.
#[derive(Debug)]
pub(super) struct Observer {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Starts to observe the file of a sled that was just opened. Nothing may have been written to it yet.
    pub(super) fn start(data_folder: &Path, file: PathBuf) -> io::Result<Self> {
        let path = data_folder.join(NOTE);
        let first = Observation::of(&file, None)?;
        first.write(&path)?;
        let (stop, stopped) = sync_channel(1);
        let run = move || observe(&path, &file, first, &stopped);
        let thread = std::thread::Builder::new().name("state-note".into()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that observes the state's file panicked");
        }
    }
}

fn observe(path: &Path, file: &Path, mut before: Observation, stopped: &Receiver<()>) {
    while stopped.recv_timeout(OBSERVE_EVERY) == Err(RecvTimeoutError::Timeout) {
        let now = Observation::of(file, Some(&before));
        let noted = now.and_then(|now| if now == before { Ok(now) } else { now.write(path).map(|()| now) });
        match noted {
            Ok(now) => before = now,
            Err(error) => tracing::warn!(%error, "cannot observe the state's file"),
        }
    }
}

/// What was found in one segment.
struct Found {
    header: Option<SegmentHeader>,
    /// Whether every byte is zero: cleared, or not written yet.
    zeros: bool,
    walked: Walked,
}

/// The result of reading the messages of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Walked {
    end: usize,
    /// Whether they fill the segment.
    complete: bool,
    /// Whether a valid one follows a bad one.
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

/// Reads all segments. On two threads, because the checksums take most of the time.
fn walk_all(file: &File, bytes: u64) -> io::Result<Vec<Found>> {
    let positions: Vec<u64> = (0..bytes).step_by(SEGMENT_BYTES).collect();
    let (first, second) = positions.split_at(positions.len() / 2);
    let walk_part = |part: &[u64]| -> io::Result<Vec<Found>> {
        let mut segment = vec![0; SEGMENT_BYTES];
        part.iter()
            .map(|position| {
                let filled = read_into(file, &mut segment, *position)?;
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

/// The message at the start of `bytes`, if it is valid and belongs to this segment.
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

/// A number in sled's encoding, and the bytes after it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_as_it_was_written_and_half_a_note_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Observation::read(folder.path()), None);
        for cleared in [BTreeSet::new(), BTreeSet::from([0, 7])] {
            let note = Observation { bytes: 1 << 20, cleared };
            let path = folder.path().join(NOTE);
            note.write(&path).unwrap();
            assert_eq!(Observation::read(folder.path()), Some(note));
            let written = fs::read(&path).unwrap();
            fs::write(&path, &written[..written.len() - 1]).unwrap();
            assert_eq!(Observation::read(folder.path()), None);
        }
        Observation::forget(folder.path()).unwrap();
        Observation::forget(folder.path()).unwrap();
    }
}
