/// Generated server implementations.
pub mod admin_service_server {
    #![allow(
        unused_variables,
        dead_code,
        missing_docs,
        clippy::wildcard_imports,
        clippy::let_unit_value,
    )]
    use tonic::codegen::*;
    /// Generated trait containing gRPC methods that should be implemented for use with AdminServiceServer.
    #[async_trait]
    pub trait AdminService: std::marker::Send + std::marker::Sync + 'static {
        /// Server streaming response type for the Backup method.
        type BackupStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<crate::proto::BackupResponse, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn backup(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::BackupRequest>>,
        ) -> std::result::Result<tonic::Response<Self::BackupStream>, tonic::Status>;
        async fn compact(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::CompactRequest>>,
        ) -> std::result::Result<
            tonic::Response<crate::proto::CompactResponse>,
            tonic::Status,
        >;
        async fn erase_record(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::EraseRecordRequest>,
            >,
        ) -> std::result::Result<
            tonic::Response<crate::proto::EraseRecordResponse>,
            tonic::Status,
        >;
        /// Server streaming response type for the Verify method.
        type VerifyStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<crate::proto::VerifyResponse, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn verify(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::VerifyRequest>>,
        ) -> std::result::Result<tonic::Response<Self::VerifyStream>, tonic::Status>;
    }
    #[derive(Debug)]
    pub struct AdminServiceServer<T> {
        inner: Arc<T>,
        accept_compression_encodings: EnabledCompressionEncodings,
        send_compression_encodings: EnabledCompressionEncodings,
        max_decoding_message_size: Option<usize>,
        max_encoding_message_size: Option<usize>,
    }
    impl<T> AdminServiceServer<T> {
        pub fn new(inner: T) -> Self {
            Self::from_arc(Arc::new(inner))
        }
        pub fn from_arc(inner: Arc<T>) -> Self {
            Self {
                inner,
                accept_compression_encodings: Default::default(),
                send_compression_encodings: Default::default(),
                max_decoding_message_size: None,
                max_encoding_message_size: None,
            }
        }
        pub fn with_interceptor<F>(
            inner: T,
            interceptor: F,
        ) -> InterceptedService<Self, F>
        where
            F: tonic::service::Interceptor,
        {
            InterceptedService::new(Self::new(inner), interceptor)
        }
        /// Enable decompressing requests with the given encoding.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.accept_compression_encodings.enable(encoding);
            self
        }
        /// Compress responses with the given encoding, if the client supports it.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.send_compression_encodings.enable(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.max_decoding_message_size = Some(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.max_encoding_message_size = Some(limit);
            self
        }
    }
    impl<T, B> tonic::codegen::Service<http::Request<B>> for AdminServiceServer<T>
    where
        T: AdminService,
        B: Body + std::marker::Send + 'static,
        B::Error: Into<StdError> + std::marker::Send + 'static,
    {
        type Response = http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;
        fn poll_ready(
            &mut self,
            _cx: &mut Context<'_>,
        ) -> Poll<std::result::Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: http::Request<B>) -> Self::Future {
            match req.uri().path() {
                "/annals.v1.AdminService/Backup" => {
                    #[allow(non_camel_case_types)]
                    struct BackupSvc<T: AdminService>(pub Arc<T>);
                    impl<
                        T: AdminService,
                    > tonic::server::ServerStreamingService<
                        crate::rpc::Received<crate::proto::BackupRequest>,
                    > for BackupSvc<T> {
                        type Response = crate::proto::BackupResponse;
                        type ResponseStream = T::BackupStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::BackupRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as AdminService>::backup(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = BackupSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.AdminService/Compact" => {
                    #[allow(non_camel_case_types)]
                    struct CompactSvc<T: AdminService>(pub Arc<T>);
                    impl<
                        T: AdminService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::CompactRequest>,
                    > for CompactSvc<T> {
                        type Response = crate::proto::CompactResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::CompactRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as AdminService>::compact(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = CompactSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.AdminService/EraseRecord" => {
                    #[allow(non_camel_case_types)]
                    struct EraseRecordSvc<T: AdminService>(pub Arc<T>);
                    impl<
                        T: AdminService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::EraseRecordRequest>,
                    > for EraseRecordSvc<T> {
                        type Response = crate::proto::EraseRecordResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::EraseRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as AdminService>::erase_record(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = EraseRecordSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.AdminService/Verify" => {
                    #[allow(non_camel_case_types)]
                    struct VerifySvc<T: AdminService>(pub Arc<T>);
                    impl<
                        T: AdminService,
                    > tonic::server::ServerStreamingService<
                        crate::rpc::Received<crate::proto::VerifyRequest>,
                    > for VerifySvc<T> {
                        type Response = crate::proto::VerifyResponse;
                        type ResponseStream = T::VerifyStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::VerifyRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as AdminService>::verify(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = VerifySvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                _ => {
                    Box::pin(async move {
                        let mut response = http::Response::new(
                            tonic::body::Body::default(),
                        );
                        let headers = response.headers_mut();
                        headers
                            .insert(
                                tonic::Status::GRPC_STATUS,
                                (tonic::Code::Unimplemented as i32).into(),
                            );
                        headers
                            .insert(
                                http::header::CONTENT_TYPE,
                                tonic::metadata::GRPC_CONTENT_TYPE,
                            );
                        Ok(response)
                    })
                }
            }
        }
    }
    impl<T> Clone for AdminServiceServer<T> {
        fn clone(&self) -> Self {
            let inner = self.inner.clone();
            Self {
                inner,
                accept_compression_encodings: self.accept_compression_encodings,
                send_compression_encodings: self.send_compression_encodings,
                max_decoding_message_size: self.max_decoding_message_size,
                max_encoding_message_size: self.max_encoding_message_size,
            }
        }
    }
    /// Generated gRPC service name
    pub const SERVICE_NAME: &str = "annals.v1.AdminService";
    impl<T> tonic::server::NamedService for AdminServiceServer<T> {
        const NAME: &'static str = SERVICE_NAME;
    }
}
/// Generated server implementations.
pub mod record_service_server {
    #![allow(
        unused_variables,
        dead_code,
        missing_docs,
        clippy::wildcard_imports,
        clippy::let_unit_value,
    )]
    use tonic::codegen::*;
    /// Generated trait containing gRPC methods that should be implemented for use with RecordServiceServer.
    #[async_trait]
    pub trait RecordService: std::marker::Send + std::marker::Sync + 'static {
        async fn get_server_info(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::GetServerInfoRequest>,
            >,
        ) -> std::result::Result<
            tonic::Response<crate::proto::GetServerInfoResponse>,
            tonic::Status,
        >;
        async fn get_source(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetRecordRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn get_actor(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetRecordRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn get_event(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetRecordRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn get_claim(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetRecordRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn get_estimate(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetRecordRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn get_relation(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetRecordRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_sources(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_actors(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_events(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_claims(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_estimates(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_relations(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn batch_get_records(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::BatchGetRecordsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn list_revisions(
            &self,
            request: tonic::Request<
                crate::rpc::Received<crate::proto::ListRevisionsRequest>,
            >,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn get_commit(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::GetCommitRequest>>,
        ) -> std::result::Result<tonic::Response<crate::rpc::Encoded>, tonic::Status>;
        async fn commit(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::CommitRequest>>,
        ) -> std::result::Result<
            tonic::Response<crate::proto::CommitResponse>,
            tonic::Status,
        >;
        /// Server streaming response type for the Ingest method.
        type IngestStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<crate::proto::IngestResponse, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn ingest(
            &self,
            request: tonic::Request<
                tonic::Streaming<crate::rpc::Received<crate::proto::IngestRequest>>,
            >,
        ) -> std::result::Result<tonic::Response<Self::IngestStream>, tonic::Status>;
        /// Server streaming response type for the Watch method.
        type WatchStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<crate::rpc::Encoded, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn watch(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::WatchRequest>>,
        ) -> std::result::Result<tonic::Response<Self::WatchStream>, tonic::Status>;
        /// Server streaming response type for the Export method.
        type ExportStream: tonic::codegen::tokio_stream::Stream<
                Item = std::result::Result<crate::rpc::Encoded, tonic::Status>,
            >
            + std::marker::Send
            + 'static;
        async fn export(
            &self,
            request: tonic::Request<crate::rpc::Received<crate::proto::ExportRequest>>,
        ) -> std::result::Result<tonic::Response<Self::ExportStream>, tonic::Status>;
    }
    #[derive(Debug)]
    pub struct RecordServiceServer<T> {
        inner: Arc<T>,
        accept_compression_encodings: EnabledCompressionEncodings,
        send_compression_encodings: EnabledCompressionEncodings,
        max_decoding_message_size: Option<usize>,
        max_encoding_message_size: Option<usize>,
    }
    impl<T> RecordServiceServer<T> {
        pub fn new(inner: T) -> Self {
            Self::from_arc(Arc::new(inner))
        }
        pub fn from_arc(inner: Arc<T>) -> Self {
            Self {
                inner,
                accept_compression_encodings: Default::default(),
                send_compression_encodings: Default::default(),
                max_decoding_message_size: None,
                max_encoding_message_size: None,
            }
        }
        pub fn with_interceptor<F>(
            inner: T,
            interceptor: F,
        ) -> InterceptedService<Self, F>
        where
            F: tonic::service::Interceptor,
        {
            InterceptedService::new(Self::new(inner), interceptor)
        }
        /// Enable decompressing requests with the given encoding.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.accept_compression_encodings.enable(encoding);
            self
        }
        /// Compress responses with the given encoding, if the client supports it.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.send_compression_encodings.enable(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.max_decoding_message_size = Some(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.max_encoding_message_size = Some(limit);
            self
        }
    }
    impl<T, B> tonic::codegen::Service<http::Request<B>> for RecordServiceServer<T>
    where
        T: RecordService,
        B: Body + std::marker::Send + 'static,
        B::Error: Into<StdError> + std::marker::Send + 'static,
    {
        type Response = http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;
        fn poll_ready(
            &mut self,
            _cx: &mut Context<'_>,
        ) -> Poll<std::result::Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: http::Request<B>) -> Self::Future {
            match req.uri().path() {
                "/annals.v1.RecordService/GetServerInfo" => {
                    #[allow(non_camel_case_types)]
                    struct GetServerInfoSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetServerInfoRequest>,
                    > for GetServerInfoSvc<T> {
                        type Response = crate::proto::GetServerInfoResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetServerInfoRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_server_info(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetServerInfoSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetSource" => {
                    #[allow(non_camel_case_types)]
                    struct GetSourceSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetRecordRequest>,
                    > for GetSourceSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_source(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetSourceSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetActor" => {
                    #[allow(non_camel_case_types)]
                    struct GetActorSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetRecordRequest>,
                    > for GetActorSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_actor(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetActorSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetEvent" => {
                    #[allow(non_camel_case_types)]
                    struct GetEventSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetRecordRequest>,
                    > for GetEventSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_event(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetEventSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetClaim" => {
                    #[allow(non_camel_case_types)]
                    struct GetClaimSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetRecordRequest>,
                    > for GetClaimSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_claim(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetClaimSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetEstimate" => {
                    #[allow(non_camel_case_types)]
                    struct GetEstimateSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetRecordRequest>,
                    > for GetEstimateSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_estimate(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetEstimateSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetRelation" => {
                    #[allow(non_camel_case_types)]
                    struct GetRelationSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetRecordRequest>,
                    > for GetRelationSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetRecordRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_relation(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetRelationSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListSources" => {
                    #[allow(non_camel_case_types)]
                    struct ListSourcesSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRecordsRequest>,
                    > for ListSourcesSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_sources(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListSourcesSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListActors" => {
                    #[allow(non_camel_case_types)]
                    struct ListActorsSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRecordsRequest>,
                    > for ListActorsSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_actors(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListActorsSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListEvents" => {
                    #[allow(non_camel_case_types)]
                    struct ListEventsSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRecordsRequest>,
                    > for ListEventsSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_events(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListEventsSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListClaims" => {
                    #[allow(non_camel_case_types)]
                    struct ListClaimsSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRecordsRequest>,
                    > for ListClaimsSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_claims(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListClaimsSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListEstimates" => {
                    #[allow(non_camel_case_types)]
                    struct ListEstimatesSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRecordsRequest>,
                    > for ListEstimatesSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_estimates(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListEstimatesSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListRelations" => {
                    #[allow(non_camel_case_types)]
                    struct ListRelationsSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRecordsRequest>,
                    > for ListRelationsSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_relations(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListRelationsSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/BatchGetRecords" => {
                    #[allow(non_camel_case_types)]
                    struct BatchGetRecordsSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::BatchGetRecordsRequest>,
                    > for BatchGetRecordsSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::BatchGetRecordsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::batch_get_records(&inner, request)
                                    .await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = BatchGetRecordsSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/ListRevisions" => {
                    #[allow(non_camel_case_types)]
                    struct ListRevisionsSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::ListRevisionsRequest>,
                    > for ListRevisionsSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ListRevisionsRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::list_revisions(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListRevisionsSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/GetCommit" => {
                    #[allow(non_camel_case_types)]
                    struct GetCommitSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::GetCommitRequest>,
                    > for GetCommitSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::GetCommitRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::get_commit(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetCommitSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/Commit" => {
                    #[allow(non_camel_case_types)]
                    struct CommitSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::UnaryService<
                        crate::rpc::Received<crate::proto::CommitRequest>,
                    > for CommitSvc<T> {
                        type Response = crate::proto::CommitResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::CommitRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::commit(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = CommitSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/Ingest" => {
                    #[allow(non_camel_case_types)]
                    struct IngestSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::StreamingService<
                        crate::rpc::Received<crate::proto::IngestRequest>,
                    > for IngestSvc<T> {
                        type Response = crate::proto::IngestResponse;
                        type ResponseStream = T::IngestStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                tonic::Streaming<
                                    crate::rpc::Received<crate::proto::IngestRequest>,
                                >,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::ingest(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = IngestSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/Watch" => {
                    #[allow(non_camel_case_types)]
                    struct WatchSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::ServerStreamingService<
                        crate::rpc::Received<crate::proto::WatchRequest>,
                    > for WatchSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type ResponseStream = T::WatchStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::WatchRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::watch(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = WatchSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/annals.v1.RecordService/Export" => {
                    #[allow(non_camel_case_types)]
                    struct ExportSvc<T: RecordService>(pub Arc<T>);
                    impl<
                        T: RecordService,
                    > tonic::server::ServerStreamingService<
                        crate::rpc::Received<crate::proto::ExportRequest>,
                    > for ExportSvc<T> {
                        type Response = crate::rpc::Encoded;
                        type ResponseStream = T::ExportStream;
                        type Future = BoxFuture<
                            tonic::Response<Self::ResponseStream>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<
                                crate::rpc::Received<crate::proto::ExportRequest>,
                            >,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as RecordService>::export(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ExportSvc(inner);
                        let codec = crate::rpc::Codec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                _ => {
                    Box::pin(async move {
                        let mut response = http::Response::new(
                            tonic::body::Body::default(),
                        );
                        let headers = response.headers_mut();
                        headers
                            .insert(
                                tonic::Status::GRPC_STATUS,
                                (tonic::Code::Unimplemented as i32).into(),
                            );
                        headers
                            .insert(
                                http::header::CONTENT_TYPE,
                                tonic::metadata::GRPC_CONTENT_TYPE,
                            );
                        Ok(response)
                    })
                }
            }
        }
    }
    impl<T> Clone for RecordServiceServer<T> {
        fn clone(&self) -> Self {
            let inner = self.inner.clone();
            Self {
                inner,
                accept_compression_encodings: self.accept_compression_encodings,
                send_compression_encodings: self.send_compression_encodings,
                max_decoding_message_size: self.max_decoding_message_size,
                max_encoding_message_size: self.max_encoding_message_size,
            }
        }
    }
    /// Generated gRPC service name
    pub const SERVICE_NAME: &str = "annals.v1.RecordService";
    impl<T> tonic::server::NamedService for RecordServiceServer<T> {
        const NAME: &'static str = SERVICE_NAME;
    }
}
