//! Typed access to the store's documents: which kinds there are, and how they are read and written.

use super::connections::StoredConnection;
use super::fences::HeldFence;
use super::inventory::InventoryHead;
use super::licensing::StoredLicense;
use super::logins::{Credential, Installation, LoginAttempts, StoredLogin};
use super::remote::Note;
use super::schedule::PointSchedule;
use super::telling::{Condition, EventHead};
use super::tuning::StoredSettings;
use super::watch::TwoWriters;
use crate::model::{
    Approval, AuditEntry, Cluster, ClusterEvent, ClusterId, Delivery, DrillSchedule, Home, Inventory, JobId,
    JobSummary, PlanChange, PlanId, ProductEvent, ProtectionGroup, RecoveryPlan, RecoveryPoint, ReplicationId,
    Resource, Subscription, User, UserGroup, VolumeMetadata, queryable,
};
use crate::planning::PointRemains;
use crate::report::RecoveryReport;
use crate::store::{Record, Store, Write};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Names each kind of document with the type that its body has.
macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident: $body:ty = $kind:literal),* $(,)?) => {
        /// The kinds of documents.
        pub(crate) mod kinds {
            $($(#[$doc])* pub(crate) const $name: &str = $kind;)*
        }

        /// Every kind of document that an engine stores.
        pub const DOCUMENTS: &[&str] = &[$($kind),*];

        /// Reads a stored document as the engine does, and gives it as this version would write it: to look whether a store
        /// can be read before it is used, e.g. after it was restored or written by an earlier version.
        ///
        /// # Errors
        /// `Corrupt` when it cannot be read; `NotFound` when there is no such kind.
        pub fn reread(kind: &str, id: &str, body: &str) -> Result<String> {
            match kind {
                $($kind => again::<$body>(kind, id, body),)*
                _ => Err(Error::new(
                    ErrorKind::NotFound,
                    "record.kind",
                    format!("no document is of the kind {kind}"),
                )),
            }
        }
    };
}

documents! {
    CLUSTER: Cluster = "cluster",
    /// A whole inventory, as it was kept before each thing was kept by itself; read, not written.
    INVENTORY: Inventory = "inventory",
    RESOURCE: Resource = "resource",
    INVENTORY_HEAD: InventoryHead = "inventory-head",
    CLUSTER_EVENT: ClusterEvent = "cluster-event",
    GROUP: ProtectionGroup = "group",
    PLAN: RecoveryPlan = "plan",
    PLAN_CHANGE: PlanChange = "plan-change",
    POINT: RecoveryPoint = "point",
    /// What is left of a recovery point that cannot be chosen any more, or never could: to be removed from both sides.
    EXPIRED: PointRemains = "expired-point",
    JOB: JobSummary = "job",
    REPORT: RecoveryReport = "report",
    EPOCH: VolumeEpoch = "epoch",
    TWO_WRITERS: TwoWriters = "two-writers",
    FAILBACK: FailbackOffer = "failback",
    ORDER: Note = "order",
    FENCE: HeldFence = "fence",
    POINT_SCHEDULE: PointSchedule = "point-schedule",
    DRILL_SCHEDULE: DrillSchedule = "drill-schedule",
    /// How a cluster is connected to, its secrets sealed; its id is the cluster's.
    CONNECTION: StoredConnection = "connection",
    VOLUME_METADATA: VolumeMetadata = "volume-metadata",
    /// The registered licence key; there is one.
    LICENSE: StoredLicense = "license",
    /// What was changed of the settings; there is one.
    SETTINGS: StoredSettings = "settings",
    /// An event with its place.
    EVENT: ProductEvent = "event",
    /// An event that has no place yet.
    EVENT_NEW: ProductEvent = "event-new",
    EVENT_HEAD: EventHead = "event-head",
    CONDITION: Condition = "condition",
    SUBSCRIPTION: Subscription = "subscription",
    /// A message that is to be delivered.
    DELIVERY: Delivery = "delivery",
    USER: User = "user",
    USER_GROUP: UserGroup = "user-group",
    /// The hash of an account's password; its id is the account's.
    CREDENTIAL: Credential = "credential",
    /// Its id is the digest of what its holder has.
    LOGIN: StoredLogin = "login",
    LOGIN_ATTEMPTS: LoginAttempts = "login-attempts",
    INSTALLATION: Installation = "installation",
    AUDIT: AuditEntry = "audit",
    APPROVAL: Approval = "approval",
}

fn again<T: DeserializeOwned + Serialize>(kind: &str, id: &str, body: &str) -> Result<String> {
    let value: T = serde_json::from_str(body).map_err(|e| unreadable(kind, id, e))?;
    serde_json::to_string(&value)
        .map_err(|e| Error::new(ErrorKind::Internal, "record.encode", e.to_string()).with("kind", kind))
}

/// Why it was safe, or allowed, to let a side write: the grade of evidence behind a promotion, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "grade")]
pub enum Evidence {
    /// It wrote when replication began.
    Began,
    /// The other side was demoted, and its demotion has arrived here.
    HandedOver,
    /// An operator said so, in this journalled decision, and the other side was cut off first.
    Fenced {
        /// Identifies the decision in the job's journal.
        decision: String,
        /// The kind of fence, and what it saw.
        proof: String,
    },
    /// An operator said so, in this journalled decision, and every instance that writes there was seen stopped first.
    Stopped {
        /// Identifies the decision in the job's journal.
        decision: String,
    },
    /// An operator said so, in this journalled decision.
    Decided {
        /// Identifies the decision in the job's journal.
        decision: String,
    },
}

/// Which side of a replicated volume writes, since when and by which right. The epoch counts up with every change of the
/// writer; a side that shows an older one has been away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeEpoch {
    /// The replicated volume.
    pub replication_id: ReplicationId,
    /// Counts up with every promotion of this volume, from 1.
    pub epoch: u64,
    /// The side that writes.
    pub writer: ClusterId,
    /// The side that may still hold writes of an older epoch: it must not write and is neither promoted nor copied from
    /// until an operator says which side wins.
    pub fenced: Option<ClusterId>,
    /// By which right the writer writes.
    pub evidence: Evidence,
    /// The job that changed it last.
    pub job_id: JobId,
    /// Since when.
    pub since: Timestamp,
}

