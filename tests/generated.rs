//! The Rust code of the contract, in `proto/generated`, is what `proto/annals/v1` compiles to.
//!
//! It is generated here and kept in the repository, so that a build compiles neither a protobuf compiler nor a code generator.
//! After a change of the contract: `ANNALS_UPDATE=1 cargo test --test generated`.
#![allow(missing_docs)]

use std::{collections::BTreeMap, fs, path::Path};

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use protox::{Compiler, prost::Message as _};
use tonic_build::manual;

const FILES: [&str; 5] = [
    "annals/v1/values.proto",
    "annals/v1/records.proto",
    "annals/v1/record_service.proto",
    "annals/v1/admin_service.proto",
    "annals/v1/errors.proto",
];

#[test]
fn the_generated_code_is_that_of_the_contract() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/generated");
    for (name, bytes) in generate() {
        let path = folder.join(&name);
        if std::env::var_os("ANNALS_UPDATE").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        } else {
            let kept = fs::read(&path).unwrap_or_default();
            assert!(kept == bytes, "{name} is stale: run this test with ANNALS_UPDATE=1");
        }
    }
}

/// Every generated file by name.
fn generate() -> BTreeMap<String, Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = Compiler::new([root.join("proto"), root.join("proto/third_party")]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_files(FILES).unwrap();
    // `encode_file_descriptor_set` keeps custom options such as `resource_reference`; `file_descriptor_set` drops them.
    let encoded = compiler.encode_file_descriptor_set();
    let mut files = messages(&encoded);
    let pool = DescriptorPool::decode(encoded.as_slice()).unwrap();
    files.insert("servers.rs".to_owned(), servers(&pool));
    files.insert("types.rs".to_owned(), types(&pool).into_bytes());
    files.insert("descriptors.bin".to_owned(), encoded);
    files
}

/// The messages of each package, and the client that both features use.
fn messages(encoded: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let files = protox::prost_reflect::prost_types::FileDescriptorSet::decode(encoded).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut config = prost_build::Config::new();
    // Ordered maps: a record has one encoding, which content hashes and byte comparisons rely on.
    config.btree_map(["."]).bytes([".annals.v1.BackupResponse.chunk"]).enable_type_names();
    tonic_prost_build::configure()
        .build_server(false)
        .client_mod_attribute(".", r#"#[cfg(any(feature = "client", feature = "server"))]"#)
        .out_dir(out.path())
        .compile_fds_with_config(files, config)
        .unwrap();
    read_folder(out.path())
}

/// The server side of the services, generated apart from the client's.
fn servers(pool: &DescriptorPool) -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    let services = pool.services().filter(|service| service.package_name() == "annals.v1");
    let services: Vec<_> = services.map(|service| server_of(pool, &service)).collect();
    manual::Builder::new().build_client(false).out_dir(out.path()).compile(&services);
    // A file for each service, in the order of their names.
    read_folder(out.path()).into_values().flatten().collect()
}

/// The types of record, as a macro that calls another with their list.
fn types(pool: &DescriptorPool) -> String {
    let resource = pool.get_extension_by_name("google.api.resource").unwrap();
    let record = pool.get_message_by_name("annals.v1.Record").unwrap();
    let rows = record.fields().map(|field| {
        let Kind::Message(message) = field.kind() else { panic!("{} is no record", field.name()) };
        let options = message.options();
        let option = options.get_extension(&resource);
        let text = |name| option.as_message().unwrap().get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        let (singular, collection) = (text("singular"), text("plural"));
        format!("            {} = {}, \"{singular}\", \"{collection}\";\n", message.name(), field.number())
    });
    let rows: String = rows.collect();
    format!(
        "// This file is generated.\n\
        /// Calls a macro with every type of record: its message, its number in `Record` and `RecordType`, one of it, and its \
        collection.\n\
        macro_rules! record_types {{\n    ($call:ident) => {{\n        $call! {{\n{rows}        }}\n    }};\n}}\n"
    )
}

fn read_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// The server side of one service. What it answers with records is bytes that were encoded when they were committed, so its
/// trait returns `Encoded` there and nothing is decoded. What it is asked arrives as `Received`, so that size and form are
/// checked by our own rules and refused with our own errors.
fn server_of(pool: &DescriptorPool, service: &ServiceDescriptor) -> manual::Service {
    let method = |method: MethodDescriptor| {
        let output =
            if holds_records(pool, &method.output()) { "crate::rpc::Encoded".to_owned() } else { rust_path(&method.output()) };
        let mut generated = manual::Method::builder()
            .name(snake_case(method.name()))
            .route_name(method.name())
            .input_type(format!("crate::rpc::Received<{}>", rust_path(&method.input())))
            .output_type(output)
            .codec_path("crate::rpc::Codec");
        if method.is_client_streaming() {
            generated = generated.client_streaming();
        }
        if method.is_server_streaming() {
            generated = generated.server_streaming();
        }
        generated.build()
    };
    let builder = manual::Service::builder().name(service.name()).package(service.package_name());
    service.methods().map(method).fold(builder, manual::ServiceBuilder::method).build()
}

/// Whether a message is a record, which the contract says by `google.api.resource`, or holds one at any depth.
fn holds_records(pool: &DescriptorPool, message: &MessageDescriptor) -> bool {
    let resource = pool.get_extension_by_name("google.api.resource").unwrap();
    message.options().has_extension(&resource)
        || message.fields().any(|field| match field.kind() {
            Kind::Message(inner) => inner.package_name() == "annals.v1" && holds_records(pool, &inner),
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
