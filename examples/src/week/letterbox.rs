//! A sink of the host's own: it keeps what it is given, as a gateway for short messages would send it.

use async_trait::async_trait;
use ns_core::ports::{Message, Sink};
use ns_core::{Error, ErrorKind, Result};
use std::sync::{Mutex, PoisonError};

/// Who has which number.
pub(super) const PHONES: [(&str, &str); 2] = [("mina (manager)", "+82212345671"), ("nils (operator)", "+82212345672")];

/// What has come, oldest first.
#[derive(Debug, Default)]
pub(super) struct Letterbox(Mutex<Vec<Message>>);

impl Letterbox {
    /// Everything that has come since it was last emptied.
    pub(super) fn empty(&self) -> Vec<Message> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Sink for Letterbox {
    fn kind(&self) -> &'static str {
        "letterbox"
    }

    fn check_address(&self, address: &str) -> Result<()> {
        match address
            .strip_prefix('+')
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
        {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Invalid, "letterbox.address", "this is no number")
                .with_field("address")
                .with_remedy("give a number like +4930123456")),
        }
    }

    async fn deliver(&self, message: &Message) -> Result<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(message.clone());
        Ok(())
    }
}
