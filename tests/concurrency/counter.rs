//! A counter that many clients increment with `if_revision`: no increment is lost, none is made twice.

use std::{collections::BTreeMap, time::Duration};

use annals::{
    proto::{self, CommitRequest, GetRecordRequest, Mutation, mutation::Op},
    rpc::ServerOptions,
};
use fastrand::Rng;
use tonic::Code;

use crate::{
    clients, create, event, rng,
    server::{Client, Server, reason},
    support,
};

const CLIENTS: usize = 64;
const INCREMENTS: u32 = 200;
const COUNTER: &str = "events/counter";

/// The counter's revision and value.
async fn read(client: &mut Client) -> (i64, f64) {
    let request = GetRecordRequest { name: COUNTER.into(), ..Default::default() };
    let event = client.get_event(request).await.expect("there").into_inner();
    (event.revision, event.metrics.get("count").copied().unwrap_or_default())
}

/// Increments one after another, each based on the value last read or written. Returns how often another client was faster.
async fn increment(mut client: Client, number: usize, mut rng: Rng) -> u32 {
    let (mut retries, mut patience) = (0, 0_u32);
    let (mut revision, mut value) = read(&mut client).await;
    let mut made = 0;
    while made < INCREMENTS {
        let counter = proto::Event {
            name: COUNTER.into(),
            metrics: BTreeMap::from([("count".to_owned(), value + 1.0)]),
            ..Default::default()
        };
        let update =
            proto::Update { record: Some(counter.into()), update_fields: vec!["metrics".into()], if_revision: revision };
        let request = CommitRequest {
            request_id: format!("c{number}-{made}-{retries}"),
            mutations: vec![Mutation { label: String::new(), op: Some(Op::Update(update)) }],
            ..Default::default()
        };
        match client.commit(request).await {
            Ok(response) => {
                (revision, value) = (response.into_inner().revision, value + 1.0);
                (made, patience) = (made + 1, patience.saturating_sub(1));
            }
            Err(status) => {
                assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "REVISION_MISMATCH"));
                retries += 1;
                patience = (patience + 1).min(8);
                // Reads first after a refusal. Without that, most of the time goes into attempts that are too late.
                tokio::time::sleep(Duration::from_micros(rng.u64(0..4_000 << patience))).await;
                (revision, value) = read(&mut client).await;
            }
        }
    }
    retries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_of_64_clients_is_lost_or_made_twice() {
    let mut rng = rng();
    let server = Server::start_on(support::store(), ServerOptions::default()).await;
    let connections = clients(&server, 4).await;
    let mut first = connections[0].clone();
    create(&mut first, "counter", [event(COUNTER, "counter")]).await;
    let tasks: Vec<_> =
        (0..CLIENTS).map(|number| tokio::spawn(increment(connections[number % 4].clone(), number, rng.fork()))).collect();
    let mut retries = 0;
    for task in tasks {
        retries += task.await.expect("no failure");
    }
    println!("{retries} retries");
    assert!(retries > 0, "nobody was ever in another's way");
    let expected = u32::try_from(CLIENTS).expect("small") * INCREMENTS;
    assert_eq!(read(&mut first).await, (i64::from(expected) + 1, f64::from(expected)));
    server.stop().await;
}
