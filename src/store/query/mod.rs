//! Lists: which records match a filter, in which order, page by page.
//!
//! The steps of a list: `parse` makes a tree from the text of a filter, and `check` checks the tree against the contract.
//! `plan` finds keys that lead to the records that can match, and `filter` checks the bytes of each. `list` runs these steps.
//!
//! Knows keys, versions and the schema of records. Must not know how anything is written, or where a revision comes from.

mod check;
mod field;
mod filter;
mod join;
mod lexer;
mod list;
mod order;
mod parse;
mod plan;
mod scan;
mod served;
mod settle;
mod step;
pub(super) mod token;

#[cfg(test)]
mod tests;

pub use filter::RecordFilter;
pub(crate) use list::{explain, list, page_size};
pub use served::{ServedField, ServedIndex, served};
