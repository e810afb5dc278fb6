//! Formats of others, in and out.

mod claimreview;
mod series;
mod support;
