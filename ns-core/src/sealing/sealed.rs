//! Sealing and opening.

use super::keys::{HostKey, KeySource};
use super::secrets::Secrets;
use crate::model::KeyId;
use crate::{Error, ErrorKind, Result};
use aws_lc_rs::aead::{AES_256_GCM, Aad, MAX_TAG_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Stands before what is authenticated. Another cipher or another layout of the plaintext gets another one.
const LAYOUT: &[u8] = b"neverstop sealed 1";

/// The [`Secrets`] of one object as a store may keep them (CL-22, SEC-02): AES-256-GCM under a key of the host.
///
/// The nonce is random for each sealing. With random nonces one key is good for 2³² sealings; a host that registers
/// connections never gets near. The text tells how long the secrets are together and which key sealed them, nothing else.
///
/// It reads whatever text it is given and judges it when it is opened, so that one damaged seal does not make the record
/// around it unreadable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    key_id: KeyId,
    /// Base64.
    nonce: String,
    /// Base64; the tag is its end.
    ciphertext: String,
}

impl Sealed {
    /// Seals `secrets` for `object` with the current key. `object` names kind and id, e.g. `cluster/4f…`: the text opens for
    /// this one only.
    ///
    /// # Errors
    /// Those of [`KeySource::current`]; `Internal`, `sealing.cannot_seal`, when the library fails.
    pub fn seal(keys: &dyn KeySource, object: &str, secrets: &Secrets) -> Result<Self> {
        let host_key = keys.current()?;
        let mut buffer = write(secrets);
        // The library draws the nonce itself, from the system's generator: a nonce that came twice would give the
        // plaintexts away.
        let nonce = cipher(&host_key)
            .and_then(|key| {
                key.seal_in_place_append_tag(Aad::from(bound_to(host_key.id(), object)), &mut *buffer)
                    .ok()
            })
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Internal,
                    "sealing.cannot_seal",
                    "the cryptography library did not seal the secrets",
                )
                .with("object", object)
                .with("key_id", host_key.id())
            })?;
        Ok(Self {
            key_id: host_key.id().clone(),
            nonce: STANDARD.encode(nonce.as_ref()),
            ciphertext: STANDARD.encode(&*buffer),
        })
    }

    /// Opens the secrets of `object`.
    ///
    /// # Errors
    /// `Corrupt`, `sealing.cannot_open`, for another object, under another key of the same id, or when anything in the text
    /// was altered: which of these it is cannot be told. Those of [`KeySource::key`], `NotFound`, `sealing.key_unknown`
    /// among them.
    pub fn open(&self, keys: &dyn KeySource, object: &str) -> Result<Secrets> {
        let host_key = keys.key(&self.key_id)?;
        self.open_with(&host_key, object).ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "sealing.cannot_open",
                format!(
                    "the sealed secrets of {object} do not open with the key {}",
                    self.key_id
                ),
            )
            .with("object", object)
            .with("key_id", &self.key_id)
            .with_remedy("restore the record and the key that belong together, or enter the secrets anew")
        })
    }

    fn open_with(&self, host_key: &HostKey, object: &str) -> Option<Secrets> {
        let nonce = STANDARD.decode(&self.nonce).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        // Becomes the plaintext in place.
        let mut buffer = Zeroizing::new(STANDARD.decode(&self.ciphertext).ok()?);
        let aad = Aad::from(bound_to(&self.key_id, object));
        let plaintext = cipher(host_key)?.open_in_place(nonce, aad, &mut buffer).ok()?;
        read(plaintext)
    }

    /// The key that the secrets are sealed with. A key that no sealed text names any more can be forgotten.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Whether the secrets are sealed with the key that is current now; if not, they should be
    /// [sealed anew](Self::reseal).
    ///
    /// # Errors
    /// Those of [`KeySource::current`].
    pub fn is_current(&self, keys: &dyn KeySource) -> Result<bool> {
        Ok(keys.current()?.id() == &self.key_id)
    }

    /// Opens the secrets and seals them with the current key (SEC-02, re-keying). The old text stays as it is; whoever keeps
    /// it puts the new one in its place.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`seal`](Self::seal).
    pub fn reseal(&self, keys: &dyn KeySource, object: &str) -> Result<Self> {
        Self::seal(keys, object, &self.open(keys, object)?)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

fn cipher(key: &HostKey) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, key.bytes()).ok()
}

/// What the seal vouches for besides the secrets. Lengths keep `a` + `bc` and `ab` + `c` apart.
fn bound_to(key: &KeyId, object: &str) -> Vec<u8> {
    let mut bound = LAYOUT.to_vec();
    for part in [key.as_str(), object] {
        put(&mut bound, part);
    }
    bound
}

