//! What a run of the suite found.

use crate::Error;
use std::fmt;

/// How one case ended.
#[derive(Debug)]
pub enum Outcome {
    /// The provider does what is asked.
    Passed,
    /// Nothing could be said, and why: a capability is missing, or the moment could not be caught.
    Skipped(String),
}

/// What a run of the suite found, case by case, in the order of the table.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that passed.
    pub passed: Vec<&'static str>,
    /// Cases that failed, and how.
    pub failed: Vec<(&'static str, Error)>,
    /// Cases that could not be judged, and why.
    pub skipped: Vec<(&'static str, String)>,
}

impl Report {
    /// Whether nothing failed.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }

    /// Names of the cases that failed.
    #[must_use]
    pub fn failed_names(&self) -> Vec<&'static str> {
        self.failed.iter().map(|(name, _)| *name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.passed {
            writeln!(f, "ok       {name}")?;
        }
        for (name, why) in &self.skipped {
            writeln!(f, "skipped  {name}: {why}")?;
        }
        for (name, error) in &self.failed {
            writeln!(f, "FAILED   {name}: {error:?}")?;
        }
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed.len(),
            self.failed.len(),
            self.skipped.len()
        )
    }
}
