//! Clusters: check, register, synchronise, read, delete.

use super::Session;
use super::audit::{Act, Notes};
use super::metadata::metadata_id;
use crate::engine::{Providers, answers, follow_sources, kinds, named, put, remove, sync_cluster};
use crate::model::{
    Cluster, ClusterId, ConnectionState, Inventory, Listing, OwnerGroupId, ProtectionGroup, Query, RecoveryPlan,
    SyncState,
};
use crate::provider::{Cloud, CloudReport, Storage, StorageReport};
use crate::rules::{Area, Verb, Warning};
use crate::sealing::looks_like_a_secret;
use crate::{Error, ErrorKind, Result, rules};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What to register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterRequest {
    /// Unique name (CL-04, CL-05).
    pub name: String,
    /// Who owns it (CL-07).
    pub owner_group_id: OwnerGroupId,
    /// Free text.
    #[serde(default)]
    pub note: String,
}

/// What is to be changed of a cluster (CL-13). Type, owner, address and account cannot be (CL-14, OPEN-42): delete the cluster and
/// register it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterUpdate {
    /// Another name; none leaves it.
    pub name: Option<String>,
    /// Another note; none leaves it.
    pub note: Option<String>,
}

/// A protection group on a cluster with its plans (CL-17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedRecovery {
    /// The group.
    pub group: ProtectionGroup,
    /// Its plans.
    pub plans: Vec<RecoveryPlan>,
}

/// What a connection check found on both halves of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReport {
    /// The cloud.
    pub cloud: CloudReport,
    /// The storage.
    pub storage: StorageReport,
    /// What to tell the operator of the settings, e.g. that an address is plain `http` (SEC-08).
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// See [`Session::clusters`].
#[derive(Debug, Clone, Copy)]
pub struct Clusters<'a> {
    pub(super) session: &'a Session,
}

fn check_rights(missing: &[String]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("rights are missing: {}", missing.join(", "));
    Err(Error::new(ErrorKind::Refused, "cluster.rights", message)
        .with_field("credentials")
        .with_remedy("give the user these rights, or use another user"))
}

/// Refuses a note that looks as if a key or a password stood in it (SEC-15): everybody who may read the cluster reads it.
fn check_note(note: &str) -> Result<()> {
    if !looks_like_a_secret(note) {
        return Ok(());
    }
    let message = "the note looks as if a key or a password stood in it";
    Err(Error::new(ErrorKind::Invalid, "cluster.note_secret", message)
        .with_field("note")
        .with_remedy("leave it out: secrets belong to the connection, where they are sealed"))
}

