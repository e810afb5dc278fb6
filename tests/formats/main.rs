//! Import and export of external formats.

mod claimreview;
mod series;
mod support;
