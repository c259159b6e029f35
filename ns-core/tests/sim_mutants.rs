//! Proof that the suite can fail: providers with one flaw each fail exactly the cases that are about it.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use futures::stream::BoxStream;
use ns_core::conformance;
use ns_core::model::*;
use ns_core::provider::*;
use ns_core::sim::{SimClock, SimCloudFixture, SimStorageFixture, SimWorld};
use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn world() -> SimWorld {
    SimWorld::new(Arc::new(SimClock::new()), 1)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum StorageFlaw {
    IgnoresTokens,
    PromotesWithoutProof,
    SaysArrivedAtOnce,
    RemovesWhatIsNotOurs,
    JoinsByName,
    AcceptsWithoutDoing,
    RetakesSnapshots,
    HasOneKindOfError,
    ResyncsPrimaries,
    EnablesAgainInTheOtherMode,
}

#[derive(Debug)]
struct Flawed<T: ?Sized, F> {
    flaw: F,
    notes: Mutex<BTreeMap<String, String>>,
    inner: Arc<T>,
}

impl<T: ?Sized, F> Flawed<T, F> {
    fn note(&self, key: &str, value: &str) -> String {
        let mut notes = self.notes.lock().unwrap();
        notes.entry(key.to_owned()).or_insert_with(|| value.to_owned()).clone()
    }
}

impl Flawed<dyn StorageProvider, StorageFlaw> {
    fn changed(&self, error: Error) -> Error {
        match self.flaw {
            StorageFlaw::HasOneKindOfError => Error::new(ErrorKind::Rejected, "flaw", error.to_string()),
            _ => error,
        }
    }
    fn decision() -> Decision {
        let text = || "a flaw".to_owned();
        Decision {
            id: text(),
            operator: text(),
            reason: text(),
        }
    }
}

use StorageFlaw as S;

#[async_trait]
impl StorageProvider for Flawed<dyn StorageProvider, StorageFlaw> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }
    fn capabilities(&self) -> StorageCapabilities {
        self.inner.capabilities()
    }
    async fn check(&self) -> Result<StorageReport> {
        self.inner.check().await
    }
    async fn offer_pairing(&self) -> Result<PairingOffer> {
        self.inner.offer_pairing().await
    }
    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()> {
        self.inner.accept_pairing(offer).await
    }
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        self.inner.image(image).await
    }
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        let found = self.inner.find_replica(id).await?;
        if self.flaw != S::JoinsByName {
            return Ok(found);
        }
        let Some(found) = found else { return Ok(None) };
        let name = StorageRef::new(self.note(id.as_str(), found.as_str()));
        Ok(self.inner.image(&name).await?.map(|i| i.storage))
    }
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        let result = self.inner.enable_replication(image, mode).await;
        if self.flaw == S::EnablesAgainInTheOtherMode && result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Conflict)
        {
            self.inner.disable_replication(image).await?;
            return self.inner.enable_replication(image, mode).await;
        }
        result.map_err(|e| self.changed(e))
    }
    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        if self.flaw == S::AcceptsWithoutDoing
            && self.inner.image(image).await?.is_some_and(|i| i.role == Role::Primary)
        {
            return Ok(());
        }
        self.inner.disable_replication(image).await.map_err(|e| self.changed(e))
    }
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        self.inner.status(image).await.map_err(|e| self.changed(e))
    }
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        if self.flaw == S::RetakesSnapshots {
            self.inner.remove_snapshot(image, name).await?;
        }
        self.inner.snapshot(image, name).await.map_err(|e| self.changed(e))
    }
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        self.inner.snapshots(image).await.map_err(|e| self.changed(e))
    }
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        self.inner.content(image, snapshot).await.map_err(|e| self.changed(e))
    }
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        self.inner
            .remove_snapshot(image, name)
            .await
            .map_err(|e| self.changed(e))
    }
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        self.inner.ship(image, snapshot).await.map_err(|e| self.changed(e))
    }
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        Ok(self.inner.arrived(replica, mark).await? || self.flaw == S::SaysArrivedAtOnce)
    }
    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        self.inner.demote(image).await.map_err(|e| self.changed(e))
    }
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        match self.flaw {
            S::PromotesWithoutProof => self.inner.force_promote(image, &Self::decision()).await,
            _ => self.inner.promote(image, demotion).await.map_err(|e| self.changed(e)),
        }
    }
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.inner
            .force_promote(image, decision)
            .await
            .map_err(|e| self.changed(e))
    }
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        if self.flaw == S::ResyncsPrimaries {
            // Demotes what the service would refuse to resync.
            let primary = self.inner.image(image).await?.is_some_and(|i| i.role == Role::Primary);
            if primary {
                self.inner.demote(image).await?;
            }
        }
        self.inner.resync(image, decision).await.map_err(|e| self.changed(e))
    }
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        if self.flaw == S::IgnoresTokens {
            // A name of its own for every call, as by a random number.
            let count = self.notes.lock().unwrap().len();
            let own = self.note(&count.to_string(), &format!("{count}"));
            let token = Token::of(&JobId::new(own), &TaskKey::new("own"));
            return self.inner.clone_snapshot(image, snapshot, &token).await;
        }
        self.inner
            .clone_snapshot(image, snapshot, token)
            .await
            .map_err(|e| self.changed(e))
    }
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        self.inner.find(token).await
    }
    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        self.inner.flatten(image).await.map_err(|e| self.changed(e))
    }
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        if self.flaw == S::RemovesWhatIsNotOurs && self.inner.image(image).await?.is_some() {
            self.inner.set_metadata(image, TOKEN_KEY, Some(token.as_str())).await?;
        }
        self.inner.remove(image, token).await.map_err(|e| self.changed(e))
    }
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        self.inner.rename(image, name).await.map_err(|e| self.changed(e))
    }
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        self.inner
            .set_metadata(image, key, value)
            .await
            .map_err(|e| self.changed(e))
    }
}

