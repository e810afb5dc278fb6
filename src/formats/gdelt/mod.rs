//! GDELT 2.0: events that a machine has read out of the news, and the mentions of them in documents.
//!
//! Knows what the two tables share: documents, and the codes of CAMEO. Must not know files or who sends what.

mod actors;
mod documents;
pub mod events;
pub mod mentions;

/// Name of the event with an id of GDELT's.
fn event_name(id: &str) -> String {
    format!("events/gdelt-{id}")
}
