//! What the Ceph lab tests share: the two clusters of the running lab, and bytes written and read by Ceph's own tools and
//! not by the provider under test.
//!
//! The lab's folder is `NEVERSTOP_LAB`, by default `/var/lib/neverstop-lab`. Tests fail, never skip, when it is not up.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use async_trait::async_trait;
use ns_ceph::{AdminUser, Ceph, CephConfig, Limits, PoolRef, Programs};
use ns_core::conformance::{Side, StorageFixture};
use ns_core::model::{JobId, ReplicationMode, StorageRef, TaskKey};
use ns_core::ports::{Clock, IdSource, RandomIds, SystemClock};
use ns_core::provider::{Decision, Storage, Token};
use ns_core::{Error, ErrorKind, Result};
use std::future::Future;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

pub(crate) const POOL: &str = "volumes";
pub(crate) const MODES: [ReplicationMode; 2] = [ReplicationMode::Snapshot, ReplicationMode::Journal];

/// The lab's folder.
pub(crate) fn lab() -> PathBuf {
    let dir = std::env::var_os("NEVERSTOP_LAB").map_or_else(|| PathBuf::from("/var/lib/neverstop-lab"), PathBuf::from);
    assert!(
        dir.join("ceph/site-a/ceph.conf").exists(),
        "no lab in {}: cargo xtask lab up",
        dir.display()
    );
    dir
}

/// `a` or `b`.
pub(crate) const fn letter(side: Side) -> &'static str {
    match side {
        Side::Primary => "a",
        Side::Secondary => "b",
    }
}

/// How a host would write down one site of the lab.
pub(crate) fn config(side: Side) -> CephConfig {
    let site = format!("site-{}", letter(side));
    let dir = lab().join("ceph").join(&site);
    CephConfig {
        conf: dir.join("ceph.conf"),
        user: "neverstop".into(),
        keyring: dir.join("ceph.client.neverstop.keyring"),
        admin: Some(AdminUser {
            user: "admin".into(),
            keyring: dir.join("ceph.client.admin.keyring"),
        }),
        pools: vec![PoolRef::new(POOL)],
        site_name: site,
        limits: Limits::default(),
        programs: Programs::default(),
        mirror_daemon: None,
    }
}

pub(crate) fn ceph(side: Side) -> Ceph {
    Ceph::new(config(side)).unwrap()
}

/// Runs `rbd` on a site as its administrator.
pub(crate) async fn rbd_output(side: Side, args: &[&str], input: &[u8]) -> Output {
    run_as_admin("rbd", side, args, input).await
}

/// What `rados` prints of the pool's objects.
pub(crate) async fn rados(side: Side, args: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run_as_admin("rados", side, &[&["--pool", POOL], args].concat(), input).await;
    assert!(output.status.success(), "rados {args:?}: {output:?}");
    output.stdout
}

