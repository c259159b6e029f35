//! What a licence refuses (CL-06, PG-10, PG-11), and which licence is refused itself (LIC-04, LIC-05). Where none is asked for
//! nothing is refused: whether a host needs one is its vendor's choice.

use super::{invalid, refused};
use crate::license::PRODUCT;
use crate::model::{License, LicenseClaims, LicenseState, ProductUuid};
use crate::{Error, Result};
use jiff::Timestamp;
use std::time::Duration;

/// Whether clusters of a platform may be registered (CL-06).
///
/// # Errors
/// `Refused`, `license.platform`.
pub fn check_platform(license: Option<&License>, platform: &str) -> Result<()> {
    let Some(license) = license.filter(|l| !l.platforms.contains(platform)) else {
        return Ok(());
    };
    let named: Vec<_> = license.platforms.iter().map(String::as_str).collect();
    let message = format!("the licence does not name the platform {platform}");
    Err(refused("license.platform", "platform", message)
        .with("licensed", named.join(", "))
        .with_remedy("register a cluster of a licensed platform, or renew the licence"))
}

/// Whether so many instances may be protected now (PG-10, PG-11, LIC-10).
///
/// # Errors
/// `Refused`: `license.expired`, or `license.instances`.
pub fn check_protected(license: Option<&License>, instances: usize, now: Timestamp) -> Result<()> {
    let Some(license) = license else { return Ok(()) };
    if license.expires_at <= now {
        let message = format!("the licence ended at {}", license.expires_at);
        return Err(refused("license.expired", "instances", message)
            .with_remedy("renew the licence; what is protected stays protected and can be recovered"));
    }
    if instances > license.instances {
        let message = format!(
            "{instances} instances would be protected, the licence allows {}",
            license.instances
        );
        return Err(refused("license.instances", "instances", message)
            .with("allowed", license.instances)
            .with("wanted", instances)
            .with_remedy("choose fewer instances, take others out of protection, or renew the licence"));
    }
    Ok(())
}

/// What verified claims are worth for an installation now (LIC-04).
#[must_use]
pub fn license_state(claims: &LicenseClaims, product: &ProductUuid, now: Timestamp) -> LicenseState {
    if claims.product_uuid != *product || !claims.products.contains(PRODUCT) {
        LicenseState::NotForThisProduct
    } else if claims.expires_at <= now {
        LicenseState::Expired
    } else {
        LicenseState::Valid
    }
}

/// Whether there is a licence at all that says what may be done (LIC-10). One that has expired still says so (LIC-06).
///
/// # Errors
/// `Refused`: `license.missing`, `license.product` or `license.signature`.
pub fn check_licensed(state: LicenseState) -> Result<()> {
    let (code, message) = match state {
        LicenseState::NotRequired | LicenseState::Valid | LicenseState::Expired => return Ok(()),
        LicenseState::Missing => ("license.missing", "no licence is registered"),
        LicenseState::NotForThisProduct => (
            "license.product",
            "the registered licence is for another installation or product",
        ),
        LicenseState::NotVerified => (
            "license.signature",
            "the registered licence was not signed by the vendor, or was changed since",
        ),
    };
    Err(refused(code, "license", message).with_remedy(
        "register a licence key of this installation; what is protected stays protected and can be recovered",
    ))
}

