//! The MANIFEST: the data format, and the segments of the log in order. Each change writes a new file, syncs it and renames it
//! into place. So a segment joins or leaves the log in one step.
//!
//! ```text
//! annals data
//! format 1
//! segment 3 bytes 67108864 salt 00c0ffee00c0ffee first 1 end 67100000 link 1a2b3c4d revisions 1 412 times 1700 1790 last 400
//! segment 4 bytes 67108864 salt 00c0ffee00c0ffef first 401
//! checksum 1a2b3c4d
//! ```
//! The last segment is the active one: it takes the appends. All others are sealed and listed with what they hold, so that
//! opening a log need not read them. In every format the first line, the last line, and the format number in the second line
//! stay the same.
//!
//! Knows the file's text. Must not know what is in a segment's file.

use std::{fmt::Write as _, path::Path};

use super::{
    index::{SegmentBounds, Stamp},
    segment::Identity,
};
use crate::engine::{
    EngineError, LogSequence, Result,
    embedded::disk::{Disk, read_small, replace_small, sum_text, summed_text},
};

/// The file's name in the data folder.
pub(super) const NAME: &str = "MANIFEST";
/// The newest data format this program reads, and the one it writes. Raised when an older program would misread the folder.
const FORMAT_VERSION: u32 = 1;
const FIRST_LINE: &str = "annals data";
const INTO_STRING: &str = "writing into a String does not fail";

/// The segments of a log, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) segments: Vec<Listed>,
}

/// A segment as the MANIFEST lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) identity: Identity,
    /// What a sealed segment holds: at least one entry. `None` for the last segment of the list, and only for it.
    pub(super) sealed: Option<SegmentBounds>,
}

/// Reads the MANIFEST of a data folder. `None` if there is none.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Manifest>> {
    let path = folder.join(NAME);
    let Some(contents) = read_small(disk, &path)? else { return Ok(None) };
    let damaged = |what: &str| EngineError::Corrupt(format!("{}: {what}", path.display()).into());
    let text = summed_text(&contents).ok_or_else(|| damaged("its checksum is wrong"))?;
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(damaged("it belongs to another program"));
    }
    let format = lines.next().and_then(|line| line.strip_prefix("format ")).and_then(|number| number.parse().ok());
    match format {
        Some(FORMAT_VERSION) => {}
        Some(found) => return Err(EngineError::Format { path: folder.to_path_buf(), found, supported: FORMAT_VERSION }),
        None => return Err(damaged("it names no format")),
    }
    let segments =
        lines.map(parse_segment).collect::<Option<Vec<_>>>().ok_or_else(|| damaged("it lists a segment unreadably"))?;
    let in_order =
        segments.windows(2).all(|pair| match (pair[0].sealed.and_then(|bounds| bounds.last()), pair[1].identity.first) {
            (Some(last), first) => last.sequence.0 + 1 == first.0,
            (None, _) => false,
        });
    match segments.last() {
        Some(Listed { sealed: None, .. }) if in_order => Ok(Some(Manifest { segments })),
        _ => Err(damaged("its segments do not follow one another")),
    }
}

/// Replaces the MANIFEST. Durable on return.
pub(super) fn write(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<()> {
    let mut text = format!("{FIRST_LINE}\nformat {FORMAT_VERSION}\n");
    for segment in &manifest.segments {
        let Identity { number, first, bytes, salt } = segment.identity;
        write!(text, "segment {number} bytes {bytes} salt {salt:016x} first {}", first.0).expect(INTO_STRING);
        if let Some(SegmentBounds { end, link, span }) = segment.sealed {
            let (first, last) = span.expect("a sealed segment holds entries");
            let (revisions, times) = ((first.revision, last.revision), (first.time_us, last.time_us));
            write!(text, " end {end} link {link:08x} revisions {} {}", revisions.0, revisions.1).expect(INTO_STRING);
            write!(text, " times {} {} last {}", times.0, times.1, last.sequence.0).expect(INTO_STRING);
        }
        text.push('\n');
    }
    replace_small(disk, &folder.join(NAME), &sum_text(text))
}

fn parse_segment(line: &str) -> Option<Listed> {
    let mut words = line.split(' ');
    let identity = Identity {
        number: field(&mut words, "segment")?.parse().ok()?,
        bytes: field(&mut words, "bytes")?.parse().ok()?,
        salt: u64::from_str_radix(field(&mut words, "salt")?, 16).ok()?,
        first: LogSequence(field(&mut words, "first")?.parse().ok()?),
    };
    let mut words = words.peekable();
    let sealed = if words.peek().is_some() { Some(parse_bounds(&mut words, identity.first)?) } else { None };
    words.next().is_none().then_some(Listed { identity, sealed })
}

fn parse_bounds<'a>(words: &mut impl Iterator<Item = &'a str>, first: LogSequence) -> Option<SegmentBounds> {
    let end = field(words, "end")?.parse().ok()?;
    let link = u32::from_str_radix(field(words, "link")?, 16).ok()?;
    let revisions: (i64, i64) = (field(words, "revisions")?.parse().ok()?, words.next()?.parse().ok()?);
    let times: (i64, i64) = (field(words, "times")?.parse().ok()?, words.next()?.parse().ok()?);
    let last = LogSequence(field(words, "last")?.parse().ok()?);
    let first = Stamp { sequence: first, revision: revisions.0, time_us: times.0 };
    let last = Stamp { sequence: last, revision: revisions.1, time_us: times.1 };
    Some(SegmentBounds { end, link, span: Some((first, last)) })
}

/// The word after `name`. `None` if the next word is not `name`.
fn field<'a>(words: &mut impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    (words.next()? == name).then(|| words.next())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::embedded::disk::LocalDisk;

    fn example() -> Manifest {
        let stamp = |sequence| Stamp { sequence: LogSequence(sequence), revision: sequence.cast_signed() * 2, time_us: -7 };
        let identity = |number, first| Identity { number, first: LogSequence(first), bytes: 65536, salt: u64::MAX - number };
        Manifest {
            segments: vec![
                Listed {
                    identity: identity(9, 1),
                    sealed: Some(SegmentBounds { end: 8192, link: 7, span: Some((stamp(1), stamp(5))) }),
                },
                Listed { identity: identity(4, 6), sealed: None },
            ],
        }
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&LocalDisk, folder.path()).unwrap(), None);
        write(&LocalDisk, folder.path(), &example()).unwrap();
        assert_eq!(read(&LocalDisk, folder.path()).unwrap(), Some(example()));
    }

    #[test]
    fn a_newer_format_is_refused_by_name_and_every_flipped_byte_as_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, sum_text(format!("{FIRST_LINE}\nformat 2\nwhatever comes then\n"))).unwrap();
        assert!(matches!(read(&LocalDisk, folder.path()), Err(EngineError::Format { found: 2, supported: 1, .. })));
        write(&LocalDisk, folder.path(), &example()).unwrap();
        let written = std::fs::read(&path).unwrap();
        for at in 0..written.len() {
            let mut flipped = written.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            assert!(matches!(read(&LocalDisk, folder.path()), Err(EngineError::Corrupt(_))), "byte {at}");
        }
    }

    #[test]
    fn segments_that_leave_a_gap_are_damage() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = example();
        manifest.segments[1].identity.first = LogSequence(7);
        write(&LocalDisk, folder.path(), &manifest).unwrap();
        assert!(matches!(read(&LocalDisk, folder.path()), Err(EngineError::Corrupt(_))));
    }
}
