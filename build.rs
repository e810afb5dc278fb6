//! Compiles `proto/annals/v1` with protox, so that nobody has to install protoc.
//!
//! Out of one compilation come the messages (prost), the generated client (tonic, with feature `client` or `server`), the
//! server's trait (with feature `server`), and the descriptor set with comments and options that reflection, JSON and the
//! filter's schema are read from.

use std::{error::Error, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, MessageDescriptor, ServiceDescriptor};
use protox::{Compiler, prost::Message as _};
use tonic_build::manual;

const FILES: [&str; 5] = [
    "annals/v1/values.proto",
    "annals/v1/records.proto",
    "annals/v1/record_service.proto",
    "annals/v1/admin_service.proto",
    "annals/v1/errors.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = Compiler::new(["proto", "proto/third_party"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // `encode_file_descriptor_set` keeps custom options such as `resource_reference`; `file_descriptor_set` drops them.
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("annals.v1.descriptors.bin"), &encoded)?;
    let files = protox::prost_reflect::prost_types::FileDescriptorSet::decode(encoded.as_slice())?;
    let has = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();

    let mut messages = prost_build::Config::new();
    // Ordered maps: a record has one encoding, which content hashes and byte comparisons rely on.
    messages.btree_map(["."]).bytes([".annals.v1.BackupResponse.chunk"]).enable_type_names();
    if has("CLIENT") || has("SERVER") {
        tonic_prost_build::configure().build_server(false).compile_fds_with_config(files, messages)?;
    } else {
        messages.compile_fds(files)?;
    }
    if has("SERVER") {
        let pool = DescriptorPool::decode(encoded.as_slice())?;
        let services: Vec<_> = pool.services().filter(|s| s.package_name() == "annals.v1").map(|s| server_of(&s)).collect();
        let servers = out.join("servers");
        fs::create_dir_all(&servers)?;
        manual::Builder::new().build_client(false).out_dir(&servers).compile(&services);
    }
    Ok(())
}

/// The server side of one service, generated apart from the client's. What it answers with records is bytes that were encoded
/// when they were committed, so its trait returns `Encoded` there and nothing is decoded on the way out. What it is asked
/// arrives as `Received`, so that size and form are checked by our own rules and refused with our own errors.
fn server_of(service: &ServiceDescriptor) -> manual::Service {
    service
        .methods()
        .fold(manual::Service::builder().name(service.name()).package(service.package_name()), |builder, method| {
            let mut generated = manual::Method::builder()
                .name(snake_case(method.name()))
                .route_name(method.name())
                .input_type(format!("crate::rpc::Received<{}>", rust_path(&method.input())))
                .output_type(if carries_records(&method.output()) {
                    "crate::rpc::Encoded".to_owned()
                } else {
                    rust_path(&method.output())
                })
                .codec_path("crate::rpc::Codec");
            if method.is_client_streaming() {
                generated = generated.client_streaming();
            }
            if method.is_server_streaming() {
                generated = generated.server_streaming();
            }
            builder.method(generated.build())
        })
        .build()
}

/// Whether a message is a record or holds records (`Change` and `RecordBatch` included).
fn carries_records(message: &MessageDescriptor) -> bool {
    const RECORDS: [&str; 6] = ["Source", "Actor", "Event", "Claim", "Estimate", "Relation"];
    RECORDS.contains(&message.name())
        || message.fields().any(|field| match field.kind() {
            prost_reflect::Kind::Message(inner) => inner.package_name() == "annals.v1" && carries_records(&inner),
            _ => false,
        })
}

fn rust_path(message: &MessageDescriptor) -> String {
    format!("crate::proto::{}", message.name())
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
