//! The file calls of the log and its small files, as a trait. A test can make each call fail, record it, or change its result.
//! Also what is built on these calls: whole writes, small files with a checksum, and the reserve of free space.
//!
//! Knows paths, bytes at positions, and what a call promises about a power cut. Must not know frames, segments or sled, which
//! does its own I/O.

use std::{
    fmt::{self, Write as _},
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::engine::{EngineError, Result};

/// How much room a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes that this process may still write.
    pub available: u64,
}

/// Files and folders. A change survives a power cut only after the sync that its method names has returned.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a folder whose parent exists. Not an error if the folder exists already. Durable after `sync_folder` of the
    /// parent.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Creates a file that must not exist yet, for reading and writing. Durable after its own sync and `sync_folder` of the
    /// folder.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, replacing a file that has it. Durable after `sync_folder`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Durable after `sync_folder`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes durable which names a folder holds.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The room on the file system that holds a path.
    fn space(&self, path: &Path) -> io::Result<DiskSpace>;
}

/// An open file. Positions are given with each call, so that readers and the writer share it.
pub trait DiskFile: Send + Sync {
    /// Reads at a position. At the end of the file it reads fewer bytes than asked for, possibly none.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes at a position, possibly fewer bytes than given.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize>;

    /// Makes the contents durable, and the length if it has changed.
    fn sync_data(&self) -> io::Result<()>;

    /// The file's length.
    fn bytes(&self) -> io::Result<u64>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if path.is_dir() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::NotADirectory.into())
                }
            }
            outcome => outcome,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<DiskSpace> {
        let found = rustix::fs::statvfs(path)?;
        Ok(DiskSpace {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

impl DiskFile for fs::File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Writes all bytes at a position.
pub(super) fn write_all_at(file: &dyn DiskFile, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                position += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads `bytes_max` bytes from a position, or fewer at the end of the file.
pub(super) fn read_up_to(file: &dyn DiskFile, bytes_max: usize, position: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes_max];
    let filled = read_into(file, &mut buffer, position)?;
    buffer.truncate(filled);
    Ok(buffer)
}

/// Fills a buffer from a position and returns how many bytes it read: fewer than the buffer holds only at the end of the file.
pub(super) fn read_into(file: &dyn DiskFile, buffer: &mut [u8], position: u64) -> io::Result<usize> {
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

/// The contents of a small file. `None` if there is no such file.
pub(super) fn read_small(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    const SMALL_BYTES_MAX: u64 = 256 << 20;
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.map_err(refused("open", path))?,
    };
    let bytes = file.bytes().map_err(refused("measure", path))?.min(SMALL_BYTES_MAX);
    read_up_to(&*file, to_usize(bytes), 0).map(Some).map_err(refused("read", path))
}

/// Replaces a small file as a whole. After a power cut the file has the old contents or the new, never a mix.
pub(super) fn replace_small(disk: &dyn Disk, path: &Path, contents: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = path.with_extension("new");
    // A process that was killed before the rename may have left it.
    remove_if_there(disk, &written)?;
    let file = disk.create(&written).map_err(refused("create", &written))?;
    write_all_at(&*file, contents, 0).map_err(refused("write", &written))?;
    file.sync_data().map_err(sync_failed(&written))?;
    disk.rename(&written, path).map_err(refused("rename", &written))?;
    disk.sync_folder(folder).map_err(sync_failed(folder))
}

/// Removes a file, if it is there.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(refused("remove", path)),
    }
}

/// Creates a folder and its missing parents, and syncs the parent of each.
pub(super) fn create_folders(disk: &dyn Disk, path: &Path) -> Result<()> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        .map(Path::to_path_buf)
        .collect();
    for folder in missing.iter().rev() {
        disk.create_folder(folder).map_err(refused("create", folder))?;
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.sync_folder(above).map_err(sync_failed(above))?;
    }
    Ok(())
}

/// A text, and its checksum as the last line.
pub(super) fn sum_text(mut text: String) -> Vec<u8> {
    let sum = checksum(0, text.as_bytes());
    writeln!(text, "checksum {sum:08x}").expect("writing into a String does not fail");
    text.into_bytes()
}

/// The text before a checksum line, if the checksum is right.
pub(super) fn summed_text(contents: &[u8]) -> Option<&str> {
    const SUM_LINE_BYTES: usize = "checksum 00000000\n".len();
    let (text, line) = contents.split_at_checked(contents.len().checked_sub(SUM_LINE_BYTES)?)?;
    (line == format!("checksum {:08x}\n", checksum(0, text)).as_bytes()).then_some(())?;
    std::str::from_utf8(text).ok()
}

/// The CRC-32 of a salt and these bytes.
pub(super) fn checksum(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// The free space that writes must leave on the disk, so that sled can always be opened and an operator can always act.
///
/// The smaller of the two limits counts. A percentage alone would reserve hundreds of gigabytes of a large disk, and a number
/// of bytes alone could reserve all of a small one.
#[derive(Clone, Debug)]
pub(super) struct DiskReserve {
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
    pub(super) percent: u64,
}

impl DiskReserve {
    /// `Full` if writing `bytes` more would leave less than the reserve.
    pub(super) fn check(&self, disk: &dyn Disk, bytes: u64) -> Result<()> {
        let space = disk.space(&self.folder).map_err(refused("ask for the free space at", &self.folder))?;
        let reserve = self.bytes.min(space.total / 100 * self.percent);
        if space.available < reserve.saturating_add(bytes) {
            return Err(EngineError::Full { available: space.available, reserve, path: self.folder.clone() });
        }
        Ok(())
    }

    /// The error for a write that the system refused because the disk is full, although the check of the reserve had passed.
    pub(super) fn exhausted(&self) -> EngineError {
        EngineError::Full { available: 0, reserve: self.bytes, path: self.folder.clone() }
    }
}

/// Maps an I/O error to the engine's error, and adds the operation and the path.
pub(super) fn refused(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    move |source| EngineError::Io { context: format!("cannot {doing} {}", path.display()), source }
}

/// Maps the error of a sync to the engine's error.
pub(super) fn sync_failed(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    move |source| EngineError::SyncFailed { path: path.to_path_buf(), source }
}

/// Whether the system says that the disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Converts a length or position of bytes that are in memory, or are read next, to `usize`.
#[allow(clippy::cast_possible_truncation, reason = "usize has 64 bits, which the assertion below checks")]
pub(super) const fn to_usize(bytes: u64) -> usize {
    const { assert!(usize::BITS >= u64::BITS, "the log addresses files by 64-bit positions") };
    bytes as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_keeps_one_whole_version_and_leaves_no_second_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("SMALL");
        assert_eq!(read_small(&LocalDisk, &path).unwrap(), None);
        fs::write(path.with_extension("new"), b"left by a crash").unwrap();
        for contents in [&b"first"[..], b"second, longer", b""] {
            replace_small(&LocalDisk, &path, contents).unwrap();
            assert_eq!(read_small(&LocalDisk, &path).unwrap().as_deref(), Some(contents));
        }
        assert_eq!(LocalDisk.list(folder.path()).unwrap(), ["SMALL"]);
    }

    #[test]
    fn folders_are_created_down_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        create_folders(&LocalDisk, &path).unwrap();
        create_folders(&LocalDisk, &path).unwrap();
        assert!(path.is_dir());
    }
}
