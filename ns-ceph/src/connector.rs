//! Connecting to a Ceph cluster by settings and secrets that the engine keeps (CL-08, CL-22).
//!
//! Settings come from whoever registers a cluster. So what makes this host do something, programs and files of its own, is not
//! among them: the host gives that to the connector.

use crate::config::{AdminUser, CephConfig, DaemonControl, Limits, PoolRef, Programs};
use crate::memory_file::MemoryFile;
use crate::provider::Ceph;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ns_core::model::{ConnectionSettings, ConnectorField, FieldKind};
use ns_core::provider::{Storage, StorageAccess, StorageConnector};
use ns_core::sealing::Secrets;
use ns_core::{Error, ErrorKind, Result};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The bytes of a cephx key, at least: what stands before the key proper, and 16 bytes of it.
const SHORTEST_KEY: usize = 28;

/// Makes [`Ceph`] providers of the settings `mon_host`, `user`, `pools`, `site_name` and `admin_user` and the secrets `key` and
/// `admin_key`. Keys are in memory only: Ceph's commands are given no keyring on disk, no argument and no environment that
/// holds one.
///
/// ```
/// use ns_ceph::{CephConnector, Programs};
/// use ns_core::provider::StorageConnector;
/// let connector = CephConnector::new().with_programs(Programs { rbd: "/usr/bin/rbd".into(), ..Programs::default() });
/// let needed: Vec<_> = connector.fields().into_iter().filter(|f| f.required).map(|f| f.name).collect();
/// assert_eq!(needed, ["mon_host", "user", "pools", "site_name", "key"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct CephConnector {
    limits: Limits,
    programs: Programs,
    daemons: BTreeMap<String, DaemonControl>,
}

impl CephConnector {
    /// With the usual limits and programs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Other limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Other programs.
    #[must_use]
    pub fn with_programs(mut self, programs: Programs) -> Self {
        self.programs = programs;
        self
    }

    /// How to stop and start the `rbd-mirror` of the side with this site name; see [`CephConfig::mirror_daemon`].
    #[must_use]
    pub fn with_mirror_daemon(mut self, site_name: impl Into<String>, control: DaemonControl) -> Self {
        self.daemons.insert(site_name.into(), control);
        self
    }
}

#[async_trait]
impl StorageConnector for CephConnector {
    fn kind(&self) -> &'static str {
        crate::provider::KIND
    }

    fn fields(&self) -> Vec<ConnectorField> {
        let field = ConnectorField::new;
        vec![
            field(
                "mon_host",
                FieldKind::Text,
                "addresses of the monitors, as mon_host in ceph.conf has them",
            )
            .required(),
            field("user", FieldKind::Text, "the Ceph user without client., e.g. neverstop").required(),
            field(
                "pools",
                FieldKind::List,
                "pools, or pool/namespace, of the protected volumes",
            )
            .required(),
            field("site_name", FieldKind::Text, "the name this cluster has for its peers").required(),
            field(
                "admin_user",
                FieldKind::Text,
                "a user that may create Ceph users; only pairing needs one",
            ),
            field("key", FieldKind::Secret, "the key of user").required(),
            field("admin_key", FieldKind::Secret, "the key of admin_user"),
        ]
    }

    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Storage> {
        let text = |name: &str| {
            settings.get(name).ok_or_else(|| {
                invalid(
                    &format!("settings.{name}"),
                    "ceph.required",
                    &format!("{name} is missing"),
                )
                .with_remedy("give a value")
            })
        };
        let (mon_host, user, site_name) = (text("mon_host")?, text("user")?, text("site_name")?);
        if mon_hosts(mon_host).is_empty() || !mon_host.chars().all(is_address) {
            let why = "not a list of addresses";
            return Err(invalid("settings.mon_host", "ceph.mon_host", why)
                .with_remedy("give it as in ceph.conf: 10.0.0.1,10.0.0.2 or [v2:10.0.0.1:3300,v1:10.0.0.1:6789],..."));
        }
        let pools = settings.list("pools").into_iter().map(|pool| {
            PoolRef::try_from(pool.to_owned()).map_err(|e| {
                e.with_field("settings.pools")
                    .with_remedy("give pools as pool or pool/namespace, with commas between them")
            })
        });
        let pools = pools.collect::<Result<Vec<_>>>()?;
        let conf = MemoryFile::new("ceph.conf", format!("[global]\nmon_host = {mon_host}\n").as_bytes())?;
        let (keyring, mut files) = (keyring(user, "key", secrets)?, Vec::new());
        let mut config = CephConfig {
            conf: conf.path(),
            user: user.to_owned(),
            keyring: keyring.path(),
            admin: None,
            pools,
            site_name: site_name.to_owned(),
            limits: self.limits,
            programs: self.programs.clone(),
            mirror_daemon: self.daemons.get(site_name).cloned(),
        };
        files.extend([conf, keyring]);
        if let Some(user) = settings.get("admin_user") {
            let keyring = self::keyring(user, "admin_key", secrets)?;
            config.admin = Some(AdminUser {
                user: user.to_owned(),
                keyring: keyring.path(),
            });
            files.push(keyring);
        }
        let ceph = Ceph::with_files(config, files).map_err(of_settings)?;
        Ok(Arc::new(ceph))
    }

    fn access(&self, settings: &ConnectionSettings) -> StorageAccess {
        StorageAccess {
            mon_hosts: settings.get("mon_host").map(mon_hosts),
            client: settings.get("user").map(str::to_owned),
            key: Some("key".to_owned()),
        }
    }
}

