//! Health says whether calls are worth sending.

use annals::rpc::ServerOptions;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::server::Server;

#[tokio::test]
async fn each_service_is_serving_once_the_store_is_and_an_unknown_one_is_not_found() {
    let server = Server::start().await;
    let mut client = HealthClient::new(server.channel().await);
    for service in ["", "annals.v1.RecordService", "annals.v1.AdminService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        loop {
            let status = client.check(request.clone()).await.expect("known").into_inner().status();
            if status == ServingStatus::Serving {
                break;
            }
            assert_eq!(status, ServingStatus::NotServing);
            tokio::task::yield_now().await;
        }
    }
    let unknown = client.check(HealthCheckRequest { service: "nope".to_owned() }).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn who_watches_learns_that_the_server_stops_before_it_does() {
    let options = ServerOptions { drain_time_max: std::time::Duration::from_millis(500), ..ServerOptions::default() };
    let mut server = Server::start_with(options).await;
    let mut client = HealthClient::new(server.channel().await);
    let mut seen = client.watch(HealthCheckRequest::default()).await.expect("known").into_inner();
    let mut last = ServingStatus::Unknown;
    while let Ok(Some(answer)) = seen.message().await {
        let status = answer.status();
        if status == ServingStatus::Serving {
            server.tell_to_stop();
        }
        last = status;
    }
    assert_eq!(last, ServingStatus::NotServing);
    server.stopped().await;
}
