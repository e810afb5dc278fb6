//! The server describes itself, with comments, to old tools and new ones.

use annals::proto;
use prost::Message;
use prost_types::FileDescriptorProto;
use tonic_reflection::pb::{v1, v1alpha};

use super::server::Server;

const SERVICES: [&str; 5] = [
    "annals.v1.AdminService",
    "annals.v1.RecordService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Calls one version of the service. The two versions differ only in their package.
macro_rules! ask {
    ($version:ident, $server:expr, $request:expr) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let ask: fn(String) -> MessageRequest = $request;
        let request =
            move |text: &str| ServerReflectionRequest { host: String::new(), message_request: Some(ask(text.to_owned())) };
        let client = ServerReflectionClient::new($server.channel().await);
        move |text: &'static str| {
            let requests = tokio_stream::once(request(text));
            let mut client = client.clone();
            async move {
                let mut answers = client.server_reflection_info(requests).await.expect("an answer").into_inner();
                let answer = answers.message().await.expect("an answer").expect("one answer");
                match answer.message_response.expect("set") {
                    MessageResponse::ListServicesResponse(list) => {
                        list.service.into_iter().map(|s| s.name.into_bytes()).collect()
                    }
                    MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto,
                    other => panic!("{other:?}"),
                }
            }
        }
    }};
}

fn texts(bytes: Vec<Vec<u8>>) -> Vec<String> {
    let mut texts: Vec<_> = bytes.into_iter().map(|text| String::from_utf8(text).expect("a name")).collect();
    texts.sort();
    texts
}

/// Whether a file with this message or service contains comments.
fn commented(files: Vec<Vec<u8>>, comment: &str) -> bool {
    files.into_iter().any(|bytes| {
        let file = FileDescriptorProto::decode(bytes.as_slice()).expect("a file");
        file.source_code_info.is_some_and(|info| info.location.iter().any(|l| l.leading_comments().contains(comment)))
    })
}

#[tokio::test]
async fn both_versions_list_every_service_and_describe_ours_with_comments_and_error_details() {
    let server = Server::start().await;
    let list = ask!(v1, server, MessageRequest::ListServices);
    assert_eq!(texts(list("").await), SERVICES);
    let describe = ask!(v1, server, MessageRequest::FileContainingSymbol);
    assert!(commented(describe("annals.v1.RecordService").await, "One shared record of reported events"));
    assert!(!describe("google.rpc.ErrorInfo").await.is_empty());
    assert!(!describe("grpc.health.v1.Health").await.is_empty());

    let list = ask!(v1alpha, server, MessageRequest::ListServices);
    assert_eq!(texts(list("").await), SERVICES);
    let describe = ask!(v1alpha, server, MessageRequest::FileContainingSymbol);
    assert!(commented(describe("annals.v1.RecordService").await, "One shared record of reported events"));
    assert!(!describe("google.rpc.ErrorInfo").await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn options_of_fields_are_described_too() {
    let server = Server::start().await;
    let describe = ask!(v1, server, MessageRequest::FileContainingSymbol);
    let files: Vec<Vec<u8>> = describe("annals.v1.Event").await;
    let mut pool = prost_reflect::DescriptorPool::decode(proto::DESCRIPTORS).expect("ours");
    // The same file as received over the wire. It differs from ours if the options were lost.
    for file in files {
        pool.decode_file_descriptor_proto(file.as_slice()).expect("the same file");
    }
    server.stop().await;
}
