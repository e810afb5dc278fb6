//! Much, through a stream that is cut: articles are ingested from a real server's clients that lose their stream again and again and send
//! everything once more from the start, with nothing but the generated client.
#![allow(missing_docs)]

#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/trial.rs"]
mod trial;

mod article;
mod ingest;