async fn failing_storage(flaw: StorageFlaw, mode: ReplicationMode) -> Vec<&'static str> {
    // One wrapper per side lives as long as the run: some flaws remember.
    let wrapped: Mutex<BTreeMap<String, Storage>> = Mutex::default();
    let wrap = move |inner: Storage| {
        let mut wrapped = wrapped.lock().unwrap();
        let flawed = || {
            let notes = Mutex::default();
            let flawed: Storage = Arc::new(Flawed {
                flaw,
                notes,
                inner: inner.clone(),
            });
            flawed
        };
        let text = format!("{inner:?}");
        let site = text.split_once("site: ").unwrap().1.to_owned();
        wrapped.entry(site).or_insert_with(flawed).clone()
    };
    let fixture = SimStorageFixture::new(world(), mode).wrapped(wrap);
    let report = conformance::storage(&fixture).await;
    println!("{flaw:?} {mode:?}: {:?}", report.failed_names());
    report.failed_names()
}

#[tokio::test]
async fn storage_flaws_are_found() {
    let expected: &[(StorageFlaw, &[&str])] = &[
        (
            S::IgnoresTokens,
            &["drill_on_a_clone", "found_by_token_after_rename", "remove_is_guarded"],
        ),
        (
            S::PromotesWithoutProof,
            &[
                "promote_needs_a_demotion",
                "promote_before_arrival_is_refused",
                "fail_back_too_early_is_refused",
            ],
        ),
        (
            S::SaysArrivedAtOnce,
            &[
                "arrived_means_the_snapshot_is_there",
                "hand_over_and_back_loses_nothing",
            ],
        ),
        (S::RemovesWhatIsNotOurs, &["remove_is_guarded"]),
        (S::AcceptsWithoutDoing, &["disable_removes_the_replica"]),
        (S::RetakesSnapshots, &["snapshot_is_idempotent"]),
        (
            S::HasOneKindOfError,
            &["unknown_image", "replica_is_read_only", "missing_snapshot"],
        ),
        (S::ResyncsPrimaries, &["forced_promotion_shows_on_both_sides"]),
        (S::EnablesAgainInTheOtherMode, &["enable_is_idempotent"]),
        (S::JoinsByName, &["a_rename_is_survived"]),
    ];
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        for (flaw, cases) in expected {
            let failed = failing_storage(*flaw, mode).await;
            let missed: Vec<_> = cases.iter().filter(|c| !failed.contains(c)).collect();
            assert!(
                missed.is_empty(),
                "{flaw:?} in {mode:?} mode passed {missed:?}; it failed {failed:?}"
            );
            assert!(
                failed.len() < 20,
                "{flaw:?} fails nearly everything, so the suite does not say what is wrong: {failed:?}"
            );
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum CloudFlaw {
    ForgetsImageMetadata,
    IgnoresTokens,
    RemovesWhatIsNotOurs,
    SaysDoneTooEarly,
    KeepsDefaultRules,
    ShowsOnePage,
    HasOneKindOfError,
    ReleasesAttachedVolumes,
    ChoosesAddresses,
}

use CloudFlaw as C;

impl Flawed<dyn CloudProvider, CloudFlaw> {
    fn changed(&self, error: Error) -> Error {
        match self.flaw {
            C::HasOneKindOfError => Error::new(ErrorKind::Internal, "flaw", error.to_string()),
            _ => error,
        }
    }
}

#[async_trait]
impl CloudProvider for Flawed<dyn CloudProvider, CloudFlaw> {
    fn platform(&self) -> &'static str {
        self.inner.platform()
    }
    fn capabilities(&self) -> CloudCapabilities {
        self.inner.capabilities()
    }
    async fn check(&self) -> Result<CloudReport> {
        self.inner.check().await
    }
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        use futures::StreamExt;
        let limit = if self.flaw == C::ShowsOnePage { 5 } else { usize::MAX };
        self.inner.inventory(kinds).take(limit).boxed()
    }
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        self.inner.get(kind, id).await
    }
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        let mut spec = spec.clone();
        let mut own = token.clone();
        if self.flaw == C::IgnoresTokens && spec.kind() == CreatedKind::SecurityGroup {
            let count = self.notes.lock().unwrap().len();
            own = Token::of(
                &JobId::new(self.note(&count.to_string(), "own")),
                &TaskKey::new(count.to_string()),
            );
        }
        if let (C::ChoosesAddresses, Spec::Port { fixed_ips, .. }) = (self.flaw, &mut spec) {
            fixed_ips.clear();
        }
        if self.flaw == C::SaysDoneTooEarly && spec.kind() == CreatedKind::Server {
            // As somebody does who believes an accepted request.
            let tenant = spec.tenant().and_then(|t| t.id().ok()).map(CloudId::from);
            {
                let mut work = self.inner.create(&spec, &own);
                while self
                    .inner
                    .find(CreatedKind::Server, tenant.as_ref(), &own)
                    .await?
                    .is_none()
                {
                    if let std::task::Poll::Ready(done) = futures::poll!(work.as_mut()) {
                        return done;
                    }
                }
            }
            let found = self.inner.find(CreatedKind::Server, tenant.as_ref(), &own).await?;
            return found.ok_or_else(|| Error::new(ErrorKind::Internal, "flaw", "lost"));
        }
        let handle = self.inner.create(&spec, &own).await.map_err(|e| self.changed(e))?;
        self.note(handle.id.as_str(), own.as_str());
        if let (C::KeepsDefaultRules, Spec::SecurityGroup { tenant, .. }) = (self.flaw, &spec) {
            let rule = SecurityGroupRule {
                ingress: false,
                ip_version: 4,
                protocol: None,
                port_min: None,
                port_max: None,
                remote_cidr: None,
                remote_group_id: None,
            };
            let rules = Spec::SecurityGroupRules {
                tenant: tenant.clone(),
                group: Ref::Known(handle.id.clone()),
                rules: vec![RuleSpec {
                    rule,
                    remote_group: None,
                }],
            };
            self.inner
                .create(
                    &rules,
                    &Token::of(&JobId::new("flaw"), &TaskKey::new(handle.id.as_str())),
                )
                .await?;
        }
        Ok(handle)
    }
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        self.inner.find(kind, tenant, token).await
    }
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        let result = self.inner.remove(handle, token).await;
        if self.flaw == C::RemovesWhatIsNotOurs && result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Refused) {
            return Ok(());
        }
        result.map_err(|e| self.changed(e))
    }
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        let mut spec = spec.clone();
        if self.flaw == C::ForgetsImageMetadata {
            spec.image_metadata.clear();
        }
        self.inner.adopt(&spec, token).await.map_err(|e| self.changed(e))
    }
    async fn release(&self, volume: &CloudId) -> Result<()> {
        let result = self.inner.release(volume).await;
        match self.flaw {
            C::ReleasesAttachedVolumes => Ok(()),
            _ => result.map_err(|e| self.changed(e)),
        }
    }
    async fn start(&self, server: &CloudId) -> Result<()> {
        self.inner.start(server).await.map_err(|e| self.changed(e))
    }
    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.inner.stop(server).await.map_err(|e| self.changed(e))
    }
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        self.inner.console(server, lines).await.map_err(|e| self.changed(e))
    }
}

