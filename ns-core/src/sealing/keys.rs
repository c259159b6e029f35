//! Keys, and where they come from.

use crate::model::KeyId;
use crate::{Error, ErrorKind, Result};
use aws_lc_rs::rand;
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox};
use std::fmt;

/// Where the host's keys come from (SEC-02): [`KeyFile`](super::KeyFile), [`FixedKeys`], or the host's own wrapper of its
/// HSM or vault.
///
/// **Guarantees**: `key` gives the same bytes for one id for ever; once `current` has given a key, `key` gives it too until
/// the host forgets it, which it does only when nothing is sealed with it any more.
///
/// **Blocking**: both are asked seldom, when a connection is registered, opened or sealed anew. An implementation that
/// asks a service over the network keeps what it got, or answers `Unavailable` within a second or so.
///
/// ```
/// use ns_core::model::KeyId;
/// use ns_core::sealing::{HostKey, KeySource, key_unknown};
///
/// #[derive(Debug)]
/// struct Vault { /* a client of the host's vault */ }
///
/// impl Vault {
///     fn fetch(&self, name: &str) -> Option<[u8; 32]> {
///         // ...
/// #       (name == "main-3").then_some([7; 32])
///     }
/// }
///
/// impl KeySource for Vault {
///     fn current(&self) -> ns_core::Result<HostKey> {
///         self.key(&KeyId::new("main-3"))
///     }
///     fn key(&self, id: &KeyId) -> ns_core::Result<HostKey> {
///         let bytes = self.fetch(id.as_str()).ok_or_else(|| key_unknown(id))?;
///         Ok(HostKey::new(id.clone(), &bytes))
///     }
/// }
/// # let vault = Vault {};
/// # assert_eq!(vault.current()?.id().as_str(), "main-3");
/// # assert_eq!(vault.key(&"main-4".into()).unwrap_err().code(), "sealing.key_unknown");
/// # Ok::<(), ns_core::Error>(())
/// ```
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The key that new secrets are sealed with.
    ///
    /// # Errors
    /// Those of the source: `Unavailable` when it cannot be asked now, `Denied` when it declines.
    fn current(&self) -> Result<HostKey>;

    /// The key with this id, for secrets that were sealed earlier.
    ///
    /// # Errors
    /// `NotFound`, `sealing.key_unknown` ([`key_unknown`]), when there is no such key; others as [`current`](Self::current).
    fn key(&self, id: &KeyId) -> Result<HostKey>;
}

/// The error of a [`KeySource`] that does not have the key: `NotFound`, `sealing.key_unknown`.
#[must_use]
pub fn key_unknown(id: &KeyId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "sealing.key_unknown",
        format!("the host's key store has no key {id}"),
    )
    .with("key_id", id)
    .with_remedy("give the key back to the key store, from its backup, or enter the secrets anew")
}

/// One 256-bit key of the host. It is overwritten when it is dropped; `Debug` shows the id only.
pub struct HostKey {
    id: KeyId,
    // Boxed: moving the value must not leave copies of the key behind.
    key: SecretBox<[u8; Self::LENGTH]>,
}

impl HostKey {
    /// How long a key is, in bytes.
    pub const LENGTH: usize = 32;

    /// A key that the host has. It must be random, not a passphrase. It is borrowed, so that the host can overwrite its own
    /// copy.
    pub fn new(id: impl Into<KeyId>, key: &[u8; Self::LENGTH]) -> Self {
        Self {
            id: id.into(),
            key: SecretBox::init_with_mut(|own: &mut [u8; Self::LENGTH]| own.copy_from_slice(key)),
        }
    }

    /// A new random key, of the system's generator.
    ///
    /// # Errors
    /// `Internal`, `sealing.no_randomness`, when the system has none to give.
    pub fn random(id: impl Into<KeyId>) -> Result<Self> {
        let mut key = SecretBox::<[u8; Self::LENGTH]>::default();
        fill(key.expose_secret_mut())?;
        Ok(Self { id: id.into(), key })
    }

    /// The name of the key in the host's key store.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// For the cipher and the key file only.
    pub(super) fn bytes(&self) -> &[u8; Self::LENGTH] {
        self.key.expose_secret()
    }
}

impl Clone for HostKey {
    fn clone(&self) -> Self {
        Self::new(self.id.clone(), self.bytes())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Random bytes of the system's generator. Everything else that is random in this crate comes through a port, so that a
/// simulated run can be repeated. Keys and nonces do not: a host that could inject predictable ones would do away with the
/// seal, and nothing that is decided depends on them.
pub(super) fn fill(bytes: &mut [u8]) -> Result<()> {
    rand::fill(bytes).map_err(|_| {
        Error::new(
            ErrorKind::Internal,
            "sealing.no_randomness",
            "the system gave no random bytes",
        )
    })
}

/// Keys that are in memory already: a host that gets them at its start, and tests.
#[derive(Debug, Clone)]
pub struct FixedKeys {
    current: HostKey,
    old: Vec<HostKey>,
}

impl FixedKeys {
    /// One key, which is the current one.
    #[must_use]
    pub fn new(current: HostKey) -> Self {
        Self {
            current,
            old: Vec::new(),
        }
    }

    /// Adds a key that earlier secrets are sealed with. Of two keys with one id the one that came first counts.
    #[must_use]
    pub fn with_old(mut self, key: HostKey) -> Self {
        self.old.push(key);
        self
    }

    /// The current key, without asking for it by [`KeySource::current`].
    #[must_use]
    pub fn current_key(&self) -> &HostKey {
        &self.current
    }
}

impl KeySource for FixedKeys {
    fn current(&self) -> Result<HostKey> {
        Ok(self.current.clone())
    }

    fn key(&self, id: &KeyId) -> Result<HostKey> {
        std::iter::once(&self.current)
            .chain(&self.old)
            .find(|key| key.id() == id)
            .cloned()
            .ok_or_else(|| key_unknown(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_02_a_key_does_not_show_itself() {
        let keys = FixedKeys::new(HostKey::new("main", &[201; 32])).with_old(HostKey::new("older", &[202; 32]));
        let shown = format!("{keys:?} {keys:#?}");
        assert!(shown.contains("main") && shown.contains("older"), "{shown}");
        assert!(
            !shown.contains("201") && !shown.contains("202") && !shown.contains("c9"),
            "{shown}"
        );
    }

    #[test]
    fn sec_02_random_keys_differ() {
        let (a, b) = (HostKey::random("a").unwrap(), HostKey::random("b").unwrap());
        assert_ne!(a.bytes(), b.bytes());
        assert_ne!(a.bytes(), &[0; 32]);
    }

    #[test]
    fn sec_02_keys_are_found_by_their_id() {
        let keys = FixedKeys::new(HostKey::new("b", &[2; 32]))
            .with_old(HostKey::new("a", &[1; 32]))
            .with_old(HostKey::new("b", &[3; 32]));
        assert_eq!(keys.current().unwrap().bytes(), &[2; 32]);
        assert_eq!(keys.key(&"a".into()).unwrap().bytes(), &[1; 32]);
        assert_eq!(keys.key(&"b".into()).unwrap().bytes(), &[2; 32]);
        let error = keys.key(&"c".into()).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::NotFound, "sealing.key_unknown")
        );
        assert!(
            error.remedy().is_some() && error.to_string().contains("key_id=c"),
            "{error}"
        );
    }
}
