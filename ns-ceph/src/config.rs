//! What a host says about one Ceph cluster. Plain values; no secret is ever in them, only paths of keyring files.

use crate::spec::valid_name;
use ns_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One Ceph cluster, and as whom to work there.
///
/// The user needs `mon 'profile rbd-mirror, allow r' osd 'profile rbd' mgr 'profile rbd'` and nothing more (SEC-09).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CephConfig {
    /// The cluster's `ceph.conf`.
    pub conf: PathBuf,
    /// The Ceph user without `client.`, e.g. `neverstop`.
    pub user: String,
    /// File with the user's key.
    pub keyring: PathBuf,
    /// A user that may create Ceph users; only pairing needs one.
    #[serde(default)]
    pub admin: Option<AdminUser>,
    /// Pools whose images this side protects or recovers. Nothing outside them is changed.
    pub pools: Vec<PoolRef>,
    /// The name this cluster has for its peers. One per cluster, whatever the pool.
    pub site_name: String,
    /// How much at a time and for how long.
    #[serde(default)]
    pub limits: Limits,
    /// Which programs to run.
    #[serde(default)]
    pub programs: Programs,
    /// How to stop and start this side's `rbd-mirror`. With it, a forced promote that hangs behind a stuck daemon is
    /// brought to its end; without it, it ends in `Timeout` with a remedy.
    #[serde(default)]
    pub mirror_daemon: Option<DaemonControl>,
}

/// A more powerful user, for the few calls that need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminUser {
    /// The Ceph user without `client.`.
    pub user: String,
    /// File with its key.
    pub keyring: PathBuf,
}

/// A pool, or a namespace of one. In configuration `pool` or `pool/namespace`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolRef {
    /// The pool.
    pub pool: String,
    /// The namespace in it; none is the default one.
    pub namespace: Option<String>,
}

impl PoolRef {
    /// The default namespace of a pool.
    pub fn new(pool: impl Into<String>) -> Self {
        Self {
            pool: pool.into(),
            namespace: None,
        }
    }
}

impl fmt::Display for PoolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}", self.pool),
            None => f.write_str(&self.pool),
        }
    }
}

impl From<PoolRef> for String {
    fn from(pool: PoolRef) -> Self {
        pool.to_string()
    }
}

impl TryFrom<String> for PoolRef {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        let (pool, namespace) = match text.split_once('/') {
            Some((pool, namespace)) => (pool, Some(namespace)),
            None => (text.as_str(), None),
        };
        if valid_name(pool) && namespace.is_none_or(valid_name) {
            return Ok(Self {
                pool: pool.to_owned(),
                namespace: namespace.map(str::to_owned),
            });
        }
        Err(Error::new(ErrorKind::Invalid, "ceph.pool_name", "not `pool` or `pool/namespace`").with("value", &text))
    }
}

/// How much at a time, and for how long. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Child processes at a time. Snapshot-mode calls wait for one monitor round of up to a second each and share it, so
    /// more is faster there; 32 is sensible for large plans.
    pub parallel: usize,
    /// Until a cluster that does not answer at connect is given up.
    pub connect_seconds: u64,
    /// Until a storage daemon that does not answer a read is given up.
    pub read_op_seconds: u64,
    /// The deadline of a reading call as a whole.
    pub read_seconds: u64,
    /// The deadline of a changing call.
    pub change_seconds: u64,
    /// The deadline of a call that moves data: flatten, removal of a large image.
    pub copy_seconds: u64,
    /// How long a promote is tried again while the storage says "not yet".
    pub promote_wait_seconds: u64,
    /// How long a demotion, or the end of replication, waits for the peer to begin to follow this side after a hand-over:
    /// its daemon looks every 30 s.
    pub follow_wait_seconds: u64,
    /// How long a removal waits for others to close the image. A killed client, one of ours too, counts as having it open for
    /// 30 s.
    pub release_wait_seconds: u64,
    /// After how long a forced promote counts as hanging behind the local mirror daemon. A sound one was measured at 5 s, and
    /// at 30 s more behind the lock of one whose machine died.
    pub force_promote_seconds: u64,
    /// The deadline of the forced promote after the daemon was stopped: 37 s were measured, 30 of them for the lock of
    /// the killed daemon to expire.
    pub force_promote_stopped_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 8,
            connect_seconds: 5,
            read_op_seconds: 5,
            read_seconds: 20,
            change_seconds: 60,
            copy_seconds: 24 * 3600,
            promote_wait_seconds: 30,
            follow_wait_seconds: 60,
            release_wait_seconds: 40,
            force_promote_seconds: 60,
            force_promote_stopped_seconds: 120,
        }
    }
}