/// Whether verified claims may become the licence of an installation (LIC-02, LIC-05). A licence for fewer instances than are
/// protected may: nothing that is protected is given up for it, and nothing is added until there are fewer.
///
/// `skew` is by how much the vendor's clock may be ahead of this one.
///
/// # Errors
/// `Invalid`, field `key`: `license.product`, `license.expired`, `license.issued` for one of the future, `license.older` for one
/// that was made before the one that is registered.
pub fn check_registration(
    claims: &LicenseClaims,
    registered: Option<&LicenseClaims>,
    product: &ProductUuid,
    now: Timestamp,
    skew: Duration,
) -> Result<()> {
    let refuse = |code: &str, message: String, remedy: &str| Err(invalid(code, "key", message).with_remedy(remedy));
    match license_state(claims, product, now) {
        LicenseState::NotForThisProduct if claims.product_uuid != *product => {
            let message = format!("the licence is for the installation {}", claims.product_uuid);
            return refuse(
                "license.product",
                message,
                "ask the vendor for a key of this installation",
            )
            .map_err(|e: Error| e.with("product_uuid", product));
        }
        LicenseState::NotForThisProduct => {
            let message = format!("the licence does not cover {PRODUCT}");
            return refuse("license.product", message, "ask the vendor for a key of this product");
        }
        LicenseState::Expired => {
            let message = format!("the licence ended at {}", claims.expires_at);
            return refuse("license.expired", message, "ask the vendor for a new key");
        }
        _ => {}
    }
    if claims.issued_at > now.saturating_add(skew).unwrap_or(now) {
        let message = format!("the licence was made at {}, which is to come", claims.issued_at);
        return refuse("license.issued", message, "set the clock of this machine");
    }
    if let Some(registered) = registered.filter(|r| claims.issued_at < r.issued_at) {
        let message = format!(
            "the licence is older than {}, which is registered",
            registered.license_id
        );
        return refuse("license.older", message, "enter the vendor's newest key");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const UUID: &str = "0f8fad5bd9cb469fa16570867728950e";

    fn claims() -> LicenseClaims {
        LicenseClaims {
            version: 1,
            license_id: "L-1".into(),
            product_uuid: UUID.parse().unwrap(),
            customer: "bank".into(),
            products: [PRODUCT.to_owned()].into(),
            platforms: license().platforms,
            instances: 3,
            issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            expires_at: license().expires_at,
        }
    }

    /// LIC-01, LIC-04, LIC-05, LIC-12: what may be registered, beside what, when.
    #[test]
    fn lic_04_lic_05_lic_12_which_licence_may_be_registered() {
        let other: ProductUuid = "1".repeat(32).parse().unwrap();
        let skew = Duration::from_secs(60);
        let with = |change: &dyn Fn(&mut LicenseClaims)| {
            let mut changed = claims();
            change(&mut changed);
            changed
        };
        let newer = with(&|c| c.issued_at = "2026-03-01T00:00:00Z".parse().unwrap());
        let rows = [
            (claims(), None, "2026-06-01T00:00:00Z", None),
            // The vendor's clock is a little ahead.
            (claims(), None, "2025-12-31T23:59:00Z", None),
            (claims(), None, "2025-12-31T23:58:59Z", Some("license.issued")),
            (claims(), None, "2026-12-31T00:00:00Z", Some("license.expired")),
            (
                with(&|c| c.product_uuid = other.clone()),
                None,
                "2026-06-01T00:00:00Z",
                Some("license.product"),
            ),
            (
                with(&|c| c.products = ["CDM-Replicator".to_owned()].into()),
                None,
                "2026-06-01T00:00:00Z",
                Some("license.product"),
            ),
            (newer.clone(), Some(claims()), "2026-06-01T00:00:00Z", None),
            (claims(), Some(claims()), "2026-06-01T00:00:00Z", None),
            (claims(), Some(newer), "2026-06-01T00:00:00Z", Some("license.older")),
            // For fewer instances than before.
            (with(&|c| c.instances = 0), Some(claims()), "2026-06-01T00:00:00Z", None),
        ];
        for (new, registered, now, expected) in rows {
            let product = UUID.parse().unwrap();
            let found = check_registration(&new, registered.as_ref(), &product, now.parse().unwrap(), skew);
            assert_eq!(found.as_ref().err().map(Error::code), expected, "{new:?} {now}");
            if let Err(e) = found {
                assert_eq!((e.kind(), e.field()), (ErrorKind::Invalid, Some("key")));
                assert!(e.remedy().is_some());
            }
        }
    }

    #[test]
    fn lic_06_lic_10_without_a_licence_nothing_new() {
        let rows = [
            (LicenseState::NotRequired, None),
            (LicenseState::Valid, None),
            (LicenseState::Expired, None),
            (LicenseState::Missing, Some("license.missing")),
            (LicenseState::NotForThisProduct, Some("license.product")),
            (LicenseState::NotVerified, Some("license.signature")),
        ];
        for (state, code) in rows {
            let found = check_licensed(state);
            assert_eq!(found.as_ref().err().map(Error::code), code);
            assert!(
                found
                    .err()
                    .is_none_or(|e| e.kind() == ErrorKind::Refused && e.remedy().is_some())
            );
        }
    }

    fn license() -> License {
        License {
            platforms: ["openstack".to_owned()].into(),
            instances: 3,
            expires_at: "2026-12-31T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn cl_06_lic_08_only_licensed_platforms() {
        assert!(check_platform(Some(&license()), "openstack").is_ok());
        assert!(check_platform(None, "cloudstack").is_ok());
        let error = check_platform(Some(&license()), "cloudstack").unwrap_err();
        assert_eq!((error.code(), error.field()), ("license.platform", Some("platform")));
    }

    #[test]
    fn pg_10_pg_11_lic_09_lic_10_so_many_instances_for_so_long() {
        let before = "2026-12-30T23:59:59Z".parse().unwrap();
        let rows = [
            (3, before, None),
            (4, before, Some("license.instances")),
            (1, license().expires_at, Some("license.expired")),
        ];
        for (instances, now, expected) in rows {
            let found = check_protected(Some(&license()), instances, now);
            assert_eq!(found.as_ref().err().map(crate::Error::code), expected, "{instances}");
            assert!(found.err().is_none_or(|e| e.remedy().is_some()));
        }
        assert!(check_protected(None, 1_000_000, license().expires_at).is_ok());
    }
}
