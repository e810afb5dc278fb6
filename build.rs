//! Compiles `proto/annals/v1` with protox, so that nobody has to install protoc.
//!
//! One compilation makes the messages (prost), the list of record types, and the descriptor set with comments and options,
//! which reflection, JSON and the schema of filters use. Feature `client` or `server` adds the client (tonic), and `server`
//! also adds the trait of the server. Without these features, no part of tonic is compiled.

use std::{error::Error, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, ExtensionDescriptor, Kind};
#[cfg(feature = "server")]
use prost_reflect::{MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use protox::{Compiler, prost::Message as _};
#[cfg(feature = "server")]
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
    let pool = DescriptorPool::decode(encoded.as_slice())?;
    fs::write(out.join("record_types.rs"), record_types(&pool))?;

    let files = protox::prost_reflect::prost_types::FileDescriptorSet::decode(encoded.as_slice())?;
    let mut messages = prost_build::Config::new();
    // Ordered maps give a record a single encoding. Content hashes and byte comparisons rely on it.
    messages.btree_map(["."]).bytes([".annals.v1.BackupResponse.chunk"]).enable_type_names();
    #[cfg(any(feature = "client", feature = "server"))]
    tonic_prost_build::configure().build_server(false).compile_fds_with_config(files, messages)?;
    #[cfg(not(any(feature = "client", feature = "server")))]
    messages.compile_fds(files)?;

    #[cfg(feature = "server")]
    {
        let services = pool.services().filter(|service| service.package_name() == "annals.v1");
        let services: Vec<_> = services.map(|service| server_of(&pool, &service)).collect();
        let servers = out.join("servers");
        fs::create_dir_all(&servers)?;
        manual::Builder::new().build_client(false).out_dir(&servers).compile(&services);
    }
    Ok(())
}

/// The option by which the contract says that a message is a record.
fn resource_option(pool: &DescriptorPool) -> ExtensionDescriptor {
    pool.get_extension_by_name("google.api.resource").expect("the contract imports google/api/resource.proto")
}

/// A macro that calls another macro with the list of record types.
fn record_types(pool: &DescriptorPool) -> String {
    let resource = resource_option(pool);
    let record = pool.get_message_by_name("annals.v1.Record").expect("the contract has `Record`");
    let rows = record.fields().map(|field| {
        let Kind::Message(message) = field.kind() else { panic!("{} is no record", field.name()) };
        let options = message.options();
        let option = options.get_extension(&resource);
        let text = |name| {
            let value = option.as_message().and_then(|option| option.get_field_by_name(name));
            value
                .and_then(|value| value.as_str().map(str::to_owned))
                .expect("every record has its names in `google.api.resource`")
        };
        let (singular, collection) = (text("singular"), text("plural"));
        format!("            {} = {}, \"{singular}\", \"{collection}\";\n", message.name(), field.number())
    });
    let rows = rows.collect::<Vec<_>>().concat();
    format!(
        "// This file is generated.\n\
        /// Calls a macro with every type of record: its message, its number in `Record` and `RecordType`, one of it, and its \
        collection.\n\
        macro_rules! record_types {{\n    ($call:ident) => {{\n        $call! {{\n{rows}        }}\n    }};\n}}\n"
    )
}

/// The server side of one service. Answers with records are bytes that were encoded at their commit, so the trait returns
/// `Encoded` for them and nothing is decoded again. Requests arrive as `Received`, so that this crate checks their size and
/// form, and refuses them with its own errors.
#[cfg(feature = "server")]
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

/// Whether a message is a record (it has the option `google.api.resource`), or contains one at any depth.
#[cfg(feature = "server")]
fn holds_records(pool: &DescriptorPool, message: &MessageDescriptor) -> bool {
    let resource = resource_option(pool);
    message.options().has_extension(&resource)
        || message.fields().any(|field| match field.kind() {
            Kind::Message(inner) => inner.package_name() == "annals.v1" && holds_records(pool, &inner),
            _ => false,
        })
}

#[cfg(feature = "server")]
fn rust_path(message: &MessageDescriptor) -> String {
    format!("crate::proto::{}", message.name())
}

#[cfg(feature = "server")]
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
