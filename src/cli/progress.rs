//! How far a long command is: a bar on a terminal, nothing elsewhere.
//!
//! Knows bars. Must not know what is counted.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the bytes of files, with what its message says. Without a length, the message alone.
pub(super) fn of_bytes(length: Option<u64>) -> ProgressBar {
    styled(length, "{bar:40} {bytes}/{total_bytes}, {eta} left  {msg}")
}

fn styled(length: Option<u64>, template: &str) -> ProgressBar {
    let progress = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = if length.is_some() { template } else { "{elapsed}  {msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        progress.set_style(style);
    }
    progress
}
