//! The licence: registered, looked at, renewed (LIC-02 … LIC-05, LIC-11). Nobody deletes it.

use super::Session;
use super::audit::Act;
use crate::engine::{LICENSE_ID, StoredLicense, kinds, put};
use crate::license::{self, LicensePolicy};
use crate::model::{LicenseClaims, LicenseInfo};
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, Result, rules};
use std::time::Duration;

/// See [`Session::licence`].
#[derive(Debug, Clone, Copy)]
pub struct Licence<'a> {
    pub(super) session: &'a Session,
}

impl Licence<'_> {
    /// Registers the first licence key (LIC-02). All engines on the store go by it from then on.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, key: &str) -> ns_core::Result<()> {
    /// let licence = session.licence().register(key).await?;
    /// println!("{} of {:?} instances", licence.instances_used, licence.allows.map(|l| l.instances));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid`, field `key`: `license.malformed`, `license.version`, `license.signature`, `license.product`, `license.expired`,
    /// `license.issued` (in the future) or `license.older`; `Refused`, `license.registered`, when a licence of this
    /// installation is registered already, and `license.not_required` when this engine asks for none;
    /// `Denied` for all but an Admin. Nothing is changed then.
    pub async fn register(&self, key: &str) -> Result<LicenseInfo> {
        let act = Act::new(Area::License, Verb::Create, "licence.register", "licence");
        self.session.change(act, self.keep(key, false)).await
    }

    /// What the licence is worth, what it allows, and how much of that is used (LIC-03). The key itself is not shown.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::LicenseState;
    ///
    /// let licence = session.licence().get().await?;
    /// if licence.state == LicenseState::Expired {
    ///     println!("renew it; until then nothing new is protected");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for all but an Admin and a Manager.
    pub async fn get(&self) -> Result<LicenseInfo> {
        self.session.may(Area::License, Verb::Read)?;
        self.session.inner.license_info().await
    }

    /// Puts a newer licence key in the place of the one that is registered, e.g. when that has expired or the number of instances
    /// changes (LIC-05). A licence for fewer instances than are protected is taken: they stay protected, and none is added until
    /// there are fewer. Renewing with the very key that is registered changes nothing.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, key: &str) -> ns_core::Result<()> {
    /// let licence = session.licence().renew(key).await?;
    /// println!("until {:?}", licence.allows.map(|l| l.expires_at));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`register`](Self::register) for the key; `Refused`, `license.missing`, when none is registered.
    pub async fn renew(&self, key: &str) -> Result<LicenseInfo> {
        let act = Act::new(Area::License, Verb::Update, "licence.renew", "licence");
        self.session.change(act, self.keep(key, true)).await
    }

    async fn keep(&self, key: &str, renewal: bool) -> Result<LicenseInfo> {
        let inner = &self.session.inner;
        let LicensePolicy::Required {
            public_keys,
            product_uuid,
        } = &inner.license_policy
        else {
            let message = "this engine asks for no licence key";
            return Err(refused("license.not_required", message)
                .with_remedy("the program that embeds the engine decides what is licensed"));
        };
        let claims = license::verify(key, public_keys)?;
        let now = inner.clock.now();
        let records = inner.records();
        let found = records.find::<StoredLicense>(kinds::LICENSE, LICENSE_ID).await?;
        // What does not verify or is for another installation is no licence: it may be replaced by any that is.
        let registered = found
            .as_ref()
            .and_then(|(stored, _)| license::verify(&stored.key, public_keys).ok())
            .filter(|registered| registered.product_uuid == *product_uuid);
        match (&registered, renewal) {
            (Some(LicenseClaims { license_id, .. }), false) => {
                let message = format!("the licence {license_id} is registered already");
                return Err(refused("license.registered", &message).with_remedy("renew it"));
            }
            (None, true) => {
                let message = "there is no licence that could be renewed";
                return Err(refused("license.missing", message).with_remedy("register the key"));
            }
            _ => {}
        }
        let skew = Duration::from_secs(inner.settings().clock_skew_limit_seconds.into());
        rules::check_registration(&claims, registered.as_ref(), product_uuid, now, skew)?;
        let stored = StoredLicense {
            key: key.trim().to_owned(),
            registered_by: self.session.actor.name.clone(),
            registered_at: now,
        };
        if found.as_ref().is_none_or(|(was, _)| was.key != stored.key) {
            let version = found.map_or(0, |(_, version)| version);
            let write = put(kinds::LICENSE, LICENSE_ID, Some(version), &stored)?;
            records.commit(vec![write]).await?;
            tracing::info!(license = %claims.license_id, by = %stored.registered_by, renewal, "a licence was registered");
        }
        inner.license_info().await
    }
}

fn refused(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Refused, code, message).with_field("key")
}
