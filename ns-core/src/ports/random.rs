//! Randomness that secrets are made of: tokens, first passwords, salts.

use crate::{Error, ErrorKind, Result};
use std::fmt::Debug;

/// A source of random bytes that nobody can predict.
pub trait Randomness: Debug + Send + Sync {
    /// Fills the whole buffer.
    ///
    /// # Errors
    /// `Internal` when there are none; the buffer is not to be used then.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        aws_lc_rs::rand::fill(bytes)
            .map_err(|_| Error::new(ErrorKind::Internal, "random", "the system gave no random bytes"))
    }
}