/// A length is written as 8 bytes, the most significant first.
const PREFIX: usize = size_of::<u64>();

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The plaintext: name and secret in turn, each after its length. Not JSON: its writer and reader move what they handle
/// through buffers that nobody overwrites; this one is as large as it will be from the start, the tag included.
fn write(secrets: &Secrets) -> Zeroizing<Vec<u8>> {
    let size: usize = secrets
        .iter()
        .map(|(name, secret)| 2 * PREFIX + name.len() + secret.expose_secret().len())
        .sum();
    let mut out = Zeroizing::new(Vec::with_capacity(size + MAX_TAG_LEN));
    for (name, secret) in secrets.iter() {
        put(&mut out, name);
        put(&mut out, secret.expose_secret());
    }
    out
}

fn read(mut plaintext: &[u8]) -> Option<Secrets> {
    let mut secrets = Secrets::new();
    while !plaintext.is_empty() {
        let name = take(&mut plaintext)?;
        let secret = take(&mut plaintext)?;
        secrets.insert(name, secret);
    }
    Some(secrets)
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = from.split_first_chunk::<PREFIX>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::FixedKeys;
    use proptest::prelude::*;

    const OBJECT: &str = "cluster/seoul";

    fn keys() -> FixedKeys {
        FixedKeys::new(HostKey::new("main", &[1; 32]))
    }

    fn secrets() -> Secrets {
        Secrets::new().with("password", "horse-17").with("empty", "")
    }

    fn plain(secrets: &Secrets) -> Vec<(String, String)> {
        secrets
            .iter()
            .map(|(name, secret)| (name.to_owned(), secret.expose_secret().to_owned()))
            .collect()
    }

    /// That it does not open, in the one way it may say so.
    fn closed(sealed: &Sealed, keys: &FixedKeys, object: &str) {
        let error = sealed.open(keys, object).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Corrupt, "sealing.cannot_open")
        );
        let said = format!(
            "{error} {error:?} {}",
            serde_json::to_string(&error.to_record()).unwrap()
        );
        assert!(said.contains(object) && said.contains("key_id=main"), "{said}");
        assert!(!said.contains("horse"), "{said}");
    }

    #[test]
    fn sec_02_a_sealed_secret_opens_only_for_its_object() {
        let sealed = Sealed::seal(&keys(), OBJECT, &secrets()).unwrap();
        assert_eq!(plain(&sealed.open(&keys(), OBJECT).unwrap()), plain(&secrets()));
        for other in ["cluster/busan", "cluster/seou", "cluster/seoul ", "Cluster/seoul", ""] {
            closed(&sealed, &keys(), other);
        }
    }

    #[test]
    fn sec_02_key_id_and_object_do_not_run_into_each_other() {
        assert_ne!(bound_to(&"a".into(), "bc"), bound_to(&"ab".into(), "c"));
        assert_ne!(bound_to(&"a".into(), ""), bound_to(&"".into(), "a"));
    }

    #[test]
    fn sec_02_a_sealed_secret_opens_only_with_its_key() {
        let sealed = Sealed::seal(&keys(), OBJECT, &secrets()).unwrap();
        let namesake = FixedKeys::new(HostKey::new("main", &[2; 32]));
        closed(&sealed, &namesake, OBJECT);

        let others = FixedKeys::new(HostKey::new("other", &[1; 32]));
        let error = sealed.open(&others, OBJECT).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::NotFound, "sealing.key_unknown")
        );

        // The same bytes under another name are another key: the name is sealed in.
        let mut renamed = sealed;
        renamed.key_id = "other".into();
        let error = renamed.open(&others, OBJECT).unwrap_err();
        assert_eq!(error.code(), "sealing.cannot_open");
    }

    #[test]
    fn sec_02_what_is_no_seal_at_all_does_not_open() {
        let good = Sealed::seal(&keys(), OBJECT, &secrets()).unwrap();
        for (nonce, ciphertext) in [
            ("", good.ciphertext.as_str()),
            ("AAAA", &good.ciphertext),
            ("no base64", &good.ciphertext),
            (&good.nonce, ""),
            (&good.nonce, "AAAA"),
            (&good.nonce, "no base64"),
            (&good.ciphertext, &good.nonce),
        ] {
            let text = serde_json::json!({"key_id": "main", "nonce": nonce, "ciphertext": ciphertext});
            let sealed: Sealed = serde_json::from_value(text).unwrap();
            closed(&sealed, &keys(), OBJECT);
        }
    }

    #[test]
    fn sec_02_no_nonce_comes_twice_and_equal_secrets_do_not_look_equal() {
        let sealed: Vec<_> = (0..64)
            .map(|_| Sealed::seal(&keys(), OBJECT, &secrets()).unwrap())
            .collect();
        let nonces: std::collections::BTreeSet<_> = sealed.iter().map(|sealed| &sealed.nonce).collect();
        let texts: std::collections::BTreeSet<_> = sealed.iter().map(|sealed| &sealed.ciphertext).collect();
        assert_eq!((nonces.len(), texts.len()), (64, 64));
    }

    #[test]
    fn cl_22_what_is_kept_and_shown_holds_no_plaintext() {
        let sealed = Sealed::seal(&keys(), OBJECT, &secrets()).unwrap();
        let kept = serde_json::to_string(&sealed).unwrap();
        let shown = format!("{sealed:?}");
        let raw = String::from_utf8_lossy(&STANDARD.decode(&sealed.ciphertext).unwrap()).into_owned();
        for text in [&kept, &shown, &raw] {
            for plain in ["horse", "password", &STANDARD.encode("horse-17")] {
                assert!(!text.contains(plain), "{text}");
            }
        }
        assert!(shown.contains("main"), "{shown}");
        assert!(!shown.contains(&sealed.ciphertext), "{shown}");
        let read: Sealed = serde_json::from_str(&kept).unwrap();
        assert_eq!(read, sealed);
        assert_eq!(plain(&read.open(&keys(), OBJECT).unwrap()), plain(&secrets()));
    }

    #[test]
    fn sec_02_after_a_rotation_old_seals_open_and_are_sealed_anew() {
        let old = keys();
        let sealed = Sealed::seal(&old, OBJECT, &secrets()).unwrap();
        assert!(sealed.is_current(&old).unwrap());

        let both = FixedKeys::new(HostKey::random("next").unwrap()).with_old(old.current_key().clone());
        assert!(!sealed.is_current(&both).unwrap());
        assert_eq!(plain(&sealed.open(&both, OBJECT).unwrap()), plain(&secrets()));

        let anew = sealed.reseal(&both, OBJECT).unwrap();
        assert!(anew.is_current(&both).unwrap());
        assert_eq!(anew.key_id().as_str(), "next");
        let only_next = FixedKeys::new(both.current_key().clone());
        assert_eq!(plain(&anew.open(&only_next, OBJECT).unwrap()), plain(&secrets()));
        // Sealing anew does not carry a text over to another object.
        assert_eq!(
            sealed.reseal(&both, "cluster/busan").unwrap_err().code(),
            "sealing.cannot_open"
        );
    }

    #[test]
    fn sec_02_the_plaintext_never_outgrows_its_buffer() {
        let secrets = secrets().with("ceph_key", "k".repeat(10_000));
        let buffer = write(&secrets);
        assert!(buffer.capacity() >= buffer.len() + AES_256_GCM.tag_len());
        // Allocated once, at this size: a growing vector would have left a copy behind.
        assert_eq!(buffer.capacity(), buffer.len() + MAX_TAG_LEN);
    }

    #[test]
    fn sec_02_a_plaintext_of_another_layout_is_not_read() {
        let text = write(&secrets());
        for cut in 1..text.len() {
            // Only what ends between two secrets is whole.
            let whole = cut == 2 * PREFIX + "empty".len();
            assert_eq!(read(&text[..cut]).is_some(), whole, "{cut}");
        }
        assert!(read(&[0xff; 16]).is_none());
        assert!(read(&[&[0; 7][..], &[1, 0xff], &[0; 8]].concat()).is_none());
    }

    proptest! {
        #[test]
        fn sec_02_any_secrets_survive(
            named in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..6),
            object in any::<String>(),
            id in any::<String>(),
            key in any::<[u8; 32]>(),
        ) {
            let keys = FixedKeys::new(HostKey::new(id, &key));
            let secrets: Secrets = named.into_iter().map(|(name, secret)| (name, secret.into())).collect();
            let sealed = Sealed::seal(&keys, &object, &secrets).unwrap();
            let kept: Sealed = serde_json::from_str(&serde_json::to_string(&sealed).unwrap()).unwrap();
            prop_assert_eq!(plain(&kept.open(&keys, &object).unwrap()), plain(&secrets));
        }

        #[test]
        fn sec_02_no_flipped_bit_opens(
            secret in ".{0,40}",
            bit in any::<prop::sample::Index>(),
            in_nonce in any::<bool>(),
        ) {
            let mut sealed = Sealed::seal(&keys(), OBJECT, &Secrets::new().with("horse", secret)).unwrap();
            let text = if in_nonce { &mut sealed.nonce } else { &mut sealed.ciphertext };
            let mut bytes = STANDARD.decode(&*text).unwrap();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            *text = STANDARD.encode(bytes);
            closed(&sealed, &keys(), OBJECT);
        }

        /// The text itself, so that no second spelling of the same bytes opens either.
        #[test]
        fn sec_02_no_altered_character_opens(
            at in any::<prop::sample::Index>(),
            with in any::<char>(),
            in_nonce in any::<bool>(),
        ) {
            let mut sealed = Sealed::seal(&keys(), OBJECT, &secrets()).unwrap();
            let text = if in_nonce { &mut sealed.nonce } else { &mut sealed.ciphertext };
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            prop_assume!(characters[at] != with);
            characters[at] = with;
            *text = characters.into_iter().collect();
            closed(&sealed, &keys(), OBJECT);
        }

        #[test]
        fn sec_02_no_cut_opens(keep in any::<prop::sample::Index>()) {
            let mut sealed = Sealed::seal(&keys(), OBJECT, &secrets()).unwrap();
            let bytes = STANDARD.decode(&sealed.ciphertext).unwrap();
            sealed.ciphertext = STANDARD.encode(&bytes[..keep.index(bytes.len())]);
            closed(&sealed, &keys(), OBJECT);
        }
    }
}
