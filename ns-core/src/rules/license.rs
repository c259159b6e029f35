//! What a licence refuses (CL-06, PG-10, PG-11). Without one nothing is refused: whether a host needs one is its vendor's
//! choice.

use super::refused;
use crate::Result;
use crate::model::License;
use jiff::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;

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
