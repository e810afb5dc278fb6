//! The mark: a small file that says how the data folder was last left, so that opening it knows what can be trusted.
//!
//! ```text
//! annals mark
//! log closed segment 4 end 81920 link 1a2b3c4d head 412     | log open
//! state closed bytes 1048576 headers 1a2b3c4d tip 524288 600 others 1a2b3c4d
//!                                    | state open in boot 6f0b0b6e-...  | state suspect damaged|unknown <why>
//! checksum 1a2b3c4d
//! ```
//! The mark says `open` before anything else of the folder is touched, and `closed` only after everything is durable. So
//! `closed` holds across a power cut, and `open` with the name of the running boot says that a process was killed: what it
//! wrote is then all in the page cache.
//!
//! Knows the file's text. Must not know how log and state are checked.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    audit::Outline,
    disk::{Disk, read_small, replace_small},
    log::LogEnd,
    manifest::{sum_text, summed_text},
};
use crate::engine::{LogSequence, Result};

const NAME: &str = "MARK";
const FIRST_LINE: &str = "annals mark";

/// How a data folder was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where the log ended when it was closed; `None` where it was not.
    pub(super) log: Option<LogEnd>,
    pub(super) state: StateMark,
}

/// How the state was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StateMark {
    /// It was made durable, and its files looked like this.
    Closed(Outline),
    /// It was in use in this boot of the machine.
    Open { boot_id: String },
    /// It was to be rebuilt, or was being emptied for that.
    Suspect(Doubt),
}

/// Why a state is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    /// Whether something was found wrong with it, so that a person may want to look at it. Otherwise it is only not known
    /// to be right.
    pub(super) damaged: bool,
    /// One line, for people.
    pub(super) why: String,
}

impl Doubt {
    /// Something is wrong.
    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self { damaged: true, why: why.into().replace('\n', " ") }
    }

    /// Nothing says that it is right.
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self { damaged: false, why: why.into().replace('\n', " ") }
    }
}

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct MarkFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    now: Mutex<Option<Mark>>,
}

impl MarkFile {
    /// Reads how a data folder was left: `None` where no mark says so, or where it cannot be understood.
    pub(super) fn read(disk: Arc<dyn Disk>, data_folder: &Path) -> Result<(Self, Option<Mark>)> {
        let path = data_folder.join(NAME);
        let contents = read_small(&*disk, &path)?;
        let found = contents.as_deref().and_then(parse);
        if contents.is_some() && found.is_none() {
            tracing::warn!(path = %path.display(), "the mark is damaged: treating this as an unclean stop");
        }
        Ok((Self { disk, path, now: Mutex::new(found.clone()) }, found))
    }

    /// Replaces the mark. Durable on return.
    pub(super) fn write(&self, mark: Mark) -> Result<()> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        // Until the new one is known to be there, nothing is known.
        *now = None;
        replace_small(&*self.disk, &self.path, &encode(&mark))?;
        *now = Some(mark);
        Ok(())
    }

    /// Replaces what the mark says of the state, unless it says so already. The log is open then.
    pub(super) fn write_state(&self, state: StateMark) -> Result<()> {
        let mark = Mark { log: None, state };
        if self.now.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&mark) {
            return Ok(());
        }
        self.write(mark)
    }
}

fn encode(mark: &Mark) -> Vec<u8> {
    let log = match mark.log {
        None => "open".to_owned(),
        Some(LogEnd { number, end, link, head }) => {
            format!("closed segment {number} end {end} link {link:08x} head {}", head.0)
        }
    };
    let state = match &mark.state {
        StateMark::Closed(Outline { bytes, headers_sum, tip, tip_end, others_sum }) => {
            format!("closed bytes {bytes} headers {headers_sum:08x} tip {tip} {tip_end} others {others_sum:08x}")
        }
        StateMark::Open { boot_id } => format!("open in boot {boot_id}"),
        StateMark::Suspect(Doubt { damaged, why }) => {
            format!("suspect {} {why}", if *damaged { "damaged" } else { "unknown" })
        }
    };
    sum_text(format!("{FIRST_LINE}\nlog {log}\nstate {state}\n"))
}

fn parse(contents: &[u8]) -> Option<Mark> {
    let mut lines = summed_text(contents)?.lines();
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let log = match lines.next()?.strip_prefix("log ")? {
        "open" => None,
        closed => Some(parse_log_end(closed)?),
    };
    let state = lines.next()?.strip_prefix("state ")?;
    let state = if let Some(boot_id) = state.strip_prefix("open in boot ") {
        StateMark::Open { boot_id: boot_id.into() }
    } else if let Some(why) = state.strip_prefix("suspect damaged ") {
        StateMark::Suspect(Doubt::damaged(why))
    } else if let Some(why) = state.strip_prefix("suspect unknown ") {
        StateMark::Suspect(Doubt::unknown(why))
    } else {
        StateMark::Closed(parse_outline(state)?)
    };
    Some(Mark { log, state })
}

fn parse_log_end(text: &str) -> Option<LogEnd> {
    let ["closed", "segment", number, "end", end, "link", link, "head", head] = *text.split(' ').collect::<Vec<_>>() else {
        return None;
    };
    Some(LogEnd {
        number: number.parse().ok()?,
        end: end.parse().ok()?,
        link: u32::from_str_radix(link, 16).ok()?,
        head: LogSequence(head.parse().ok()?),
    })
}

fn parse_outline(text: &str) -> Option<Outline> {
    let ["closed", "bytes", bytes, "headers", headers, "tip", tip, tip_end, "others", others] =
        *text.split(' ').collect::<Vec<_>>()
    else {
        return None;
    };
    Some(Outline {
        bytes: bytes.parse().ok()?,
        headers_sum: u32::from_str_radix(headers, 16).ok()?,
        tip: tip.parse().ok()?,
        tip_end: tip_end.parse().ok()?,
        others_sum: u32::from_str_radix(others, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was_written_and_no_flipped_byte_is_believed() {
        let end = LogEnd { number: 4, end: 9000, link: 0xab, head: LogSequence(77) };
        let outline = Outline { bytes: 1, headers_sum: 2, tip: 3, tip_end: 4, others_sum: 5 };
        for mark in [
            Mark { log: None, state: StateMark::Open { boot_id: "b-1".into() } },
            Mark { log: Some(end), state: StateMark::Closed(outline) },
            Mark { log: Some(end), state: StateMark::Suspect(Doubt::damaged("sled said\nno")) },
            Mark { log: None, state: StateMark::Suspect(Doubt::unknown("")) },
        ] {
            let written = encode(&mark);
            assert_eq!(parse(&written), Some(mark));
            for at in 0..written.len() {
                let mut flipped = written.clone();
                flipped[at] ^= 1;
                assert_eq!(parse(&flipped), None, "byte {at}");
            }
        }
    }
}
