//! Formats of others, in and out.

mod series;
mod support;
