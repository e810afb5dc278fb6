use annals::{
    model::RecordKind,
    proto::{self, ChangeKind, mutation::Op, record::Record},
};

use crate::support::{get, seed, store};

#[test]
fn the_seed_is_one_revision_of_96_records_and_the_same_one_when_sent_again() {
    let store = store();
    let first = store.commit(seed()).unwrap();
    assert_eq!((first.revision, first.results.len(), first.replayed), (1, 96, false));
    assert!(first.results.iter().all(|result| result.kind() == ChangeKind::Created && result.revision == 1));
    let again = store.commit(seed()).unwrap();
    assert_eq!(again, proto::CommitResponse { replayed: true, ..first });
    let counts = store.info().unwrap().record_counts;
    let counts: Vec<_> = RecordKind::ALL.iter().map(|kind| counts[kind]).collect();
    assert_eq!(counts, [1, 21, 20, 30, 12, 12]);
}

#[test]
fn what_was_sent_is_what_is_read() {
    let store = store();
    store.commit(seed()).unwrap();
    for mutation in seed().mutations {
        let Some(Op::Create(proto::Record { record: Some(record) })) = mutation.op else { panic!("the seed creates") };
        if let Record::Actor(sent) = record {
            let read: proto::Actor = get(&store, &sent.name).unwrap();
            assert_eq!(read.revision, 1);
            assert_eq!(read.create_time, read.update_time);
            let names = read.names.clone();
            assert_eq!((read.display_name, names.len()), (sent.display_name, sent.names.len()));
        }
    }
}
