//! What the OpenStack lab tests share: the two clouds of the running lab, images made with Ceph's own tool and not through
//! the provider, and a scene that removes everything made on it.
//!
//! The lab's folder is `NEVERSTOP_LAB`, by default `/var/lib/neverstop-lab`. Tests fail, never skip, when it is not up.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod fixture;

use anyhow::{Context, Result, bail, ensure};
use ns_core::model::{CloudId, JobId, StorageRef, TaskKey};
use ns_core::ports::{IdSource, RandomIds};
use ns_core::provider::{AdoptSpec, CloudProvider, CreatedKind, Handle, Ref, Spec, Token};
use ns_openstack::{OpenStack, OpenStackConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

pub(crate) use fixture::Site;

/// The lab's folder.
pub(crate) fn lab() -> PathBuf {
    let dir = std::env::var_os("NEVERSTOP_LAB").map_or_else(|| PathBuf::from("/var/lib/neverstop-lab"), PathBuf::from);
    assert!(
        dir.join("clouds.yaml").exists(),
        "no lab in {}: cargo xtask lab up",
        dir.display()
    );
    dir
}

/// The lab's own summary.
pub(crate) fn facts() -> Value {
    let text = std::fs::read_to_string(lab().join("lab.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A fact of one cloud of the summary.
pub(crate) fn fact(site: &str, pointer: &str) -> String {
    let at = format!("/openstack/clouds/cloud-{site}{pointer}");
    let facts = facts();
    facts
        .pointer(&at)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {at} in lab.json"))
        .to_owned()
}

/// How a host would write down a cloud of the lab.
pub(crate) fn config(cloud: &str) -> OpenStackConfig {
    let mut config = OpenStackConfig::from_clouds_yaml(Some(&lab().join("clouds.yaml")), cloud).unwrap();
    config.allow_http = true;
    config
}

pub(crate) fn cloud(name: &str) -> OpenStack {
    OpenStack::new(config(name)).unwrap()
}

/// Runs a tool and gives what it says.
pub(crate) async fn run(command: &mut Command) -> Result<String> {
    command.kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output())
        .await
        .context("too slow")??;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Ceph's own tool on a site, as its administrator.
pub(crate) async fn rbd(site: &str, args: &[&str]) -> Result<String> {
    let dir = lab().join(format!("ceph/site-{site}"));
    let mut command = Command::new("rbd");
    command
        .arg("--conf")
        .arg(dir.join("ceph.conf"))
        .args(["--id", "admin"])
        .args(args);
    run(&mut command).await
}

/// Ceph's own tool, fed with bytes and giving bytes.
pub(crate) async fn rbd_bytes(site: &str, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let dir = lab().join(format!("ceph/site-{site}"));
    let mut command = Command::new("rbd");
    command
        .arg("--conf")
        .arg(dir.join("ceph.conf"))
        .args(["--id", "admin"])
        .args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let feed = async {
        let _closed_early = stdin.write_all(input).await;
        drop(stdin);
    };
    let (_, output) = tokio::join!(feed, child.wait_with_output());
    let output = output?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// OpenStack's own tool, for what the provider has no business with.
pub(crate) async fn openstack(cloud: &str, args: &[&str]) -> Result<String> {
    let mut command = Command::new("openstack");
    command
        .env("OS_CLIENT_CONFIG_FILE", lab().join("clouds.yaml"))
        .args(["--os-cloud", cloud])
        .args(args);
    run(&mut command).await
}

/// `pool/image` of a reference.
pub(crate) fn image(storage: &StorageRef) -> &str {
    storage.as_str().strip_prefix("rbd:").unwrap()
}

/// One test's things in one cloud.
pub(crate) struct Scene {
    pub(crate) site: &'static str,
    pub(crate) cloud: OpenStack,
    job: JobId,
    made: Mutex<Vec<Made>>,
}

#[derive(Clone)]
enum Made {
    Thing(CreatedKind, Option<CloudId>, Token),
    Image(StorageRef),
}

impl Scene {
    pub(crate) fn new(site: &'static str) -> Self {
        let run = RandomIds.next();
        Self {
            site,
            cloud: cloud(&format!("cloud-{site}")),
            job: JobId::new(format!("lab-{run}")),
            made: Mutex::default(),
        }
    }

    pub(crate) fn token(&self, what: &str) -> Token {
        Token::of(&self.job, &TaskKey::new(what))
    }

    pub(crate) fn name(&self, what: &str) -> String {
        format!(
            "ns-test-{what}-{}",
            self.token(what).as_str().chars().skip(3).take(8).collect::<String>()
        )
    }

    fn note(&self, made: Made) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// Makes a thing, proves that making it again gives the same and that it is found, and has it removed afterwards.
    pub(crate) async fn create(&self, what: &str, spec: Spec) -> Result<CloudId> {
        let token = self.token(what);
        let tenant = spec.tenant().map(Ref::id).transpose()?.map(CloudId::from);
        self.note(Made::Thing(spec.kind(), tenant.clone(), token.clone()));
        let began = Instant::now();
        let handle = self
            .cloud
            .create(&spec, &token)
            .await
            .with_context(|| format!("create {what}"))?;
        let took = began.elapsed();
        let again = self
            .cloud
            .create(&spec, &token)
            .await
            .with_context(|| format!("create {what} again"))?;
        ensure!(handle == again, "{what}: {handle:?} and then {again:?}");
        let found = self
            .cloud
            .find(spec.kind(), tenant.as_ref(), &token)
            .await?
            .with_context(|| format!("find {what}"))?;
        ensure!(
            found.id == handle.id && found.tenant == handle.tenant,
            "{what}: {handle:?} but found {found:?}"
        );
        let stranger = self.token("stranger");
        ensure!(
            self.cloud
                .find(spec.kind(), tenant.as_ref(), &stranger)
                .await?
                .is_none(),
            "{what} found by another's token"
        );
        let refused = self.cloud.remove(&handle, &stranger).await.expect_err(what);
        ensure!(refused.kind() == ns_core::ErrorKind::Refused, "{what}: {refused:?}");
        println!("{what}: {} in {} ms", handle.id, took.as_millis());
        Ok(handle.id)
    }

    /// A tenant of its own in which the engine may work.
    pub(crate) async fn tenant(&self) -> Result<CloudId> {
        let spec = Spec::Tenant {
            name: self.name("tenant"),
            description: "a test's".into(),
        };
        let tenant = self.create("tenant", spec).await?;
        self.create("access", Spec::TenantAccess { tenant: known(&tenant) })
            .await?;
        Ok(tenant)
    }

    /// An image that no cloud knows, removed afterwards under whatever name.
    pub(crate) async fn image(&self, what: &str, mib: u32) -> Result<StorageRef> {
        let storage = StorageRef::new(format!("rbd:volumes/{}", self.name(what)));
        self.note(Made::Image(storage.clone()));
        rbd(self.site, &["create", "--size", &format!("{mib}M"), image(&storage)]).await?;
        Ok(storage)
    }

    pub(crate) fn adoption(&self, what: &str, tenant: &CloudId, storage: &StorageRef) -> AdoptSpec {
        AdoptSpec {
            tenant: known(tenant),
            storage: storage.clone(),
            name: self.name(what),
            volume_type: "ceph".into(),
            bootable: false,
            availability_zone: None,
            metadata: BTreeMap::new(),
            image_metadata: BTreeMap::new(),
        }
    }

    /// Adopts, and has volume and image removed afterwards.
    pub(crate) async fn adopt(&self, what: &str, spec: &AdoptSpec) -> Result<Handle> {
        self.note(Made::Thing(
            CreatedKind::Volume,
            Some(spec.tenant.id()?.into()),
            self.token(what),
        ));
        let began = Instant::now();
        let handle = self
            .cloud
            .adopt(spec, &self.token(what))
            .await
            .with_context(|| format!("adopt {what}"))?;
        println!("{what}: {} in {} ms", handle.id, began.elapsed().as_millis());
        self.note(Made::Image(handle.storage.clone().context("no storage")?));
        Ok(handle)
    }

    async fn remove(&self, made: &Made) -> Result<()> {
        match made {
            Made::Image(storage) => {
                let there = rbd(self.site, &["info", image(storage)]).await.is_ok();
                if there {
                    rbd(self.site, &["snap", "purge", image(storage)]).await.ok();
                    rbd(self.site, &["rm", "--no-progress", image(storage)]).await?;
                }
            }
            Made::Thing(kind, tenant, token) => {
                let Some(handle) = self.cloud.find(*kind, tenant.as_ref(), token).await? else {
                    return Ok(());
                };
                if *kind == CreatedKind::Volume {
                    self.cloud.release(&handle.id).await?;
                } else {
                    self.cloud.remove(&handle, token).await?;
                    self.cloud.remove(&handle, token).await.context("remove again")?;
                }
                let left = self.cloud.find(*kind, tenant.as_ref(), token).await?;
                ensure!(left.is_none(), "still there: {left:?}");
            }
        }
        Ok(())
    }

    /// Removes everything in the reverse order. The scene's own end: a test fails when something stays.
    pub(crate) async fn finish<T>(self, outcome: Result<T>) -> T {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        // Images last: a volume's is free only when the volume is let go of.
        let (images, things): (Vec<_>, Vec<_>) = made.into_iter().rev().partition(|m| matches!(m, Made::Image(_)));
        let mut left = Vec::new();
        for made in things.iter().chain(&images) {
            if let Err(e) = self.remove(made).await {
                left.push(format!("{e:?}"));
            }
        }
        match outcome {
            Ok(value) => {
                assert!(left.is_empty(), "not removed: {left:#?}");
                value
            }
            Err(e) => panic!("{e:?}\nnot removed: {left:#?}"),
        }
    }
}

pub(crate) fn known(id: &CloudId) -> Ref {
    Ref::Known(id.clone())
}

/// Looks until something is so.
pub(crate) async fn until<T>(what: &str, seconds: u64, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "not within {seconds} s: {what}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
