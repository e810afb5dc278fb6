//! Serves gRPC in the same process, over a pipe and without a port, for example to test a client.
//!
//! ```text
//! cargo run --example in_process
//! ```

use annals::{
    proto::{Actor, CommitRequest, GetRecordRequest, Mutation, record_service_client::RecordServiceClient},
    rpc,
    store::Store,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory()?;
    let mut client = RecordServiceClient::new(rpc::in_process(store.clone()).await?);

    let nis = Actor { name: "actors/nis".into(), display_name: "NIS".into(), ..Default::default() };
    let answer = client.commit(CommitRequest::of("first", [Mutation::create(nis)])).await?.into_inner();
    println!("revision {}", answer.revision);

    let request = GetRecordRequest { name: "actors/nis".into(), ..Default::default() };
    println!("{}", client.get_actor(request).await?.into_inner().display_name);
    let request = GetRecordRequest { name: "actors/nobody".into(), ..Default::default() };
    if let Err(status) = client.get_actor(request).await {
        println!("{:?}: {}", status.code(), status.message());
    }

    // A channel does not own the store.
    drop(client);
    tokio::task::spawn_blocking(move || store.close()).await??;
    Ok(())
}
