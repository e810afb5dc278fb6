//! Tests the limits of a page: its size, its bytes, its time, and the revision that all pages read.

use std::cell::Cell;

use bytes::Bytes;
use prost::Message as _;

use super::lists::{ask, at, events, ids_of, page, pages, put};
use crate::{
    model::RecordKind,
    proto::{self, ErrorReason, ListRecordsRequest},
    store::{
        StoreLimits,
        query::{list, token},
    },
};

#[test]
fn the_last_page_alone_has_no_token() {
    let state = events(10, |_, _| {});
    for (size, expected) in [(1, 10), (2, 5), (3, 4), (5, 2), (9, 2), (10, 1), (11, 1), (0, 1), (5000, 1)] {
        let request = ListRecordsRequest { page_size: size, ..ask("", "") };
        assert_eq!(
            pages(&state, RecordKind::Event, 1, &request, &StoreLimits::default()).unwrap().len(),
            expected,
            "page_size {size}"
        );
    }
    let nothing = pages(&state, RecordKind::Event, 0, &ask("", ""), &StoreLimits::default()).unwrap();
    assert_eq!(nothing, [Vec::<Bytes>::new()]);
}

#[test]
fn a_match_beyond_a_full_page_is_looked_for() {
    // The only other match is far away. There is a token either because of that match, or because the page reached its limit of
    // rows.
    let state = events(1000, |at, event| {
        event.title = if at == 0 || at == 900 { "match".into() } else { "x".into() };
    });
    let request = ListRecordsRequest { page_size: 1, ..ask("title = \"match\"", "") };
    let lengths = |limits: &StoreLimits| -> Vec<usize> {
        pages(&state, RecordKind::Event, 1, &request, limits).unwrap().iter().map(Vec::len).collect()
    };
    assert_eq!(lengths(&StoreLimits::default()), [1, 1]);
    assert_eq!(lengths(&StoreLimits { scan_rows: 300, ..StoreLimits::default() }), [1, 0, 0, 1]);
}

#[test]
fn page_size_is_positive_and_bounded() {
    let state = events(1500, |_, _| {});
    let size = |page_size| {
        page(&state, RecordKind::Event, 1, &ListRecordsRequest { page_size, ..ask("", "") }, &StoreLimits::default())
    };
    assert_eq!(size(0).unwrap().records.len(), 50);
    assert_eq!(size(i32::MAX).unwrap().records.len(), 1000);
    let error = size(-1).unwrap_err();
    assert_eq!(error.reason, ErrorReason::FieldInvalid);
    assert!(error.message.starts_with("page_size"), "{error}");
}

#[test]
fn a_page_closes_before_the_response_is_too_large() {
    let state = events(40, |_, event| event.description = "d".repeat(1000));
    let limits = StoreLimits { response_bytes: 10_000, ..StoreLimits::default() };
    let pages = pages(&state, RecordKind::Event, 1, &ask("", "title"), &limits).unwrap();
    assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), 40);
    for records in &pages {
        let response = proto::ListEventsResponse {
            events: records.iter().map(|record| proto::Event::decode(record.clone()).unwrap()).collect(),
            next_page_token: "x".repeat(200),
            revision: i64::MAX,
        };
        assert!(response.encoded_len() <= 10_000 && !records.is_empty(), "{}", response.encoded_len());
    }
    let tiny = StoreLimits { response_bytes: 1, ..StoreLimits::default() };
    assert_eq!(super::lists::pages(&state, RecordKind::Event, 1, &ask("", ""), &tiny).unwrap().len(), 40);
}

#[test]
fn a_page_closes_when_its_time_is_up_and_still_comes_further() {
    let state = events(100, |_, _| {});
    let mut request = ask("NOT title:*", "");
    let mut rounds = 0;
    loop {
        let token = token::decode(RecordKind::Event, &request).unwrap();
        let asked = Cell::new(0);
        let late = || {
            asked.set(asked.get() + 1);
            asked.get() > 9
        };
        let page = list(
            &state.view(1),
            RecordKind::Event,
            &request,
            token.as_ref().map(|token| &token.position),
            &StoreLimits::default(),
            &late,
        )
        .unwrap();
        assert!(page.records.is_empty());
        rounds += 1;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(rounds, 10);
    let always = list(&state.view(1), RecordKind::Event, &ask("", ""), None, &StoreLimits::default(), &|| true).unwrap();
    assert_eq!(always.records.len(), 1);
}

#[test]
fn pages_stay_at_the_revision_of_the_first() {
    let mut state = events(6, |at, event| event.time = Some(super::lists::at(i64::try_from(at).unwrap())));
    for order_by in ["", "time.earliest desc", "title"] {
        let first = page(
            &state,
            RecordKind::Event,
            1,
            &ListRecordsRequest { page_size: 3, ..ask("", order_by) },
            &StoreLimits::default(),
        )
        .unwrap();
        let changed =
            proto::Event { name: "events/e00004".into(), title: "a".into(), time: Some(at(99)), ..Default::default() };
        put(&mut state, 2, &changed);
        put(&mut state, 3, &proto::Event { name: "events/e00004x".into(), title: "a".into(), ..Default::default() });
        let request = ListRecordsRequest { page_size: 7, page_token: first.next_page_token, ..ask("", order_by) };
        let second = page(&state, RecordKind::Event, 3, &request, &StoreLimits::default()).unwrap();
        let mut all = [ids_of(&first.records), ids_of(&second.records)].concat();
        all.sort();
        assert_eq!(all, ["00000", "00001", "00002", "00003", "00004", "00005"], "{order_by}");
        assert_eq!(second.revision, 1);
    }
}
