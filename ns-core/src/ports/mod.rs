//! Ports for everything that is not a value and not a cloud: time, identifiers, randomness, ways out for messages, and ways to look into servers. They are
//! injected, so that tests own them; nothing else in the crate may read a clock or draw a random number.

mod clock;
mod ids;
mod random;
mod readiness;
mod sink;

pub use clock::{Clock, SystemClock, with_deadline};
pub use ids::{IdSource, RandomIds, SequentialIds};
pub use random::{Randomness, SystemRandomness};
pub use readiness::{ProbedServer, Readiness, ReadinessProbe};
pub use sink::{Message, Sink};
