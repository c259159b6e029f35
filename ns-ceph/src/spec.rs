//! How an image is written: `rbd:pool/image` or `rbd:pool/namespace/image` in the port, `pool/image` for the commands.
//! Names that a command could take for an option, or that break its notation, are refused here and nowhere else.

use crate::config::PoolRef;
use ns_core::model::StorageRef;
use ns_core::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "rbd:";
const LONGEST: usize = 255;

/// Whether a pool, namespace, image or snapshot may have this name here. Ceph allows more; the rest cannot be handed to
/// its commands without ambiguity.
pub(crate) fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with('-')
        && name.trim() == name
        && !name.contains(|c: char| matches!(c, '/' | '@' | '\\' | '"' | '\'' | '\0') || c.is_control())
}

/// Whether a user snapshot may have this name. Names with a leading dot belong to Ceph (mirror and group snapshots) and
/// to this provider.
pub(crate) fn check_snapshot_name(name: &str) -> Result<()> {
    if valid_name(name) && !name.starts_with('.') {
        return Ok(());
    }
    Err(
        Error::new(ErrorKind::Invalid, "ceph.snapshot_name", "not a usable snapshot name")
            .with_field("snapshot")
            .with("value", name.escape_debug()),
    )
}

/// One image of a cluster.
///
/// ```
/// use ns_ceph::ImageSpec;
/// let spec: ImageSpec = "rbd:volumes/volume-1".parse()?;
/// assert_eq!((spec.pool.pool.as_str(), spec.image.as_str()), ("volumes", "volume-1"));
/// assert_eq!(spec.to_string(), "rbd:volumes/volume-1");
/// assert!("rbd:volumes/--force".parse::<ImageSpec>().is_err());
/// # Ok::<(), ns_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageSpec {
    /// Pool and namespace.
    pub pool: PoolRef,
    /// Name of the image.
    pub image: String,
}

impl ImageSpec {
    /// An image of a pool.
    ///
    /// # Errors
    /// `Invalid` for a name that cannot be used.
    pub fn new(pool: PoolRef, image: impl Into<String>) -> Result<Self> {
        let image = image.into();
        if valid_name(&pool.pool) && pool.namespace.as_deref().is_none_or(valid_name) && valid_name(&image) {
            return Ok(Self { pool, image });
        }
        Err(invalid(&format!("{SCHEME}{pool}/{image}")))
    }

    pub(crate) fn of(storage: &StorageRef) -> Result<Self> {
        storage.as_str().parse()
    }

    pub(crate) fn to_ref(&self) -> StorageRef {
        StorageRef::new(self.to_string())
    }

    /// As the commands want it.
    pub(crate) fn arg(&self) -> String {
        format!("{}/{}", self.pool, self.image)
    }

    pub(crate) fn snapshot_arg(&self, snapshot: &str) -> String {
        format!("{}/{}@{snapshot}", self.pool, self.image)
    }
}

impl fmt::Display for ImageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.pool, self.image)
    }
}

impl FromStr for ImageSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let path = text.strip_prefix(SCHEME).ok_or_else(|| invalid(text))?;
        let (pool, image) = path.rsplit_once('/').ok_or_else(|| invalid(text))?;
        let pool = PoolRef::try_from(pool.to_owned()).map_err(|_| invalid(text))?;
        Self::new(pool, image).map_err(|_| invalid(text))
    }
}

fn invalid(text: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "ceph.image_name",
        "not `rbd:pool/image` or `rbd:pool/namespace/image`",
    )
    .with_field("storage")
    .with("value", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_options_and_broken_notation() {
        for text in [
            "",
            "rbd:",
            "volumes/x",
            "rbd:x",
            "rbd:/x",
            "rbd:p/",
            "rbd:p//x",
            "rbd:p/n/x/y",
            "rbd:p/x@s",
            "rbd:p/-x",
            "rbd:-p/x",
            "rbd:p/-n/x",
            "rbd:p/--force",
            "rbd:p/x\n",
            "rbd:p/ x",
            "rbd:p/a\\b",
            "RBD:p/x",
        ] {
            assert_eq!(
                text.parse::<ImageSpec>().unwrap_err().kind(),
                ErrorKind::Invalid,
                "{text:?}"
            );
        }
        for name in ["", "-a", ".mirror.x", "a@b", "a/b", "a\tb"] {
            assert!(check_snapshot_name(name).is_err(), "{name:?}");
        }
        assert!(check_snapshot_name("point-2026-11-21T19:30:02Z").is_ok());
    }

    proptest! {
        #[test]
        fn any_accepted_text_comes_back(text in "rbd:(.{0,12}/){0,3}.{0,12}") {
            if let Ok(spec) = text.parse::<ImageSpec>() {
                prop_assert_eq!(spec.to_string(), text);
                prop_assert!(!spec.arg().starts_with('-') && !spec.arg().contains('@'));
                prop_assert!(spec.arg().split('/').all(|part| !part.is_empty() && !part.starts_with('-')));
            }
        }

        #[test]
        fn usual_names_are_accepted(pool in "[a-z][a-z0-9._-]{0,20}", ns in proptest::option::of("[a-z0-9_]{1,9}"),
                                    image in "[a-z0-9_.][a-zA-Z0-9_. :+#-]{0,40}[a-z0-9]") {
            let spec = ImageSpec::new(PoolRef { pool, namespace: ns }, image).unwrap();
            prop_assert_eq!(ImageSpec::of(&spec.to_ref()).unwrap(), spec);
        }
    }
}
