//! Lists: filter, order, plan, pages.
use super::{Limits, Page, Result, view::View};
use crate::{model::Kind, proto};
pub(crate) struct Position {
    pub(crate) revision: u64,
}
pub(crate) mod token {
    use super::*;
    pub(crate) fn decode(_t: &str, _k: Kind, _r: &proto::ListRecordsRequest) -> Result<Position> {
        todo!()
    }
    pub(crate) fn decode_revision(_t: &str, _n: &str) -> Result<u64> {
        todo!()
    }
    pub(crate) fn encode_revision(_r: u64, _n: &str) -> String {
        todo!()
    }
}
pub(crate) fn list(
    _v: &View<'_>,
    _k: Kind,
    _r: &proto::ListRecordsRequest,
    _p: Option<&Position>,
    _l: &Limits,
    _late: &dyn Fn() -> bool,
) -> Result<Page> {
    todo!()
}
pub(crate) fn explain(_v: &View<'_>, _k: Kind, _r: &proto::ListRecordsRequest, _l: &Limits) -> Result<String> {
    todo!()
}
