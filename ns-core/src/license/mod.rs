//! Licence keys (LIC-07, SEC-03): what a vendor signs, and how it is verified. The engine has public keys only: who can check
//! a key cannot make one.
//!
//! A key is text of two parts: the claims as JSON in base64url, a dot, and the Ed25519 signature of the text before the dot in
//! base64url, both without padding. What a key says is judged in [`crate::rules`]; here is only whether the vendor said it.
//!
//! # How a vendor makes one
//!
//! ```
//! use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
//! use ns_core::license::{LicensePublicKey, PRODUCT, payload, sealed, verify};
//! use ns_core::model::LicenseClaims;
//!
//! // Stays with the vendor.
//! let secret = Ed25519KeyPair::generate().expect("randomness");
//! // Goes into the program that embeds the engine.
//! let public = LicensePublicKey::from_bytes(secret.public_key().as_ref())?;
//!
//! let claims = LicenseClaims {
//!     version: 1,
//!     license_id: "2026-0017".to_owned(),
//!     product_uuid: "0f8fad5bd9cb469fa16570867728950e".parse()?,
//!     customer: "Example Bank".to_owned(),
//!     products: [PRODUCT.to_owned()].into(),
//!     platforms: ["openstack".to_owned()].into(),
//!     instances: 200,
//!     issued_at: "2026-01-01T00:00:00Z".parse().expect("a time"),
//!     expires_at: "2027-01-01T00:00:00Z".parse().expect("a time"),
//! };
//! let payload = payload(&claims)?;
//! let key = sealed(&payload, secret.sign(payload.as_bytes()).as_ref());
//! assert_eq!(verify(&key, &[public])?, claims);
//! # Ok::<(), ns_core::Error>(())
//! ```

use crate::model::{License, LicenseClaims, ProductUuid};
use crate::{Error, ErrorKind, Result};
use aws_lc_rs::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::fmt;
use std::str::FromStr;

/// How a licence names the product that this library is (LIC-01).
pub const PRODUCT: &str = "CDM-DisasterRecovery";

/// The form of claims that this version reads.
pub const VERSION: u32 = 1;

/// A key is not longer, in bytes.
pub const LONGEST: usize = 16 << 10;

/// Which licence an engine asks for; see [`EngineBuilder::license_policy`](crate::EngineBuilder::license_policy).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LicensePolicy {
    /// None: nothing is bounded.
    #[default]
    Community,
    /// The host verifies licences by itself, and this is what its licence allows.
    Host(License),
    /// A key signed by the vendor is registered with the engine ([`Session::licence`](crate::Session::licence)). Without one
    /// no cluster is registered and nothing is newly protected; recovery is never refused (OPEN-11).
    Required {
        /// The vendor's keys: one of them must have signed. Several while the vendor changes from one to the next.
        public_keys: Vec<LicensePublicKey>,
        /// Which installation this is (LIC-12).
        product_uuid: ProductUuid,
    },
}

impl LicensePolicy {
    /// Checks what a host asks for.
    ///
    /// # Errors
    /// `Invalid`, `license.public_keys`, when no key could ever be verified.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Required { public_keys, .. } if public_keys.is_empty() => {
                let message = "a licence is required and there is no public key to verify it with";
                Err(Error::new(ErrorKind::Invalid, "license.public_keys", message)
                    .with_field("license_policy.public_keys")
                    .with_remedy("give at least one public key of the vendor"))
            }
            _ => Ok(()),
        }
    }
}

/// The public half of a vendor's Ed25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct LicensePublicKey([u8; ED25519_PUBLIC_KEY_LEN]);

impl LicensePublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// `Invalid`, `license.public_key`, for another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        bytes.try_into().map(Self).map_err(|_| {
            let message = "an Ed25519 public key has 32 bytes";
            Error::new(ErrorKind::Invalid, "license.public_key", message)
                .with_field("public_key")
                .with_remedy("give the vendor's public key, in base64")
        })
    }
}

impl FromStr for LicensePublicKey {
    type Err = Error;
    /// From base64.
    fn from_str(text: &str) -> Result<Self> {
        // What is not base64 has no 32 bytes either.
        Self::from_bytes(&STANDARD.decode(text).unwrap_or_default())
    }
}

