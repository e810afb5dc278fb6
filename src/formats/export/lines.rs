//! Records in proto3 JSON, one a line: everything, in the contract's own words.

use super::Text;
use crate::{formats::json, proto::record::Record};

/// A record a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Text for Lines {
    fn head(&self, _revision: i64, _to: &mut Vec<u8>) {}

    fn record(&self, record: &Record, to: &mut Vec<u8>) {
        to.extend_from_slice(json::record_value(record).to_string().as_bytes());
        to.push(b'\n');
    }

    fn tail(&self, _to: &mut Vec<u8>) {}
}
