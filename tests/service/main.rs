//! A real server on a real port, through the generated client and, where a client would not misbehave, through frames.

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod binary;
mod bulk;
mod commands;
mod errors;
mod export;
mod follow;
mod frames;
mod health;
mod in_process;
mod ingest;
mod limits;
mod reflection;
mod server;
mod stop;
mod watch;
