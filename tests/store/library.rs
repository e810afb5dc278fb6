//! What a program that embeds the store reads: snapshots, watches and exports, without an async runtime.

use std::{thread, time::Duration};

use annals::{
    proto::{Actor, Event, ExportRequest, ListRecordsRequest, RecordType, WatchRequest, record::Record},
    store::{Caller, Store},
};

use crate::support::{self, commit, reason, store};

fn event(id: &str, title: &str) -> String {
    format!(r#"{{"create": {{"event": {{"name": "events/{id}", "title": "{title}"}}}}}}"#)
}

fn after(revision: i64) -> WatchRequest {
    WatchRequest { after_revision: Some(revision), ..Default::default() }
}

fn with_events(count: u32) -> Store {
    let store = store();
    for number in 0..count {
        commit(&store, &event(&format!("e{number:04}"), "Troops")).unwrap();
    }
    store
}

#[test]
fn a_watch_gives_every_commit_once_and_resumes_where_it_was() {
    let store = with_events(5);
    let mut watch = store.watch(&after(2)).unwrap();
    let revisions: Vec<_> = watch.by_ref().take(2).map(|commit| commit.unwrap().revision).collect();
    assert_eq!((revisions, watch.revision()), (vec![3, 4], 4));
    let mut resumed = store.watch(&after(watch.revision())).unwrap();
    assert_eq!(resumed.next().unwrap().unwrap().revision, 5);
    assert_eq!(resumed.next_timeout(Duration::from_millis(5)).unwrap(), None);
    let all = store.watch(&WatchRequest { stop_at_head: true, ..after(0) }).unwrap();
    assert_eq!(all.map(|commit| commit.unwrap().changes.len()).sum::<usize>(), 5);
}

#[test]
fn a_watch_waits_for_what_is_committed_later_and_selects_as_the_service_does() {
    let store = with_events(1);
    let request = WatchRequest { types: vec![RecordType::Event.into()], filter: "title = \"Ships\"".into(), ..after(0) };
    let mut watch = store.watch(&request).unwrap();
    let writer = store.clone();
    let writing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        commit(&writer, r#"{"create": {"actor": {"name": "actors/a", "display_name": "A"}}}"#).unwrap();
        commit(&writer, &event("ships", "Ships")).unwrap();
    });
    let commit = watch.next_timeout(Duration::from_mins(1)).unwrap().expect("a commit that matches");
    assert_eq!((commit.revision, commit.changes[0].name.as_str()), (3, "events/ships"));
    writing.join().unwrap();
    let initial = WatchRequest { initial_state: true, ..Default::default() };
    assert_eq!(reason(store.watch(&initial)), "FIELD_INVALID");
    assert_eq!(reason(store.watch(&after(-1))), "FIELD_INVALID");
    assert_eq!(reason(store.watch(&after(9))), "REVISION_IN_FUTURE");
}

#[test]
fn a_watch_whose_time_is_over_returns_among_commits_that_it_does_not_select_and_continues_there() {
    const COMMITS: i64 = 10_000;
    let store = store();
    // Fewer at once than the queue takes.
    for first in (0..COMMITS).step_by(1000) {
        let submit = |id: String| store.submit(&Caller::anonymous(), support::request(&id, &event(&id, "Troops")));
        let pending: Vec<_> = (first..first + 1000).map(|number| submit(number.to_string())).collect();
        for commit in pending {
            commit.wait().unwrap();
        }
    }
    let none = WatchRequest { types: vec![RecordType::Event.into()], filter: "title = \"Ships\"".into(), ..after(0) };
    let mut watch = store.watch(&WatchRequest { stop_at_head: true, ..none.clone() }).unwrap();
    for call in 1..=COMMITS {
        assert_eq!(watch.next_timeout(Duration::ZERO).unwrap(), None);
        assert_eq!(watch.revision(), call, "each call looks at one commit, and the next call at the next");
    }
    assert!(watch.next().is_none(), "all commits up to the head were looked at");

    let mut watch = store.watch(&none).unwrap();
    assert_eq!(watch.next_timeout(Duration::from_micros(1)).unwrap(), None);
    assert!(watch.revision() < COMMITS, "one call looked at all {COMMITS} commits");
    commit(&store, &event("ships", "Ships")).unwrap();
    let found = watch.next_timeout(Duration::from_mins(1)).unwrap().expect("time to look at all");
    assert_eq!((found.revision, watch.revision()), (COMMITS + 1, COMMITS + 1));
    assert_eq!(watch.next_timeout(Duration::ZERO).unwrap(), None);
}

#[test]
fn a_watch_ends_when_the_store_is_closed() {
    let store = with_events(2);
    let mut watch = store.watch(&after(0)).unwrap();
    let watching = thread::spawn(move || {
        let commits = watch.by_ref().take_while(Result::is_ok).count();
        (commits, watch.next().is_none(), reason(watch.next_timeout(Duration::from_mins(1))))
    });
    thread::sleep(Duration::from_millis(20));
    store.close().unwrap();
    assert_eq!(watching.join().unwrap(), (2, true, "SHUTTING_DOWN".to_owned()));
}

