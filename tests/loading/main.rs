//! Loading through a stream that is cut: clients of a real server ingest articles, lose their stream repeatedly, and send
//! everything again from the start, with only the generated client.
#![allow(missing_docs)]

#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/trial.rs"]
mod trial;

mod article;
mod ingest;