impl fmt::Debug for LicensePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LicensePublicKey({})", STANDARD.encode(self.0))
    }
}

/// The first part of a key: what is to be signed, as the bytes of this text.
///
/// # Errors
/// Those of [`claims`] for claims that it would not read.
pub fn payload(of: &LicenseClaims) -> Result<String> {
    let json = serde_json::to_vec(of)
        .map_err(|e| Error::new(ErrorKind::Internal, "record.encode", e.to_string()).with("kind", "license"))?;
    let payload = URL_SAFE_NO_PAD.encode(json);
    claims(&payload)?;
    Ok(payload)
}

/// A key of its two parts.
#[must_use]
pub fn sealed(payload: &str, signature: &[u8]) -> String {
    format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What a key says, when one of the vendor's keys has signed it. White space around it is left away.
///
/// # Errors
/// `Invalid`, field `key`: `license.malformed`, `license.signature`, or `license.version` for a form of a later version.
pub fn verify(key: &str, public_keys: &[LicensePublicKey]) -> Result<LicenseClaims> {
    let key = key.trim();
    if key.len() > LONGEST {
        return Err(malformed("it is too long"));
    }
    let (payload, signature) = key.split_once('.').ok_or_else(|| malformed("it has no signature"))?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| malformed("its signature is not base64url"))?;
    let signed = |public: &LicensePublicKey| {
        let key = UnparsedPublicKey::new(&ED25519, public.0);
        key.verify(payload.as_bytes(), &signature).is_ok()
    };
    // Before anything of it is read: what is not the vendor's is not looked at.
    if !public_keys.iter().any(signed) {
        let message = "the licence key was not signed by the vendor, or was changed since";
        return Err(Error::new(ErrorKind::Invalid, "license.signature", message)
            .with_field("key")
            .with_remedy("enter the whole key as the vendor gave it"));
    }
    claims(payload)
}

/// What the first part of a key says, whoever made it.
///
/// # Errors
/// `Invalid`, field `key`: `license.malformed`, or `license.version` for a form of a later version.
pub fn claims(payload: &str) -> Result<LicenseClaims> {
    let json = URL_SAFE_NO_PAD
        .decode(payload)
        .map_err(|_| malformed("its claims are not base64url"))?;
    let Form { version } = serde_json::from_slice(&json).map_err(|_| malformed("its claims have no version"))?;
    if version != VERSION {
        let message = format!("the licence key is of version {version}, this program reads version {VERSION}");
        return Err(Error::new(ErrorKind::Invalid, "license.version", message)
            .with_field("key")
            .with_remedy("update the program, or ask the vendor for a key of this version"));
    }
    let claims: LicenseClaims = serde_json::from_slice(&json).map_err(|e| malformed(&format!("its claims: {e}")))?;
    for (name, text) in [("license_id", &claims.license_id), ("customer", &claims.customer)] {
        if text.is_empty() || text.chars().count() > 255 || text.chars().any(char::is_control) {
            return Err(malformed(&format!("{name} must have 1 to 255 printable characters")));
        }
    }
    if claims.expires_at <= claims.issued_at {
        return Err(malformed("it ends before it begins"));
    }
    Ok(claims)
}

/// The one field that every form has.
#[derive(serde::Deserialize)]
struct Form {
    version: u32,
}

