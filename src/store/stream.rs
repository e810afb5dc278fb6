//! What a server streams: the parts of the store that only it needs.

pub(crate) use super::{
    export::{Export, Piece},
    feed::{Delivery, Feed},
    selection::Selection,
};