pub(crate) async fn run_as_admin(program: &str, side: Side, args: &[&str], input: &[u8]) -> Output {
    let dir = lab().join(format!("ceph/site-{}", letter(side)));
    let mut child = Command::new(program)
        .arg("--conf")
        .arg(dir.join("ceph.conf"))
        .args(["--id", "admin", "--client_mount_timeout", "10"])
        // Longer than a killed client's lock lives; a sick lab ends a test and does not hang it.
        .args(["--rados_osd_op_timeout", "60", "--rados_mon_op_timeout", "60"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = async {
        let _closed_early = stdin.write_all(input).await;
        drop(stdin);
    };
    let (_, output) = tokio::join!(feed, child.wait_with_output());
    output.unwrap()
}

/// As an error that the suite understands: 16 and 39 are "busy".
pub(crate) async fn rbd_in(side: Side, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let output = rbd_output(side, args, input).await;
    let kind = match output.status.code() {
        Some(0) => return Ok(output.stdout),
        Some(2) => ErrorKind::NotFound,
        Some(16 | 39) => ErrorKind::Conflict,
        Some(30) => ErrorKind::Refused,
        Some(110) => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default().to_owned();
    Err(Error::new(kind, "lab.rbd", said)
        .with("args", args.join(" "))
        .with("exit", output.status))
}

pub(crate) async fn rbd(side: Side, args: &[&str]) -> Result<Vec<u8>> {
    rbd_in(side, args, &[]).await
}

/// `pool/image` of a reference.
pub(crate) fn arg(image: &StorageRef) -> String {
    image.as_str().strip_prefix("rbd:").unwrap().to_owned()
}

pub(crate) fn image_ref(name: &str) -> StorageRef {
    StorageRef::new(format!("rbd:{POOL}/{name}"))
}

pub(crate) fn decision(reason: &str) -> Decision {
    Decision {
        id: "lab".into(),
        operator: "lab".into(),
        reason: reason.into(),
    }
}

pub(crate) fn token(test: &str) -> Token {
    Token::of(&JobId::new(RandomIds.next()), &TaskKey::new(test))
}

/// Writes bytes into an image: a difference of one extent, applied.
pub(crate) async fn write(side: Side, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
    let mut diff = b"rbd diff v1\nw".to_vec();
    diff.extend(offset.to_le_bytes());
    diff.extend((data.len() as u64).to_le_bytes());
    diff.extend(data);
    diff.push(b'e');
    rbd_in(side, &["import-diff", "--no-progress", "-", &arg(image)], &diff)
        .await
        .map(drop)
}

pub(crate) async fn read(
    side: Side,
    image: &StorageRef,
    snapshot: Option<&str>,
    offset: u64,
    len: usize,
) -> Result<Vec<u8>> {
    let spec = snapshot.map_or_else(|| arg(image), |s| format!("{}@{s}", arg(image)));
    let all = rbd(side, &["export", "--no-progress", &spec, "-"]).await?;
    let end = (offset as usize + len).min(all.len());
    Ok(all[offset as usize..end].to_vec())
}

/// The two sites of the lab in one mode.
pub(crate) struct Lab {
    pub(crate) mode: ReplicationMode,
    pub(crate) a: Arc<Ceph>,
    pub(crate) b: Arc<Ceph>,
}

impl Lab {
    pub(crate) fn new(mode: ReplicationMode) -> Self {
        Self {
            mode,
            a: Arc::new(ceph(Side::Primary)),
            b: Arc::new(ceph(Side::Secondary)),
        }
    }
}

#[async_trait]
impl StorageFixture for Lab {
    fn primary(&self) -> Storage {
        self.a.clone()
    }
    fn secondary(&self) -> Storage {
        self.b.clone()
    }
    fn mode(&self) -> ReplicationMode {
        self.mode
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
    async fn make_image(&self, size_bytes: u64) -> Result<StorageRef> {
        let image = image_ref(&format!("lab-ceph-{}", RandomIds.next()));
        rbd(
            Side::Primary,
            &["create", "--size", &format!("{size_bytes}B"), &arg(&image)],
        )
        .await?;
        Ok(image)
    }
    async fn write(&self, side: Side, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
        write(side, image, offset, data).await
    }
    async fn read(
        &self,
        side: Side,
        image: &StorageRef,
        snapshot: Option<&str>,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>> {
        read(side, image, snapshot, offset, len).await
    }
    async fn remove_image(&self, side: Side, image: &StorageRef) -> Result<()> {
        remove_image(side, image).await
    }
    /// Cases wait for the daemons' 30 s rounds most of the time; a look costs several processes.
    fn concurrency(&self) -> usize {
        4
    }
    async fn settle(&self) -> Result<()> {
        SystemClock.sleep(Duration::from_secs(2)).await;
        Ok(())
    }
}

/// Removes an image whatever its state: the way an administrator would. It may go by itself meanwhile.
pub(crate) async fn remove_image(side: Side, image: &StorageRef) -> Result<()> {
    match try_remove_image(side, image).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

async fn try_remove_image(side: Side, image: &StorageRef) -> Result<()> {
    let spec = arg(image);
    let Ok(info) = rbd(side, &["info", &spec, "--format", "json"]).await else {
        return Ok(());
    };
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    let mirroring = &info["mirroring"];
    if mirroring["primary"] == true {
        rbd(side, &["mirror", "image", "disable", &spec]).await?;
    } else if let Some(id) = mirroring["global_id"].as_str() {
        // Measured: forced off on the replica alone, the mirror daemon keeps it open for as long as the primary is there.
        let peer = if side == Side::Primary {
            Side::Secondary
        } else {
            Side::Primary
        };
        if let Some(primary) = primary_of(peer, id).await? {
            rbd(peer, &["mirror", "image", "disable", &arg(&primary)]).await?;
            return Err(
                Error::new(ErrorKind::Conflict, "lab.replica", "the replica goes by itself").with("image", image),
            );
        }
        rbd(side, &["mirror", "image", "disable", "--force", &spec]).await?;
    }
    let snaps = rbd(side, &["snap", "ls", &spec, "--format", "json"]).await?;
    let snaps: Vec<serde_json::Value> = serde_json::from_slice(&snaps).unwrap();
    for snap in snaps.iter().filter(|s| s["protected"] == "true") {
        let name = snap["name"].as_str().unwrap();
        rbd(side, &["snap", "unprotect", &format!("{spec}@{name}")]).await?;
    }
    if !snaps.is_empty() {
        rbd(side, &["snap", "purge", "--no-progress", &spec]).await?;
    }
    rbd(side, &["rm", "--no-progress", &spec]).await.map(drop)
}

/// The primary with this identity on a side.
async fn primary_of(side: Side, global_id: &str) -> Result<Option<StorageRef>> {
    let status = rbd(
        side,
        &["mirror", "pool", "status", POOL, "--verbose", "--format", "json"],
    )
    .await?;
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    for image in status["images"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|i| i["global_id"] == global_id)
    {
        let image = image_ref(image["name"].as_str().unwrap());
        let info = rbd(side, &["info", &arg(&image), "--format", "json"]).await?;
        let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
        if info["mirroring"]["primary"] == true {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// Removes images on both sites, trying again while they are busy.
pub(crate) async fn clean(images: &[&StorageRef]) {
    eventually("the test's images are removed", Duration::from_secs(120), || async {
        for side in Side::BOTH {
            for image in images {
                remove_image(side, image).await.ok()?;
            }
        }
        for side in Side::BOTH {
            for image in images {
                if rbd(side, &["info", &arg(image)]).await.is_ok() {
                    return None;
                }
            }
        }
        Some(())
    })
    .await;
}

/// Polls until `look` gives a value; panics when it does not in time.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