impl Clusters<'_> {
    /// Checks the connection to a cloud and its storage, before registration or later (CL-02). Nothing is changed.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, providers: ns_core::Providers) -> ns_core::Result<()> {
    /// let report = session.clusters().check(&providers).await?;
    /// for right in &report.cloud.missing_rights {
    ///     println!("the user lacks {right}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unauthenticated` for wrong credentials, `Unavailable` or `Timeout` for an endpoint that does not answer, `Refused`
    /// when rights are missing, the clocks differ too much or the storage does not replicate. Whatever the provider says, field
    /// and remedy are named.
    pub async fn check(&self, providers: &Providers) -> Result<ConnectionReport> {
        let (cloud, storage) = futures::future::join(
            self.check_cloud(&providers.cloud),
            self.check_storage(&providers.storage),
        )
        .await;
        Ok(ConnectionReport {
            cloud: cloud?,
            storage: storage?,
            warnings: Vec::new(),
        })
    }

    /// [`Clusters::check`] of the cloud.
    pub(super) async fn check_cloud(&self, cloud: &Cloud) -> Result<CloudReport> {
        let inner = &self.session.inner;
        let limit = inner.settings().call_limit;
        let report = crate::ports::with_deadline(&*inner.clock, limit, "the cloud", cloud.check()).await;
        let report = report.map_err(|e| named(e, "cloud"))?;
        check_rights(&report.missing_rights)?;
        if report.clock_skew_seconds.unsigned_abs() > u64::from(inner.settings().clock_skew_limit_seconds) {
            let message = format!("the cloud's clock differs by {} s", report.clock_skew_seconds);
            return Err(Error::new(ErrorKind::Refused, "cluster.clock_skew", message)
                .with_field("clock_skew_limit_seconds")
                .with_remedy("synchronise the clocks of both: data loss is measured in time"));
        }
        Ok(report)
    }

    /// [`Clusters::check`] of the storage.
    pub(super) async fn check_storage(&self, storage: &Storage) -> Result<StorageReport> {
        let inner = &self.session.inner;
        let limit = inner.settings().call_limit;
        let report = crate::ports::with_deadline(&*inner.clock, limit, "the storage", storage.check()).await;
        let report = report.map_err(|e| named(e, "storage"))?;
        check_rights(&report.missing_rights)?;
        if report.pools.is_empty() {
            return Err(Error::new(
                ErrorKind::Refused,
                "cluster.replication",
                "no pool of the storage replicates",
            )
            .with_field("storage")
            .with_remedy("enable mirroring on the pools of the protected volumes"));
        }
        Ok(report)
    }

    /// Registers a cluster that passes [`Clusters::check`] and reads its inventory (CL-03, CL-09). Its providers stay the embedding
    /// program's to make; with [`Clusters::add`] the engine keeps the connection.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, providers: ns_core::Providers) -> ns_core::Result<()> {
    /// use ns_core::session::ClusterRequest;
    ///
    /// let request = ClusterRequest {
    ///     name: "seoul-1".to_owned(),
    ///     owner_group_id: "ops".into(),
    ///     note: String::new(),
    /// };
    /// let cluster = session.clusters().register(request, providers).await?;
    /// println!("{} holds {}", cluster.id, cluster.storage_kind);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Clusters::check`]; `Invalid` for a bad name, or a note that looks like a secret (SEC-15); `Refused` for a platform that the
    /// licence does not name, or without the licence that the engine asks for (CL-06); `Conflict` for one that is taken (CL-05); `Denied` for an owner that is
    /// no group of the actor's (CL-07).
    pub async fn register(&self, request: ClusterRequest, providers: Providers) -> Result<Cluster> {
        let act = Act::new(Area::Clusters, Verb::Create, "clusters.register", &request.name);
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let name = self.may_register(&request, providers.cloud.platform()).await?;
                let cluster = self.checked(request, name, &providers).await?;
                inner
                    .records()
                    .commit(vec![put(kinds::CLUSTER, cluster.id.as_str(), Some(0), &cluster)?])
                    .await?;
                inner.attach(&cluster.id, providers);
                self.synchronise(&cluster.id).await?;
                self.get(&cluster.id).await
            })
            .await
    }

    /// What can be refused before anything is connected to; the name as it is to be stored.
    pub(super) async fn may_register(&self, request: &ClusterRequest, platform: &str) -> Result<String> {
        rules::check_owner(&self.session.actor, &request.owner_group_id)?;
        check_note(&request.note)?;
        let inner = &self.session.inner;
        let others = inner.records().all::<Cluster>(kinds::CLUSTER, |_| true).await?;
        rules::check_platform(inner.license().await?.as_ref(), platform)?;
        rules::check_new_name("name", &request.name, others.iter().map(|c| c.name.as_str()))
    }

    /// A cluster whose connection was verified, not stored yet.
    pub(super) async fn checked(
        &self,
        request: ClusterRequest,
        name: String,
        providers: &Providers,
    ) -> Result<Cluster> {
        let inner = &self.session.inner;
        let report = self.check(providers).await?;
        Ok(Cluster {
            id: ClusterId::new(inner.ids.next()),
            name,
            owner_group_id: request.owner_group_id,
            note: request.note,
            platform: providers.cloud.platform().to_owned(),
            storage_kind: providers.storage.kind().to_owned(),
            storage_id: report.storage.storage_id,
            connection: ConnectionState::Active,
            inactive_because: None,
            sync: SyncState::Init,
            registered_at: inner.clock.now(),
            modified_at: None,
        })
    }

    /// Changes name or note of a cluster; needs no connection (CL-13, CON-04).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use ns_core::session::ClusterUpdate;
    ///
    /// let note = Some("moves to the new hall in May".to_owned());
    /// session.clusters().update(&id, ClusterUpdate { note, ..Default::default() }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a bad name or a note that looks like a secret; `Conflict` for a name that is taken.
    pub async fn update(&self, id: &ClusterId, update: ClusterUpdate) -> Result<Cluster> {
        let notes = Notes::default();
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.update", id);
        self.session
            .change_noted(act, &notes, async {
                let was = self.get(id).await?;
                let inner = &self.session.inner;
                let name = match &update.name {
                    Some(name) => {
                        let others = inner.records().all::<Cluster>(kinds::CLUSTER, |c| &c.id != id).await?;
                        Some(rules::check_new_name(
                            "name",
                            name,
                            others.iter().map(|c| c.name.as_str()),
                        )?)
                    }
                    None => None,
                };
                if let Some(note) = &update.note {
                    check_note(note)?;
                }
                let now = inner.clock.now();
                let change = |cluster: &mut Cluster| {
                    let was = (cluster.name.clone(), cluster.note.clone());
                    cluster.name = name.clone().unwrap_or_else(|| was.0.clone());
                    cluster.note = update.note.clone().unwrap_or_else(|| was.1.clone());
                    if was != (cluster.name.clone(), cluster.note.clone()) {
                        cluster.modified_at = Some(now);
                    }
                    Ok(())
                };
                let cluster = inner.records().update(kinds::CLUSTER, id.as_str(), change).await?;
                notes.fields(&was, &cluster)?;
                Ok(cluster)
            })
            .await
    }

    /// The groups on a cluster that the actor sees, each with its plans (CL-17, UI-09).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// for linked in session.clusters().recovery(&id).await? {
    ///     println!("{} has {} plans", linked.group.name, linked.plans.len());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn recovery(&self, id: &ClusterId) -> Result<Vec<LinkedRecovery>> {
        self.get(id).await?;
        let records = self.session.inner.records();
        let mine = |g: &ProtectionGroup| &g.source_cluster == id && self.session.actor.sees(&g.owner_group_id);
        let groups = records.all::<ProtectionGroup>(kinds::GROUP, mine).await?;
        let mut plans = records.all::<RecoveryPlan>(kinds::PLAN, |_| true).await?;
        let linked = groups.into_iter().map(|group| LinkedRecovery {
            plans: plans.extract_if(.., |plan| plan.group_id == group.id).collect(),
            group,
        });
        Ok(linked.collect())
    }

    /// Reads a cluster's inventory anew (CL-18).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// let inventory = session.clusters().sync(&id).await?;
    /// println!("{} instances", inventory.instances.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the cloud; the last good inventory is kept then.
    pub async fn sync(&self, id: &ClusterId) -> Result<Arc<Inventory>> {
        let act = Act::new(Area::Clusters, Verb::Update, "clusters.sync", id);
        self.session
            .change(act, async {
                self.get(id).await?;
                self.synchronise(id).await
            })
            .await
    }

    pub(super) async fn synchronise(&self, id: &ClusterId) -> Result<Arc<Inventory>> {
        let inventory = sync_cluster(&self.session.inner, id).await?;
        follow_sources(&self.session.inner, Some(id)).await?;
        Ok(inventory)
    }

    /// Looks whether a cluster answers and keeps the answer with it (CL-11).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// let connection = session.clusters().probe(&id).await?;
    /// println!("{connection:?}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the store; a cluster that does not answer is not an error but `Inactive`.
    pub async fn probe(&self, id: &ClusterId) -> Result<ConnectionState> {
        self.get(id).await?;
        Ok(self.seen(id, false).await?.connection)
    }

    /// A cluster with the state of its connection now, which a dry run does not keep. It is asked what the monitor asks it: rights
    /// that are missing are found by [`Clusters::check`], which also needs what a cloud that answers may be without for a while.
    pub(super) async fn seen(&self, id: &ClusterId, dry_run: bool) -> Result<Cluster> {
        let inner = &self.session.inner;
        let mut cluster: Cluster = inner.records().get(kinds::CLUSTER, id.as_str()).await?;
        let looked = answers(inner, id).await;
        if !dry_run {
            inner.set_connection(id, &looked).await?;
        }
        cluster.connection = match looked {
            Ok(()) => ConnectionState::Active,
            Err(_) => ConnectionState::Inactive,
        };
        cluster.inactive_because = looked.err().map(|error| error.to_record());
        Ok(cluster)
    }

    /// One cluster.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// let cluster = session.clusters().get(&id).await?;
    /// println!("{}: {:?}", cluster.name, cluster.connection);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &ClusterId) -> Result<Cluster> {
        self.session.cluster(id).await
    }

    /// The cluster with this name, in whichever Unicode form it is typed (OPEN-06).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// if let Some(cluster) = session.clusters().by_name("seoul-1").await? {
    ///     println!("{}", cluster.id);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the store.
    pub async fn by_name(&self, name: &str) -> Result<Option<Cluster>> {
        let name = rules::normal_name(name);
        let mine = |c: &Cluster| c.name == name && self.session.actor.sees(&c.owner_group_id);
        let found = self.session.inner.records().all(kinds::CLUSTER, mine).await?;
        Ok(found.into_iter().next())
    }

    /// A part of the clusters that the actor sees (CL-10, UI-06).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// let part = session.clusters().list(&Query::default().search("seoul").sort("name")).await?;
    /// println!("{} of {}", part.items.len(), part.total);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<Cluster>> {
        let mine = |c: &Cluster| self.session.actor.sees(&c.owner_group_id);
        self.session.listed(kinds::CLUSTER, query, mine).await
    }

    /// Forgets a cluster, with its connection and the metadata of its volumes; needs no connection (CL-19).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// session.clusters().delete(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused` while a group is on it or a plan leads to it (CL-20, CL-21, OPEN-13).
    pub async fn delete(&self, id: &ClusterId) -> Result<()> {
        let act = Act::new(Area::Clusters, Verb::Delete, "clusters.delete", id);
        self.session
            .change(act, async {
                self.get(id).await?;
                let inner = &self.session.inner;
                let records = inner.records();
                let groups = records
                    .all::<ProtectionGroup>(kinds::GROUP, |g| &g.source_cluster == id)
                    .await?;
                let plans = records
                    .all::<RecoveryPlan>(kinds::PLAN, |p| &p.target_cluster == id)
                    .await?;
                let users: Vec<_> = groups
                    .iter()
                    .map(|g| g.name.as_str())
                    .chain(plans.iter().map(|p| p.name.as_str()))
                    .collect();
                if !users.is_empty() {
                    return Err(Error::new(
                        ErrorKind::Refused,
                        "cluster.in_use",
                        format!("it is used by {}", users.join(", ")),
                    )
                    .with_field("cluster_id")
                    .with("cluster", id)
                    .with_remedy("delete these groups and plans first"));
                }
                // The record goes last: who dies over it can delete it again, and leaves nothing that nobody would find.
                inner.forget_inventory(id).await?;
                let mut writes = vec![
                    remove(kinds::CLUSTER, id.as_str()),
                    remove(kinds::CONNECTION, id.as_str()),
                ];
                let metadata = self.stored_metadata(id).await?;
                writes.extend(
                    metadata
                        .iter()
                        .map(|m| remove(kinds::VOLUME_METADATA, &metadata_id(id, &m.volume_type))),
                );
                records.commit(writes).await?;
                inner.detach(id);
                Ok(())
            })
            .await
    }
}