#[tokio::test]
async fn cloud_flaws_are_found() {
    let expected: &[(CloudFlaw, &[&str])] = &[
        (C::ForgetsImageMetadata, &["adopt_makes_a_volume"]),
        (
            C::IgnoresTokens,
            &["create_is_idempotent", "a_dropped_call_is_made_again"],
        ),
        (
            C::RemovesWhatIsNotOurs,
            &["remove_checks_the_token", "removing_a_server_keeps_volumes_and_ports"],
        ),
        (C::SaysDoneTooEarly, &["a_server_boots_from_adopted_volumes"]),
        (C::KeepsDefaultRules, &["a_security_group_has_exactly_its_rules"]),
        (C::ShowsOnePage, &["inventory_shows_what_was_made"]),
        (
            C::HasOneKindOfError,
            &["unknown_things", "in_use_is_a_conflict", "an_exhausted_quota"],
        ),
        (
            C::ReleasesAttachedVolumes,
            &[
                "a_server_boots_from_adopted_volumes",
                "a_volume_with_snapshots_is_not_released",
            ],
        ),
        (
            C::ChoosesAddresses,
            &["a_port_keeps_its_addresses", "inventory_shows_what_was_made"],
        ),
    ];
    for (flaw, cases) in expected {
        let flaw = *flaw;
        let wrap = move |inner: Cloud| {
            let flawed: Cloud = Arc::new(Flawed {
                flaw,
                notes: Mutex::default(),
                inner,
            });
            flawed
        };
        let report = conformance::cloud(&SimCloudFixture::new(world()).wrapped(wrap)).await;
        let failed = report.failed_names();
        println!("{flaw:?}: {failed:?}");
        let missed: Vec<_> = cases.iter().filter(|c| !failed.contains(c)).collect();
        assert!(missed.is_empty(), "{flaw:?} passed {missed:?}; it failed {failed:?}");
        assert!(
            failed.len() < 20,
            "{flaw:?} fails nearly everything, so the suite does not say what is wrong: {failed:?}"
        );
    }
}