/// After a confirmed failover: what is needed to protect the recovered instances in the other direction (OPEN-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailbackOffer {
    /// The job that was confirmed.
    pub job_id: JobId,
    /// Where the instances run now.
    pub source_cluster: ClusterId,
    /// Where they came from.
    pub target_cluster: ClusterId,
    /// What they were there. Its plan holds the volumes whose replication still connects both sides: none after a recovery
    /// from a point.
    pub home: Home,
    /// When the failover was confirmed.
    pub confirmed_at: Timestamp,
    /// The plan that protects them in the other direction, once there is one.
    pub plan_id: Option<PlanId>,
}

queryable! { FailbackOffer, job_id;
    "id" Text = |o| o.job_id.as_str(),
    "name" Text = |o| &o.home.group.name,
    "source_cluster" Text = |o| o.source_cluster.as_str(),
    "target_cluster" Text = |o| o.target_cluster.as_str(),
    "confirmed_at" Time = |o| o.confirmed_at,
}

/// Documents by kind, as values.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    store: Arc<dyn Store>,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    pub(crate) async fn find<T: DeserializeOwned>(&self, kind: &str, id: &str) -> Result<Option<(T, u64)>> {
        let Some(record) = self.store.get(kind, id).await? else {
            return Ok(None);
        };
        let value = serde_json::from_str(&record.body).map_err(|e| unreadable(kind, id, e))?;
        Ok(Some((value, record.version)))
    }

    /// Reads one that must exist.
    pub(crate) async fn get<T: DeserializeOwned>(&self, kind: &str, id: &str) -> Result<T> {
        Ok(self.existing(kind, id).await?.0)
    }

    /// Changes one that must exist, again from the beginning when somebody else changed it meanwhile.
    pub(crate) async fn update<T: DeserializeOwned + Serialize + PartialEq + Clone>(
        &self,
        kind: &str,
        id: &str,
        change: impl Fn(&mut T) -> Result<()>,
    ) -> Result<T> {
        loop {
            let (was, version) = self.existing::<T>(kind, id).await?;
            let mut value = was.clone();
            change(&mut value)?;
            if value == was {
                return Ok(value);
            }
            match self.commit(vec![put(kind, id, Some(version), &value)?]).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                result => return result.map(|()| value),
            }
        }
    }

    /// Reads one that must exist, with its version.
    pub(crate) async fn existing<T: DeserializeOwned>(&self, kind: &str, id: &str) -> Result<(T, u64)> {
        let found = self.find(kind, id).await?;
        found.ok_or_else(|| not_found(kind, id))
    }

    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<T>> {
        let records = self.store.list(kind, after, limit).await?;
        records.iter().map(read).collect()
    }

    /// All of a kind that pass `keep`.
    pub(crate) async fn all<T: DeserializeOwned>(&self, kind: &str, keep: impl Fn(&T) -> bool) -> Result<Vec<T>> {
        let mut kept = Vec::new();
        let take = |value| {
            if keep(&value) {
                kept.push(value);
            }
        };
        self.each(kind, take).await?;
        Ok(kept)
    }

    /// Reads all of a kind in the order of their ids, without ever having more than a few hundred at hand.
    pub(crate) async fn each<T: DeserializeOwned>(&self, kind: &str, mut take: impl FnMut(T)) -> Result<()> {
        let mut after = None::<String>;
        loop {
            let records = self.store.list(kind, after.as_deref(), 200).await?;
            let Some(last) = records.last() else { return Ok(()) };
            after = Some(last.id.clone());
            records.iter().map(read).try_for_each(|value| value.map(&mut take))?;
        }
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        self.store.commit(writes).await
    }
}

/// The value of a document as it was read.
pub(crate) fn read<T: DeserializeOwned>(record: &Record) -> Result<T> {
    serde_json::from_str(&record.body).map_err(|e| unreadable(&record.kind, &record.id, e))
}

/// A write that puts a document.
pub(crate) fn put<T: Serialize>(kind: &str, id: &str, expected: Option<u64>, value: &T) -> Result<Write> {
    let body = serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "record.encode", e.to_string()).with("kind", kind))?;
    Ok(Write::Put {
        kind: kind.to_owned(),
        id: id.to_owned(),
        expected,
        body,
    })
}

/// A write that removes a document.
pub(crate) fn remove(kind: &str, id: &str) -> Write {
    Write::Remove {
        kind: kind.to_owned(),
        id: id.to_owned(),
    }
}

/// There is no such record, or none that one may see.
pub(crate) fn not_found(kind: &str, id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("{kind}.not_found"),
        format!("there is no {kind} {id}"),
    )
    .with_field(format!("{kind}_id"))
    .with_remedy(match kind {
        kinds::REPORT | kinds::FAILBACK => "wait until the job has finished",
        _ => "list what there is and choose one of it",
    })
}

fn unreadable(kind: &str, id: &str, error: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "record.unreadable",
        format!("the stored {kind} {id} cannot be read"),
    )
    .with_source(error)
    .with_remedy("restore the store from a copy, or use the version of the library that wrote it")
}
