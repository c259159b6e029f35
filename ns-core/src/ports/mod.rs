//! Ports for everything that is not a value and not a cloud: time, identifiers, randomness, and ways out for messages. They are
//! injected, so that tests own them; nothing else in the crate may read a clock or draw a random number.

mod clock;
mod ids;
mod random;
mod sink;

pub use clock::{Clock, SystemClock, with_deadline};
pub use ids::{IdSource, RandomIds, SequentialIds};
pub use random::{Randomness, SystemRandomness};
pub use sink::{Message, Sink};
