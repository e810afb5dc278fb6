//! Who says what a row of a coded data set says.
//!
//! Knows attribution. Must not know any one table.

use crate::proto::{Attribution, AttributionRole, SpeechMode};

/// Who is named in the row, in the role that the table gives them, and then who coded it. No name, no hop.
pub(crate) fn attribution(named: &str, role: AttributionRole, coder: &str) -> Vec<Attribution> {
    let named =
        (!named.is_empty()).then(|| Attribution { description: named.to_owned(), role: role.into(), ..Default::default() });
    let coder = Attribution {
        actors: vec![coder.to_owned()],
        role: AttributionRole::Coder.into(),
        mode: SpeechMode::Data.into(),
        ..Default::default()
    };
    named.into_iter().chain([coder]).collect()
}
