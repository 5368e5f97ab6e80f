//! The targets of a report that fails when one is missed.

use std::process::ExitCode;

/// The targets that were missed.
#[derive(Debug, Default)]
pub struct Missed(Vec<String>);

impl Missed {
    /// Notes `what` unless `holds`.
    pub fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// Prints what was missed; the exit code that says whether there is any.
    #[expect(clippy::print_stdout, reason = "it is the end of a report")]
    #[must_use]
    pub fn report(&self) -> ExitCode {
        self.0.iter().for_each(|target| println!("missed: {target}"));
        if self.0.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
