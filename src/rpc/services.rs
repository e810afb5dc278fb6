//! Combines all services of a server into one: those of the contract, health, and reflection in two versions. Also lists the
//! handlers of plain GETs.
//!
//! It compares the path of a call with the names of the five services. A router's tables and boxed futures would cost more than
//! a Get.
//!
//! Knows which services and handlers exist. Must not know what they do.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use http_body::Body as HttpBody;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    codegen::{BoxFuture, Bytes, Service, StdError},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tonic_reflection::server::{Builder, Error, v1, v1alpha};

use super::{
    call_context::DESCRIPTORS,
    generated::{admin_service_server::AdminServiceServer, record_service_server::RecordServiceServer},
    methods::{Admin, Records},
    options::ServerOptions,
    status,
    web::GetHandlers,
};

/// The services whose health can be asked for. The empty name is the whole server.
const HEALTH_OF: [&str; 3] = ["", "annals.v1.RecordService", "annals.v1.AdminService"];

/// All services of the server. The path of a call chooses one.
pub(super) struct Services<V1, V1Alpha> {
    records: RecordServiceServer<Records>,
    admin: AdminServiceServer<Admin>,
    health: HealthServer<HealthService>,
    reflection: v1::ServerReflectionServer<V1>,
    reflection_alpha: v1alpha::ServerReflectionServer<V1Alpha>,
}

/// The health of the server, as `grpc.health.v1.Health` answers it.
#[derive(Clone, Debug)]
pub(super) struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// A health of `NOT_SERVING`.
    pub(super) async fn new() -> Self {
        let health = Self { reporter: HealthReporter::new() };
        health.set(false).await;
        health
    }

    /// Sets the health of all services to the same value, because they share one store.
    pub(super) async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in HEALTH_OF {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

/// The handlers of plain GETs, each with the path that it answers. To add one, add a line.
pub(super) fn get_handlers() -> GetHandlers {
    GetHandlers::new(vec![])
}

/// The services of a server.
pub(super) fn services(
    records: Records,
    health: &Health,
    options: &ServerOptions,
) -> Result<Services<impl v1::ServerReflection + use<>, impl v1alpha::ServerReflection + use<>>, Error> {
    let reflection = || DESCRIPTORS.into_iter().fold(Builder::configure(), Builder::register_encoded_file_descriptor_set);
    let mut services = Services {
        records: RecordServiceServer::from_arc(Arc::new(records)),
        admin: AdminServiceServer::new(Admin),
        health: HealthServer::new(HealthService::from_health_reporter(health.reporter.clone())),
        // Both versions, because grpcurl before 1.8.8 and many other tools know only v1alpha.
        reflection: reflection().build_v1()?,
        reflection_alpha: reflection().build_v1alpha()?,
    };
    // The store has a lower limit for answers. This one is a second check.
    let bytes_max = options.decode_bytes_max;
    services.records = services.records.max_decoding_message_size(bytes_max).max_encoding_message_size(bytes_max);
    services.admin = services.admin.max_decoding_message_size(bytes_max).max_encoding_message_size(bytes_max);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        services.records = services.records.accept_compressed(encoding).send_compressed(encoding);
        services.admin = services.admin.accept_compressed(encoding).send_compressed(encoding);
    }
    Ok(services)
}

impl<B, V1, V1Alpha> hyper::service::Service<Request<B>> for Services<V1, V1Alpha>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    V1: v1::ServerReflection,
    V1Alpha: v1alpha::ServerReflection,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        match service {
            Some("annals.v1.RecordService") => self.records.clone().call(request),
            Some("annals.v1.AdminService") => self.admin.clone().call(request),
            Some("grpc.health.v1.Health") => self.health.clone().call(request),
            Some("grpc.reflection.v1.ServerReflection") => self.reflection.clone().call(request),
            Some("grpc.reflection.v1alpha.ServerReflection") => self.reflection_alpha.clone().call(request),
            _ => {
                let sentence = format!(
                    "there is no service for {}: this server has annals.v1.RecordService, and lists all its services by \
                     reflection",
                    request.uri().path()
                );
                Box::pin(async move { Ok(status::unimplemented(sentence).into_http()) })
            }
        }
    }
}
