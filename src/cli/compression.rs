//! Compressed files, by their names.
//!
//! Knows gzip and zstd. Must not know what is in a file.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use flate2::{read::MultiGzDecoder, write::GzEncoder};

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// What a name ending in `.gz` or `.zst` says.
    pub(super) fn of(file: &Path) -> Self {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The content of a file. Several streams one behind the other are one content.
    pub(super) fn reader(self, from: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(from),
            Self::Gzip => Box::new(MultiGzDecoder::new(from)),
            Self::Zstd => Box::new(zstd::Decoder::new(from)?),
        })
    }

    /// One stream of compressed content, which stands in a file behind others.
    pub(super) fn compress(self, content: &[u8], to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::None => to.write_all(content),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(to, flate2::Compression::default());
                encoder.write_all(content)?;
                encoder.finish().map(|_| ())
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.write_all(content)?;
                encoder.finish().map(|_| ())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_one_behind_the_other_are_read_as_one_content() {
        for (name, magic) in [("a.json", &b"on"[..]), ("a.json.gz", &[0x1f, 0x8b]), ("a.zst", &[0x28, 0xb5, 0x2f, 0xfd])] {
            let compression = Compression::of(Path::new(name));
            let mut file = Vec::new();
            for content in ["one\n", "two\n"] {
                compression.compress(content.as_bytes(), &mut file).expect("written");
            }
            assert!(file.starts_with(magic), "{name}");
            let mut text = String::new();
            compression.reader(io::Cursor::new(file)).and_then(|mut from| from.read_to_string(&mut text)).expect("text");
            assert_eq!(text, "one\ntwo\n", "{name}");
        }
    }
}
