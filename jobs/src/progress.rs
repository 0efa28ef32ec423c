//! Decides how long work shows that it goes on: a bar on a terminal, plain lines elsewhere, nothing when asked to be quiet.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of one command, on standard error.
pub struct Progress {
    bar: ProgressBar,
    is_quiet: bool,
}

impl Progress {
    /// Shows nothing until [`Progress::begin`].
    pub fn new(is_quiet: bool) -> Progress {
        let bar = ProgressBar::hidden();
        Progress { bar, is_quiet }
    }

    /// Begins work of so many units, which are bytes or records.
    pub fn begin(&self, units: u64, what: &str) {
        if self.is_quiet {
            return;
        }
        if std::io::stderr().is_terminal() {
            let template = "{msg:24} {bar:40} {percent:>3} %  {elapsed} elapsed, {eta} to go";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_length(units);
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
            self.bar.enable_steady_tick(Duration::from_millis(250));
            self.bar.set_message(what.to_owned());
        } else {
            eprintln!("{what} …");
        }
    }

    /// So many more units are done.
    pub fn advance(&self, units: u64) {
        self.bar.inc(units);
    }

    /// Another part of the work begins.
    pub fn phase(&self, what: &str) {
        if !self.is_quiet && !std::io::stderr().is_terminal() {
            eprintln!("{what} …");
        }
        self.bar.set_message(what.to_owned());
    }

    /// Says something besides.
    pub fn say(&self, what: &str) {
        if !self.is_quiet {
            self.bar.suspend(|| eprintln!("{what}"));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