impl Limits {
    pub(crate) const fn promote_wait(&self) -> Duration {
        Duration::from_secs(self.promote_wait_seconds)
    }

    pub(crate) const fn release_wait(&self) -> Duration {
        Duration::from_secs(self.release_wait_seconds)
    }

    pub(crate) const fn follow_wait(&self) -> Duration {
        Duration::from_secs(self.follow_wait_seconds)
    }
}

/// The programs to run; names are looked up in `PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Programs {
    /// `rbd`.
    pub rbd: PathBuf,
    /// `rados`: reads the journal's ownership records and the pool's directory.
    pub rados: PathBuf,
    /// `ceph`: reads identity and settings for the connection check.
    pub ceph: PathBuf,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            rbd: "rbd".into(),
            rados: "rados".into(),
            ceph: "ceph".into(),
        }
    }
}

/// Commands that stop and start this side's `rbd-mirror`: program and arguments, run without a shell. They must end
/// by themselves, `stop` only once the daemon is gone (it may ignore SIGTERM for 15 s and need SIGKILL).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonControl {
    /// Stops it, e.g. `["systemctl", "stop", "ceph-rbd-mirror@site-b"]`.
    pub stop: Vec<String>,
    /// Starts it again.
    pub start: Vec<String>,
}

impl CephConfig {
    /// Checks what can be checked without the cluster.
    ///
    /// # Errors
    /// `Invalid`, with the field.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field: &str, why: &str| {
            Err(Error::new(ErrorKind::Invalid, "ceph.config", why.to_owned()).with_field(field.to_owned()))
        };
        if !valid_name(&self.user) || self.user.starts_with("client.") {
            return invalid("user", "the Ceph user is given without `client.`");
        }
        if self
            .admin
            .as_ref()
            .is_some_and(|a| !valid_name(&a.user) || a.user.starts_with("client."))
        {
            return invalid("admin.user", "the Ceph user is given without `client.`");
        }
        if !valid_name(&self.site_name) {
            return invalid("site_name", "the site has no usable name");
        }
        if self.pools.is_empty() {
            return invalid("pools", "no pool is named");
        }
        if self
            .pools
            .iter()
            .any(|p| !valid_name(&p.pool) || !p.namespace.as_deref().is_none_or(valid_name))
        {
            return invalid("pools", "a pool or namespace has no usable name");
        }
        let l = &self.limits;
        let times = [
            l.connect_seconds,
            l.read_op_seconds,
            l.read_seconds,
            l.change_seconds,
            l.copy_seconds,
            l.promote_wait_seconds,
            l.follow_wait_seconds,
            l.release_wait_seconds,
            l.force_promote_seconds,
            l.force_promote_stopped_seconds,
        ];
        if l.parallel == 0 || times.contains(&0) {
            return invalid("limits", "a limit is zero");
        }
        if self
            .mirror_daemon
            .as_ref()
            .is_some_and(|d| d.stop.is_empty() || d.start.is_empty())
        {
            return invalid("mirror_daemon", "a command is empty");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> CephConfig {
        serde_json::from_str(
            r#"{"conf":"a.conf","user":"neverstop","keyring":"k","pools":["volumes","fast/ns1"],"site_name":"a"}"#,
        )
        .unwrap()
    }

    #[test]
    fn defaults_and_pool_notation() {
        let c = config();
        c.validate().unwrap();
        assert_eq!(c.limits, Limits::default());
        assert_eq!(c.pools[1].namespace.as_deref(), Some("ns1"));
        let back: CephConfig = serde_json::from_str(&serde_json::to_string(&c).unwrap()).unwrap();
        assert_eq!(back, c);
    }

    #[test]
    fn refuses_what_cannot_work() {
        let wrong: [fn(&mut CephConfig); 6] = [
            |c| c.user = "client.neverstop".into(),
            |c| c.user = "--help".into(),
            |c| c.pools.clear(),
            |c| c.site_name.clear(),
            |c| c.limits.parallel = 0,
            |c| {
                c.mirror_daemon = Some(DaemonControl {
                    stop: vec![],
                    start: vec!["x".into()],
                })
            },
        ];
        for change in wrong {
            let mut c = config();
            change(&mut c);
            assert_eq!(c.validate().unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(serde_json::from_str::<PoolRef>(r#""a/b/c""#).is_err());
    }
}