/// What the configuration's own check says, in the names of the settings.
fn of_settings(error: Error) -> Error {
    let field = match error.field() {
        Some("admin.user") => "settings.admin_user".to_owned(),
        Some(field) => format!("settings.{field}"),
        None => return error,
    };
    error.with_field(field).with_remedy("give a name as Ceph has it")
}

/// A keyring of one user.
fn keyring(user: &str, name: &str, secrets: &Secrets) -> Result<MemoryFile> {
    let field = format!("secrets.{name}");
    let missing = || {
        invalid(&field, "ceph.required", &format!("the key of {user} is missing"))
            .with_remedy("give it as ceph auth get-key shows it")
    };
    let key = secrets
        .get(name)
        .map(SecretString::expose_secret)
        .ok_or_else(missing)?
        .trim();
    let bytes = Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
    if bytes.len() < SHORTEST_KEY {
        return Err(
            invalid(&field, "ceph.key", "not a key of Ceph's").with_remedy("give it as ceph auth get-key shows it")
        );
    }
    // Of its full size from the beginning: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(user.len() + key.len() + 32));
    for part in ["[client.", user, "]\n\tkey = ", key, "\n"] {
        text.push_str(part);
    }
    MemoryFile::new("ceph.keyring", text.as_bytes())
}

/// The monitors one by one: commas and blanks part them, but for those in brackets, which part the addresses of one.
fn mon_hosts(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let parts = text.split(|c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(c, ',' | ' ' | ';')
    });
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Whether a character belongs into `mon_host`; nothing that begins another line or section of a configuration does.
const fn is_address(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | ',' | ';' | '-' | '_' | '/' | '[' | ']' | ' ')
}

fn invalid(field: &str, code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Invalid, code, message).with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key in the form that Ceph gives its keys, of no cluster.
    const SOME_KEY: &str = "AQAJCQkJCQkJCRAAKCkqKywtLi8wMTIzNDU2Nw==";

    fn settings() -> ConnectionSettings {
        ConnectionSettings::new()
            .with("mon_host", "[v2:10.0.0.1:3300,v1:10.0.0.1:6789], 10.0.0.2")
            .with("user", "neverstop")
            .with("pools", "volumes, fast/ns1")
            .with("site_name", "site-a")
    }

    fn secrets() -> Secrets {
        Secrets::new().with("key", SOME_KEY)
    }

    #[test]
    fn cl_16_open_14_what_the_settings_say_of_the_access() {
        let access = CephConnector::new().access(&settings());
        assert_eq!(
            access.mon_hosts.unwrap(),
            ["[v2:10.0.0.1:3300,v1:10.0.0.1:6789]", "10.0.0.2"]
        );
        assert_eq!(
            (access.client.as_deref(), access.key.as_deref()),
            (Some("neverstop"), Some("key"))
        );
    }

    #[tokio::test]
    async fn cl_08_settings_become_a_provider() {
        let connector = CephConnector::new();
        let storage = connector.connect(&settings(), &secrets()).await.unwrap();
        assert_eq!(storage.kind(), connector.kind());
        assert!(!format!("{storage:?}").contains(SOME_KEY));
        let missing = connector
            .connect(&settings().with("admin_user", "admin"), &secrets())
            .await;
        assert_eq!(missing.unwrap_err().field(), Some("secrets.admin_key"));
        let both = secrets().with("admin_key", SOME_KEY);
        connector
            .connect(&settings().with("admin_user", "admin"), &both)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn cl_08_mistakes_name_their_field_and_no_key() {
        for (name, value) in [
            ("mon_host", "10.0.0.1\nplugin_dir = /tmp"),
            ("mon_host", "#"),
            ("mon_host", ""),
            ("mon_host", ","),
            ("user", "client.neverstop"),
            ("user", "--help"),
            ("pools", "a/b/c"),
            ("site_name", "a/b"),
            ("admin_user", "client.admin"),
        ] {
            let secrets = secrets().with("admin_key", SOME_KEY);
            let connected = CephConnector::new()
                .connect(&settings().with(name, value), &secrets)
                .await;
            let error = connected.expect_err(value);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert_eq!(error.field(), Some(format!("settings.{name}").as_str()), "{error}");
            assert!(
                error.remedy().is_some() && !format!("{error:?}").contains(SOME_KEY),
                "{error:?}"
            );
        }
        for bad in ["", "horse-17", &SOME_KEY[..20], &format!("{SOME_KEY}\n[client.admin]")] {
            let secrets = Secrets::new().with("key", bad);
            let error = CephConnector::new().connect(&settings(), &secrets).await.unwrap_err();
            assert_eq!((error.code(), error.field()), ("ceph.key", Some("secrets.key")));
            assert!(bad.is_empty() || !format!("{error:?}").contains(bad), "{error:?}");
        }
    }
}
