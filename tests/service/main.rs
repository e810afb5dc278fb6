//! A real server on a real port, called with the generated client, and with raw frames for what a client would never send.

#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod abuse_http1;
mod age;
mod binary;
mod bulk;
mod commands;
mod errors;
mod export;
mod follow;
mod formats;
mod frames;
mod health;
mod in_process;
mod ingest;
mod limits;
mod page;
mod reflection;
mod server;
mod stop;
mod watch;
mod web;
