//! The client against a real server, through a proxy that cuts connections, drops bytes and redirects.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../service/server.rs"]
mod server;

mod proxy;

mod errors;
mod export;
mod ingest;
mod restart;
mod unary;
mod watch;
