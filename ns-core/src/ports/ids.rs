//! Identifiers for new records.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// A source of identifiers that never repeat.
pub trait IdSource: Debug + Send + Sync {
    /// A new identifier: short, without blanks, usable in names.
    fn next(&self) -> String;
}

/// Random identifiers that sort by the time they were made (UUID version 7).
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next(&self) -> String {
        Uuid::now_v7().simple().to_string()
    }
}

/// Identifiers that count up, for tests: the same run gives the same identifiers.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl IdSource for SequentialIds {
    fn next(&self) -> String {
        format!("id{:06}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
