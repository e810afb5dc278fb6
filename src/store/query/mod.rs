//! Lists: which records match a filter, in which order, page by page.
//!
//! The way of a filter: `parse` makes a tree of its text, `check` holds it against the contract, `plan` looks for keys
//! that lead to the records that can match, and `filter` looks at the bytes of each. `list` ties them together.
//!
//! Knows keys, versions and the schema of records. Must not know how anything is written, or where a revision comes from.

mod check;
mod field;
mod filter;
mod lexer;
mod list;
mod order;
mod parse;
mod plan;
mod scan;
mod served;
pub(super) mod token;

#[cfg(test)]
mod tests;

pub use filter::Filter;
pub(crate) use list::{explain, list, page_size};
pub use served::{ServedField, ServedIndex, served};
