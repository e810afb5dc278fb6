//! What a server streams: the parts of the store that only it needs.
//!
//! Must not know how a stream reaches its client.

pub(crate) use super::{
    change_stream::{ChangeStream, CommittedChange},
    export::{Export, ExportChunk},
    selection::Selection,
};
