//! The calls that benchmarks measure.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use annals::proto::{GetRecordRequest, record::Record};
use prost::Message;

use crate::{load::Call, population::Population, records};

/// Gets a random event. All events are equally likely.
pub(crate) fn get(population: &Population) -> Call {
    let names = Arc::clone(&population.names);
    let request = move |rng: &mut fastrand::Rng| {
        let name = names[rng.usize(..names.len())].to_string();
        GetRecordRequest { name, ..GetRecordRequest::default() }.encode_to_vec().into()
    };
    Call { method: "/annals.v1.RecordService/GetEvent", request: Arc::new(request) }
}

/// Lists the events of a random actor.
pub(crate) fn list(events: u64) -> Call {
    let actors = records::actors(events);
    let request = move |rng: &mut fastrand::Rng| records::list(rng.u64(..actors)).encode_to_vec().into();
    Call { method: "/annals.v1.RecordService/ListEvents", request: Arc::new(request) }
}

/// Commits new events, `records` in each call.
pub(crate) fn commit(events: u64, records: u64) -> Call {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
    let actors = records::actors(events);
    let request = move |_: &mut fastrand::Rng| {
        let first = NEXT.fetch_add(records, Ordering::Relaxed);
        let new = (first..first + records).map(|number| Record::Event(records::event(number, actors)));
        records::commit(new).encode_to_vec().into()
    };
    Call { method: "/annals.v1.RecordService/Commit", request: Arc::new(request) }
}