fn malformed(why: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "license.malformed",
        format!("this is no licence key: {why}"),
    )
    .with_field("key")
    .with_remedy("enter the whole key as the vendor gave it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;

    fn vendor(seed: u8) -> (Ed25519KeyPair, LicensePublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = LicensePublicKey::from_bytes(pair.public_key().as_ref()).unwrap();
        (pair, public)
    }

    fn good() -> LicenseClaims {
        LicenseClaims {
            version: VERSION,
            license_id: "L-1".into(),
            product_uuid: "0f8fad5bd9cb469fa16570867728950e".parse().unwrap(),
            customer: "은행".into(),
            products: [PRODUCT.to_owned()].into(),
            platforms: ["openstack".to_owned()].into(),
            instances: 3,
            issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires_at: "2027-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    fn key(seed: u8, claims: &LicenseClaims) -> String {
        let payload = payload(claims).unwrap();
        sealed(&payload, vendor(seed).0.sign(payload.as_bytes()).as_ref())
    }

    fn signed(json: &str) -> String {
        let payload = URL_SAFE_NO_PAD.encode(json);
        sealed(&payload, vendor(1).0.sign(payload.as_bytes()).as_ref())
    }

    #[test]
    fn lic_07_sec_03_several_keys_of_the_vendor_and_no_other() {
        let (one, two, other) = (vendor(1).1, vendor(2).1, vendor(3).1);
        for seed in [1, 2] {
            let key = key(seed, &good());
            assert_eq!(verify(&key, &[one.clone(), two.clone()]).unwrap(), good());
            assert_eq!(
                verify(&format!(" {key}\r\n"), &[two.clone(), one.clone()]).unwrap(),
                good()
            );
            for keys in [&[][..], std::slice::from_ref(&other)] {
                let error = verify(&key, keys).unwrap_err();
                assert_eq!((error.code(), error.field()), ("license.signature", Some("key")));
            }
        }
    }

    #[test]
    fn lic_02_lic_10_what_is_no_key_is_refused() {
        let json = serde_json::to_value(good()).unwrap();
        let with = |name: &str, value: serde_json::Value| {
            let mut json = json.clone();
            json[name] = value;
            signed(&json.to_string())
        };
        let rows = [
            (String::new(), "license.malformed"),
            ("a".repeat(LONGEST + 1), "license.malformed"),
            ("e30".into(), "license.malformed"),
            ("e30.*".into(), "license.malformed"),
            ("e30.e30".into(), "license.signature"),
            (signed("{}"), "license.malformed"),
            (signed("not JSON"), "license.malformed"),
            (with("version", 2.into()), "license.version"),
            // A later form may have fields that this version does not know.
            (signed(r#"{"version": 3, "new": true}"#), "license.version"),
            (with("bound", 1.into()), "license.malformed"),
            (with("instances", (-1).into()), "license.malformed"),
            (with("license_id", "".into()), "license.malformed"),
            (with("customer", "a\u{7}".into()), "license.malformed"),
            (with("product_uuid", "0f8f".into()), "license.malformed"),
            (with("expires_at", "2026-01-01T00:00:00Z".into()), "license.malformed"),
        ];
        for (key, code) in rows {
            let error = verify(&key, &[vendor(1).1]).unwrap_err();
            let found = (error.kind(), error.code(), error.field());
            assert_eq!(found, (ErrorKind::Invalid, code, Some("key")), "{key}");
            assert!(error.remedy().is_some());
        }
        assert_eq!(
            LicensePublicKey::from_str("AAAA").unwrap_err().code(),
            "license.public_key"
        );
    }

    #[test]
    fn lic_12_a_policy_needs_a_public_key() {
        let policy = |public_keys| LicensePolicy::Required {
            public_keys,
            product_uuid: good().product_uuid,
        };
        assert!(policy(vec![vendor(1).1]).check().is_ok());
        assert_eq!(policy(vec![]).check().unwrap_err().code(), "license.public_keys");
    }

    proptest! {
        /// Whatever byte of a key is changed, and however a key is cut, it is none any more (SEC-03).
        #[test]
        fn sec_03_any_changed_byte_is_refused(at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f, cut in any::<prop::sample::Index>()) {
            let key = key(1, &good());
            let mut changed = key.clone().into_bytes();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(verify(&changed, &[vendor(1).1]).is_err());
            prop_assert!(verify(&key[..cut.index(key.len())], &[vendor(1).1]).is_err());
        }

        /// Any text is read or refused, and what is read is written as it was.
        #[test]
        fn lic_03_claims_come_back_as_they_were(customer in "[ -~가-힣]{1,40}", instances in 0_usize..1_000_000, days in 1_i64..10_000) {
            let mut claims = good();
            claims.customer = customer;
            claims.instances = instances;
            claims.expires_at = claims.issued_at + jiff::SignedDuration::from_hours(24 * days);
            prop_assert_eq!(verify(&key(1, &claims), &[vendor(1).1]).unwrap(), claims);
        }
    }
}
