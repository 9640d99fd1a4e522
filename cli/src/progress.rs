//! How far long work has come, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error that counts bytes. It is not drawn where that is no terminal, nor for work that is done at once.
pub(crate) fn bytes(doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(doing);
    bar
}

/// Tells a bar how far the work is. It shows itself once the work takes long.
pub(crate) fn tell(bar: &ProgressBar, done: u64, total: u64) {
    if bar.elapsed() > Duration::from_millis(500) {
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        }
        bar.set_length(total);
        bar.set_position(done);
    }
}
