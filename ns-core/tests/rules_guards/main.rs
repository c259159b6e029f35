//! Every guard of the rule book refuses what it is there for, and says kind, code and field.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod assess;
mod follow;
mod group;
mod job;
mod name;
mod plan;
mod properties;
mod timetable;
mod world;

use ns_core::{Error, ErrorKind};

/// The violations are exactly these: kind, code, field. Each says what to do, unless the fault is ours.
#[track_caller]
fn exactly(found: &[Error], expected: &[(ErrorKind, &str, &str)]) {
    for error in found.iter().filter(|e| e.kind() != ErrorKind::Internal) {
        assert!(error.field().is_some_and(|f| !f.is_empty()), "no field: {error}");
        assert!(error.remedy().is_some_and(|r| !r.is_empty()), "no remedy: {error}");
    }
    let found: Vec<_> = found
        .iter()
        .map(|e| (e.kind(), e.code(), e.field().unwrap_or_default()))
        .collect();
    assert_eq!(found, expected);
}

/// The value of a context key.
fn fact<'a>(error: &'a Error, key: &str) -> Option<&'a str> {
    error
        .context()
        .iter()
        .find(|(k, _)| k == key)
        .map(|(_, value)| value.as_str())
}
