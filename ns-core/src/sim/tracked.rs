//! A value that counts how often it may have been changed, so that what follows from it need not be worked out again.

use std::ops::{Deref, DerefMut};

#[derive(Debug, Clone, Default)]
pub(crate) struct Tracked<T> {
    value: T,
    changes: u64,
}

impl<T> Tracked<T> {
    /// How often somebody had it to change.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// To change it without being counted: for who works out what follows.
    pub(crate) const fn quietly(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changes += 1;
        &mut self.value
    }
}
