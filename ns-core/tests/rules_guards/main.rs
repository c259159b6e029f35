//! Every guard of the rule book refuses what it is there for, and says kind, code and field.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod assess;
mod group;
mod job;
mod name;
mod plan;
mod world;

use ns_core::{Error, ErrorKind};

/// The violations are exactly these: kind, code, field.
#[track_caller]
fn exactly(found: &[Error], expected: &[(ErrorKind, &str, &str)]) {
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
