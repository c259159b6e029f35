//! Simulated clouds and mirrored storage.

mod clock;

pub use clock::{Hold, SimClock};
