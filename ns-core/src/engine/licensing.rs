//! The licence that this engine asks for, as it is now. The registered key is read from the store and verified each time: engines
//! on one store have one licence at once, and a store that somebody changed makes none.

use super::Inner;
use super::records::kinds;
use crate::license::{self, LicensePolicy};
use crate::model::{License, LicenseClaims, LicenseInfo, LicenseState, ProtectionGroup};
use crate::{Result, rules};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The id of the one document.
pub(crate) const LICENSE_ID: &str = "license";

/// A licence key as it is kept. It has no `Debug`: the key is the customer's, and shown nowhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLicense {
    pub(crate) key: String,
    /// Who registered it.
    pub(crate) registered_by: String,
    /// When.
    pub(crate) registered_at: Timestamp,
}

impl Inner {
    /// What the licence allows; none when nothing is bounded.
    ///
    /// # Errors
    /// `Refused` when there is no licence to go by: see [`rules::check_licensed`]. Those of the store.
    pub(crate) async fn license(&self) -> Result<Option<License>> {
        let (state, claims) = self.license_state().await?;
        rules::check_licensed(state)?;
        Ok(match &self.license_policy {
            LicensePolicy::Host(license) => Some(license.clone()),
            _ => claims.map(|claims| claims.allows()),
        })
    }

    /// What the licence is worth, and what it says when the vendor said it.
    async fn license_state(&self) -> Result<(LicenseState, Option<LicenseClaims>)> {
        let now = self.clock.now();
        match &self.license_policy {
            LicensePolicy::Community => Ok((LicenseState::NotRequired, None)),
            LicensePolicy::Host(license) if license.expires_at <= now => Ok((LicenseState::Expired, None)),
            LicensePolicy::Host(_) => Ok((LicenseState::Valid, None)),
            LicensePolicy::Required {
                public_keys,
                product_uuid,
            } => {
                let found = self.records().find::<StoredLicense>(kinds::LICENSE, LICENSE_ID).await?;
                let Some((stored, _)) = found else {
                    return Ok((LicenseState::Missing, None));
                };
                Ok(match license::verify(&stored.key, public_keys) {
                    Ok(claims) => (rules::license_state(&claims, product_uuid, now), Some(claims)),
                    Err(error) => {
                        tracing::warn!(%error, "the registered licence key does not verify");
                        (LicenseState::NotVerified, None)
                    }
                })
            }
        }
    }

    /// See [`LicenseInfo`].
    pub(crate) async fn license_info(&self) -> Result<LicenseInfo> {
        let (state, claims) = self.license_state().await?;
        let groups = self.records().all::<ProtectionGroup>(kinds::GROUP, |_| true).await?;
        let allows = match &self.license_policy {
            LicensePolicy::Host(license) => Some(license.clone()),
            _ => claims
                .as_ref()
                .filter(|_| rules::check_licensed(state).is_ok())
                .map(LicenseClaims::allows),
        };
        Ok(LicenseInfo {
            state,
            claims,
            allows,
            instances_used: groups.iter().map(|g| g.instances.len()).sum(),
        })
    }
}
