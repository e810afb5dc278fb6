//! The same service without a network.

use annals::{
    proto::{GetRecordRequest, record_service_client::RecordServiceClient},
    rpc,
};
use tonic::Code;

use super::{server::reason, support};

#[tokio::test]
async fn a_client_in_the_process_reads_and_writes_as_over_the_network() {
    let store = support::store();
    let channel = rpc::in_process(store.clone()).await.expect("a channel");
    let mut client = RecordServiceClient::new(channel);
    client.commit(support::request("r1", &support::event("e1", ""))).await.expect("committed");
    let get = |name: &str| GetRecordRequest { name: name.to_owned(), ..Default::default() };
    assert_eq!(client.get_event(get("events/e1")).await.expect("there").into_inner().title, "e1");
    let status = client.get_event(get("events/e2")).await.expect_err("not there");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "RECORD_NOT_FOUND"));

    drop(client);
    let info = tokio::task::spawn_blocking(move || store.info()).await.expect("joined").expect("the store is open still");
    assert_eq!(info.head_revision, 1);
}