#[test]
fn an_export_is_every_record_at_its_revision_and_resumes_after_any() {
    let store = store();
    assert_eq!(store.export(&ExportRequest::default()).unwrap().count(), 0);
    store.commit(support::seed()).unwrap();
    let all = |request: &ExportRequest| store.export(request).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let request = ExportRequest { as_of_revision: 1, ..Default::default() };
    let whole = all(&request);
    let counted: u64 = store.info().unwrap().record_counts.values().sum();
    assert_eq!(whole.len() as u64, counted);
    commit(&store, &event("later", "Later")).unwrap();
    let mut export = store.export(&request).unwrap();
    for taken in 0..=whole.len() {
        let resumed = ExportRequest { resume_token: export.resume_token(), ..request.clone() };
        assert_eq!(all(&resumed), whole[taken..], "after {taken} records");
        assert_eq!(export.next().transpose().unwrap().as_ref(), whole.get(taken));
    }
    let claims = ExportRequest { types: vec![RecordType::Claim.into()], ..request };
    assert!(all(&claims).iter().all(|record| matches!(record.record, Some(Record::Claim(_)))));
}

#[test]
fn a_snapshot_reads_one_revision_whatever_is_committed_meanwhile() {
    let store = with_events(1200);
    let snapshot = store.at(1100).unwrap();
    commit(&store, &event("a-later-one", "Later")).unwrap();
    let names: Vec<_> = snapshot.list::<Event>(ListRecordsRequest::default()).map(|event| event.unwrap().name).collect();
    assert_eq!((snapshot.revision(), names.len()), (1100, 1100));
    assert!(names.is_sorted());
    let few = ListRecordsRequest { page_size: 7, order_by: "name desc".into(), ..Default::default() };
    let page = snapshot.page::<Event>(&few).unwrap();
    let next = ListRecordsRequest { page_token: page.next_page_token, ..few };
    let backwards: Vec<_> =
        page.records.into_iter().chain(snapshot.page(&next).unwrap().records).map(|event| event.name).collect();
    assert!(backwards.iter().eq(names.iter().rev().take(14)));

    assert_eq!(snapshot.get::<Event>("events/e1099").unwrap().title, "Troops");
    assert_eq!(reason(snapshot.get::<Event>("events/e1100")), "RECORD_NOT_FOUND");
    assert_eq!(reason(snapshot.get::<Actor>("events/e0000")), "FIELD_INVALID");
    let batch = snapshot.batch_get(["events/e0001", "events/e1100"]).unwrap();
    assert_eq!(batch.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    let elsewhere = ListRecordsRequest { as_of_revision: 5, ..Default::default() };
    assert_eq!(reason(snapshot.page::<Event>(&elsewhere)), "FIELD_INVALID");
    let mut wrong = snapshot.list::<Event>(ListRecordsRequest { filter: "?".into(), ..Default::default() });
    assert!(wrong.next().is_some_and(|first| first.is_err()) && wrong.next().is_none());

    let time = store.get_commit(1100).unwrap().commit_time.unwrap();
    assert_eq!(store.at_time(time).unwrap().revision(), 1100);
    assert_eq!(reason(store.at(5000)), "REVISION_IN_FUTURE");
    assert_eq!(store.at(0).unwrap().revision(), 1201);
}

#[test]
fn a_snapshot_of_now_can_be_taken_in_an_async_task() {
    let store = with_events(2);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let snapshot = runtime.block_on(async { store.at_time(std::time::SystemTime::now().into()) });
    assert_eq!(snapshot.unwrap().revision(), 2);
}

#[test]
fn the_referrers_of_a_record_are_found_under_all_its_names_and_as_they_were() {
    let store = store();
    let actor = |id: &str| format!(r#"{{"create": {{"actor": {{"name": "actors/{id}", "display_name": "A"}}}}}}"#);
    commit(&store, &format!("{}, {}", actor("a"), actor("b"))).unwrap();
    let with = |id: &str, actor: &str| {
        format!(
            r#"{{"create": {{"event": {{"name": "events/{id}", "title": "T", "participants": [{{"actor": "actors/{actor}"}},
            {{"associated_with": "actors/{actor}"}}]}}}}}}"#
        )
    };
    for number in 0..100 {
        commit(&store, &with(&format!("e{number:03}"), if number % 2 == 0 { "a" } else { "b" })).unwrap();
    }
    let before = store.at(0).unwrap();
    commit(&store, r#"{"merge": {"name": "actors/b", "into": "actors/a"}}, {"delete": {"name": "events/e000"}}"#).unwrap();
    let names = |snapshot: &annals::store::StoreSnapshot, name| {
        snapshot.references(name).unwrap().map(|name| name.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!((names(&before, "actors/a").len(), names(&before, "actors/b").len()), (50, 50));
    let now = store.at(0).unwrap();
    let mut referrers = names(&now, "actors/a");
    referrers.sort();
    assert_eq!(referrers.len(), 99);
    referrers.dedup();
    assert_eq!((referrers.len(), referrers.contains(&"events/e000".to_owned())), (99, false));
    assert_eq!(names(&now, "events/e001"), Vec::<String>::new());
    assert_eq!(reason(now.references("actors/none")), "RECORD_NOT_FOUND");
}
