//! What a licence says and allows.

use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What a licence allows (LIC-03), as the host or the engine has verified it. Whatever is protected already stays usable when it
/// has expired (LIC-06, OPEN-11): it bounds new protection only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// Platforms that may be registered (LIC-08), as providers name them, e.g. `openstack`.
    pub platforms: BTreeSet<String>,
    /// How many instances may be protected at once (LIC-09).
    pub instances: usize,
    /// When it ends (LIC-03).
    pub expires_at: Timestamp,
}

/// The identity of an installation, which its vendor gives it (LIC-12): 32 hexadecimal digits, kept in lower case.
///
/// ```
/// use ns_core::model::ProductUuid;
///
/// let uuid: ProductUuid = "0F8FAD5BD9CB469FA16570867728950E".parse()?;
/// assert_eq!(uuid.as_str(), "0f8fad5bd9cb469fa16570867728950e");
/// assert_eq!("0f8f".parse::<ProductUuid>().unwrap_err().code(), "license.product_uuid");
/// # Ok::<(), ns_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ProductUuid(String);

impl ProductUuid {
    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProductUuid {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "license.product_uuid",
            "a product UUID has 32 hexadecimal digits",
        )
        .with_field("product_uuid")
        .with_remedy("enter it as the vendor gave it"))
    }
}

impl TryFrom<String> for ProductUuid {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for ProductUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a licence key says (LIC-03). Signed, it is a key: see [`crate::license`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)] // what is not understood may be a bound
pub struct LicenseClaims {
    /// Version of this form, 1.
    pub version: u32,
    /// Which licence, as the vendor counts them.
    pub license_id: String,
    /// For which installation (LIC-12).
    pub product_uuid: ProductUuid,
    /// Who bought it.
    pub customer: String,
    /// Which products it covers (LIC-01). [`crate::license::PRODUCT`] is this one.
    pub products: BTreeSet<String>,
    /// Platforms that may be registered (LIC-08).
    pub platforms: BTreeSet<String>,
    /// How many instances may be protected at once (LIC-09).
    pub instances: usize,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl LicenseClaims {
    /// What it allows.
    #[must_use]
    pub fn allows(&self) -> License {
        License {
            platforms: self.platforms.clone(),
            instances: self.instances,
            expires_at: self.expires_at,
        }
    }
}

/// What the licence of an engine is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LicenseState {
    /// This engine asks for none and bounds nothing.
    NotRequired,
    /// It holds.
    Valid,
    /// It has ended: what is protected stays protected and is recovered, nothing is added (LIC-06).
    Expired,
    /// None is registered.
    Missing,
    /// The one that is registered is for another installation or another product.
    NotForThisProduct,
    /// The one that is registered was not signed by the vendor: the store was tampered with, or the vendor's key is not among
    /// those of this engine any more.
    NotVerified,
}

/// The licence of an engine (LIC-03).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseInfo {
    /// What it is worth now.
    pub state: LicenseState,
    /// What the registered key says; none when there is none, or none that was verified, and when the host verifies licences
    /// by itself.
    pub claims: Option<LicenseClaims>,
    /// What it allows; none when nothing is bounded, or there is no licence that holds here.
    pub allows: Option<License>,
    /// How many instances are protected now. There may be more than the licence allows, after a renewal for fewer.
    pub instances_used: usize,
}
