//! Secrets at rest (CL-22, SEC-02, SEC-15): what a cluster's connection needs to stay secret is sealed before a store sees it.
//!
//! Here live [`Secrets`], their sealed form [`Sealed`], where the keys come from ([`KeySource`], [`KeyFile`],
//! [`FixedKeys`]) and the look for keys in text that is not sealed ([`looks_like_a_secret`]). Keys are the host's: a file,
//! an HSM or a vault that it wraps. What is sealed and when, where a sealed text is kept and which objects are sealed anew
//! after a rotation do not live here. This room knows errors and the model; no engine, no store, no cloud.
//!
//! The cipher is AES-256-GCM of the library that the TLS connections use. The key's id and the object's are part of what
//! is authenticated, so a sealed text that somebody copies to another object does not open there. Buffers that held a
//! plaintext or a key are overwritten when they go; what a compiler leaves in registers and what the system swaps out is
//! beyond that.
//!
//! ```
//! use ns_core::sealing::{FixedKeys, HostKey, Sealed, Secrets};
//! use secrecy::ExposeSecret;
//!
//! let keys = FixedKeys::new(HostKey::random("2026-a")?);
//! let secrets = Secrets::new().with("password", "horse-17");
//! let sealed = Sealed::seal(&keys, "cluster/seoul", &secrets)?;
//! let opened = sealed.open(&keys, "cluster/seoul")?;
//! assert_eq!(opened.get("password").map(|secret| secret.expose_secret()), Some("horse-17"));
//! assert_eq!(sealed.open(&keys, "cluster/busan").unwrap_err().code(), "sealing.cannot_open");
//!
//! // Later the host gets a new key: what was sealed with the old one still opens, and is sealed anew.
//! let keys = FixedKeys::new(HostKey::random("2026-b")?).with_old(keys.current_key().clone());
//! assert!(!sealed.is_current(&keys)?);
//! assert!(sealed.reseal(&keys, "cluster/seoul")?.is_current(&keys)?);
//! # Ok::<(), ns_core::Error>(())
//! ```

#[cfg(unix)]
mod key_file;
mod keys;
mod scan;
mod sealed;
mod secrets;

#[cfg(unix)]
pub use key_file::KeyFile;
pub use keys::{FixedKeys, HostKey, KeySource, key_unknown};
pub use scan::looks_like_a_secret;
pub use sealed::Sealed;
pub use secrets::Secrets;
