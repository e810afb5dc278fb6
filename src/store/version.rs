//! A version of a record as the state stores it: a record, a tombstone or a redirect.
//!
//! A long version is cut into chunks. Its value holds the first chunk and the number of the others, which the keys `rest` hold.
//! The others are written before the value and never change, so a reader of the value always finds them.
//!
//! Knows the bytes of a value. Must not know what makes versions, or who reads them.

use bytes::Bytes;

use super::keys;
use crate::{
    engine::VALUE_BYTES_MAX,
    model::{RecordKind, wire},
    proto::ChangeKind,
};

/// Most bytes of a record in one value of the state: the longest value of the engine, less the room for numbers and the name of
/// a redirect's target.
pub(crate) const CHUNK_BYTES_MAX: usize = VALUE_BYTES_MAX - 256;

/// A version of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The commit that made it.
    pub(crate) revision: u64,
    /// What that commit did to the record.
    pub(crate) change: ChangeKind,
    /// The name of the record that it was merged into. Set if and only if `change` is `Merged`.
    pub(crate) redirect: Option<String>,
    /// The bytes of the record, as Get answers them. For a tombstone or a redirect, the last state of the record. Empty if
    /// erased.
    pub(crate) record: Bytes,
}

impl Version {
    /// Whether the record exists: it is no tombstone, no redirect and not erased.
    pub(crate) fn is_live(&self) -> bool {
        is_live(self.change)
    }

    /// The value, and the keys `rest` with their values.
    pub(crate) fn encode(&self, kind: RecordKind, id: &str) -> (Bytes, Vec<(Vec<u8>, Bytes)>) {
        let inline = self.record.len().min(CHUNK_BYTES_MAX);
        let rest: Vec<_> = self
            .record
            .slice(inline..)
            .chunks(CHUNK_BYTES_MAX)
            .zip(1..)
            .map(|(chunk, number)| (keys::rest(kind, id, self.revision, number), self.record.slice_ref(chunk)))
            .collect();
        let mut value = Vec::with_capacity(inline + 16);
        value.push(u8::try_from(i32::from(self.change)).expect("change kinds are a handful"));
        wire::put_varint(self.revision, &mut value);
        wire::put_varint(rest.len() as u64, &mut value);
        let redirect = self.redirect.as_deref().unwrap_or_default();
        wire::put_varint(redirect.len() as u64, &mut value);
        value.extend_from_slice(redirect.as_bytes());
        value.extend_from_slice(&self.record[..inline]);
        (value.into(), rest)
    }
}

fn is_live(change: ChangeKind) -> bool {
    matches!(change, ChangeKind::Created | ChangeKind::Updated | ChangeKind::Undeleted | ChangeKind::Unmerged)
}

/// A decoded value of the state, in which the record may lack its further chunks.
#[derive(Clone, Debug)]
pub(crate) struct VersionHead {
    /// The commit that made it.
    pub(crate) revision: u64,
    change: ChangeKind,
    rest: u64,
    redirect: Option<String>,
    inline: Bytes,
}

impl VersionHead {
    /// Decodes a value. `None` if it is damaged.
    pub(crate) fn decode(value: &Bytes) -> Option<Self> {
        let (change, bytes) = value.split_first()?;
        let change = ChangeKind::try_from(i32::from(*change)).ok()?;
        let (revision, bytes) = wire::varint(bytes)?;
        let (rest, bytes) = wire::varint(bytes)?;
        let (length, bytes) = wire::varint(bytes)?;
        let (redirect, bytes) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
        let redirect = match redirect {
            [] => None,
            name => Some(std::str::from_utf8(name).ok()?.to_owned()),
        };
        Some(Self { revision, change, rest, redirect, inline: value.slice_ref(bytes) })
    }

    /// Whether the record exists: it is no tombstone, no redirect and not erased.
    pub(crate) fn is_live(&self) -> bool {
        is_live(self.change)
    }

    /// Whether this is a tombstone.
    pub(crate) fn is_deleted(&self) -> bool {
        self.change == ChangeKind::Deleted
    }

    /// The name of the record that it was merged into.
    pub(crate) fn redirect(&self) -> Option<&str> {
        self.redirect.as_deref()
    }

    /// The keys of the further chunks, in order. Most versions have none.
    pub(crate) fn rest_keys(&self, kind: RecordKind, id: &str) -> Vec<Vec<u8>> {
        (1..=self.rest).map(|number| keys::rest(kind, id, self.revision, number)).collect()
    }

    /// The whole version. `chunks` are the values of [`Self::rest_keys`].
    pub(crate) fn join(self, chunks: &[Bytes]) -> Version {
        let record = if chunks.is_empty() {
            self.inline
        } else {
            let mut whole = self.inline.to_vec();
            for chunk in chunks {
                whole.extend_from_slice(chunk);
            }
            whole.into()
        };
        Version { revision: self.revision, change: self.change, redirect: self.redirect, record }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: usize, redirect: Option<&str>) {
        let version = Version {
            revision: 300,
            change: ChangeKind::Merged,
            redirect: redirect.map(str::to_owned),
            record: (0..=250).cycle().take(bytes).collect::<Vec<u8>>().into(),
        };
        let (value, rest) = version.encode(RecordKind::Event, "e");
        assert!(rest.iter().all(|(_, chunk)| chunk.len() <= CHUNK_BYTES_MAX));
        let head = VersionHead::decode(&value).unwrap();
        assert_eq!(head.rest_keys(RecordKind::Event, "e"), rest.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>());
        let chunks: Vec<_> = rest.into_iter().map(|(_, chunk)| chunk).collect();
        assert_eq!(head.join(&chunks), version);
    }

    #[test]
    fn a_version_of_any_length_is_read_as_it_was_written() {
        for bytes in [0, 1, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 1, 3 * CHUNK_BYTES_MAX, 256 * 1024] {
            check(bytes, None);
            check(bytes, Some("events/other"));
        }
    }

    #[test]
    fn a_damaged_value_is_noticed_and_never_a_panic() {
        for value in [&[][..], &[99], &[2], &[2, 0x80], &[2, 1, 0, 9, b'a']] {
            assert!(VersionHead::decode(&Bytes::copy_from_slice(value)).is_none(), "{value:?}");
        }
    }
}
