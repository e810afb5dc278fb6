//! The contract as Rust types: the code compiled from `proto/annals/v1`, and its descriptors.
//!
//! `build.rs` generates the code. Knows the messages. Must not know what any message means: the rules are in [`crate::model`].

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

pub use generated::annals::v1::*;
pub use generated::google;

include!(concat!(env!("OUT_DIR"), "/record_types.rs"));
pub(crate) use record_types;

#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, rustdoc::all)]
mod generated {
    pub mod annals {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/annals.v1.rs"));
        }
    }
    /// Google's messages that the contract uses.
    pub mod google {
        pub mod rpc {
            include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
        }
    }
}

/// The encoded `FileDescriptorSet` of the contract and everything it imports, with comments and custom options.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/annals.v1.descriptors.bin"));

/// The descriptors of the contract, decoded once.
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("build.rs wrote a valid descriptor set"));
    &POOL
}
