//! The end of works that have no clean-up of their own: what they made becomes records, in one transaction with their last
//! entry and with the job that follows, if one does.

use super::journal_writer;
use super::manifest;
use super::phases::lost;
use super::records::{kinds, put, remove};
use super::retention;
use super::runner::Runner;
use crate::Result;
use crate::journal::Event;
use crate::model::{
    CloudId, Consistency, JobId, JobState, Manifest, PointId, PowerState, RecoveryPlan, RecoveryPoint, Resource,
    ResourceKind, ResultCode, Work,
};
use crate::planning::{self, PointRemains};
use crate::planted::{self, Bug};
use crate::ports::with_deadline;
use crate::store::Write;
use std::collections::BTreeSet;

/// How often the records may change under a work that ends.
const TRIES: usize = 10;

impl Runner {
    /// Completed work without clean-up of its own: what it made becomes a record, and it is finished.
    pub(super) async fn close(&mut self) -> Result<()> {
        for _ in 1..TRIES {
            match self.try_close().await {
                // What it rests on was changed meanwhile: it is read again.
                Err(e) if e.code() == "store.version" => {}
                result => return result,
            }
        }
        self.try_close().await
    }

    async fn try_close(&mut self) -> Result<()> {
        let view = &self.journal.view;
        let (mut writes, mut next) = (Vec::new(), None);
        if view.result == Some(ResultCode::Success) {
            let following;
            (writes, following) = self.outcome().await?;
            if let Some(work) = following {
                let job = JobId::new(self.inner.ids.next());
                let actor = "engine".to_owned();
                let owner_group_id = view.owner_group_id.clone();
                let created = Event::Created {
                    work,
                    actor,
                    owner_group_id,
                };
                writes.extend(journal_writer::first_writes(&self.inner, &job, created, vec![])?);
                next = Some(job);
            }
        } else if let (Work::Point { point_id, .. }, Some(frozen)) = (&view.work, &view.frozen)
            && !planted::is(Bug::PointsForgotten)
        {
            writes.push(retention::failed(&view.id, point_id, &frozen.plan)?);
        }
        let event = Event::Transition {
            from: view.state,
            to: JobState::Finished,
            operation: view.operation,
            row: "engine.no-clean-up".to_owned(),
            result: None,
            clear: None,
            deadline: None,
            actor: "engine".to_owned(),
        };
        let next = next.and_then(|job| Some((self.inner.register(&job)?, job)));
        if let Err(error) = self.journal.append(vec![event], writes).await {
            if let Some((_, job)) = &next {
                self.inner.unregister(job);
            }
            return Err(error);
        }
        if let Some((registered, job)) = next {
            super::Inner::run_registered(&self.inner, job, registered).await?;
        }
        Ok(())
    }

    /// What a successful work leaves in the records, and the work that follows.
    async fn outcome(&self) -> Result<(Vec<Write>, Option<Work>)> {
        let view = &self.journal.view;
        let (plan_id, group_id) = (view.work.plan_id().clone(), view.work.group_id().clone());
        let records = self.inner.records();
        Ok(match &view.work {
            Work::Protect { .. } => {
                let frozen = view.frozen.as_deref().ok_or_else(lost)?;
                let (mut plan, version) = self.plan_record(plan_id.as_str()).await?;
                plan.volumes = planning::replicated_volumes(&frozen.inventory, &frozen.group.instances, |task| {
                    view.output(task)
                        .map_or((None, None), |o| (o.replication_id.clone(), o.image.clone()))
                });
                plan.leaving.retain(|id, _| !plan.volumes.contains_key(id));
                plan.version += 1;
                plan.modified_at = self.inner.clock.now();
                let write = put(kinds::PLAN, plan_id.as_str(), Some(version), &plan)?;
                // The first recovery point (PLAN-15).
                let point_id = PointId::new(self.inner.ids.next());
                (
                    vec![write],
                    Some(Work::Point {
                        group_id,
                        plan_id,
                        point_id,
                    }),
                )
            }
            Work::Point { point_id, .. } => {
                let (mut plan, version) = self.plan_record(plan_id.as_str()).await?;
                let over = retention::expire(&self.inner, &group_id, &plan).await?;
                let left = retention::expired(&records, &plan_id).await?;
                let (point, holds) = self.point_write(point_id, self.stand_still().await)?;
                let mut writes = vec![point];
                let known = plan.leaving.clone();
                let release = retention::release(&records, &mut plan, &over, &holds).await?;
                if plan.leaving != known {
                    writes.push(put(kinds::PLAN, plan_id.as_str(), Some(version), &plan)?);
                }
                let prune = release || !over.is_empty() || !left.is_empty();
                writes.extend(over);
                (writes, prune.then_some(Work::Prune { group_id, plan_id }))
            }
            Work::Prune { .. } => {
                let gone = |p: &&PointRemains| planning::forgotten(p, |task| view.output(task).is_some());
                let expired = retention::expired(&records, &plan_id).await?;
                let forgotten = expired.iter().filter(gone).flat_map(|p| retention::forget(&p.id));
                let mut writes: Vec<Write> = forgotten.collect();
                let (mut plan, version) = self.plan_record(plan_id.as_str()).await?;
                let known = plan.leaving.len();
                plan.leaving
                    .retain(|id, _| view.output(&planning::disable_key(id)).is_none());
                if plan.leaving.len() != known {
                    writes.push(put(kinds::PLAN, plan_id.as_str(), Some(version), &plan)?);
                }
                (writes, None)
            }
            Work::Unprotect { .. } => {
                let points = retention::remains(&records, &plan_id).await?;
                let mut writes: Vec<Write> = points.iter().flat_map(|p| retention::forget(&p.id)).collect();
                writes.push(remove(kinds::PLAN, plan_id.as_str()));
                writes.extend(super::follow::forget(&records, &plan_id).await?);
                writes.extend(super::drills::forget(&records, &plan_id).await?);
                (writes, None)
            }
            Work::Recovery(_) | Work::Fence { .. } => (Vec::new(), None),
        })
    }

    async fn plan_record(&self, id: &str) -> Result<(RecoveryPlan, u64)> {
        self.inner.records().find(kinds::PLAN, id).await?.ok_or_else(lost)
    }

    /// Whether nothing wrote to the volumes of a point: all who may were stopped before its snapshots, and are now. A cloud that
    /// does not answer shows nothing.
    async fn stand_still(&self) -> bool {
        let Some(frozen) = self.journal.view.frozen.as_deref() else {
            return false;
        };
        let inner = &self.inner;
        let Ok(providers) = inner.providers(&frozen.group.source_cluster) else {
            return false;
        };
        if frozen.read_at.is_none() {
            return false;
        }
        for instance in frozen.inventory.instances.values() {
            if instance.power != PowerState::Stopped {
                return false;
            }
            let get = providers.cloud.get(ResourceKind::Instance, &instance.id);
            let now = with_deadline(&*inner.clock, inner.settings().reach_limit, "the Source cloud", get).await;
            if !matches!(now, Ok(Some(Resource::Instance(now))) if now.power == PowerState::Stopped) {
                return false;
            }
        }
        true
    }

    /// The write of a new point, and the volumes it holds.
    fn point_write(&self, point_id: &PointId, stand_still: bool) -> Result<(Write, BTreeSet<CloudId>)> {
        let view = &self.journal.view;
        let frozen = view.frozen.as_deref().ok_or_else(lost)?;
        let volumes = planning::point_volumes(&frozen.plan, point_id, |task| {
            view.output(task).and_then(|o| o.image.clone())
        })
        .ok_or_else(lost)?;
        let snapshots: Vec<_> = view
            .tasks
            .iter()
            .filter(|(key, _)| key.as_str().starts_with("snapshot/"))
            .map(|(_, state)| state)
            .collect();
        let taken_at = snapshots
            .iter()
            .filter_map(|s| s.output.taken_at)
            .min()
            .ok_or_else(lost)?;
        let first = snapshots.iter().filter_map(|s| s.started_at).min();
        let last = snapshots.iter().filter_map(|s| s.ended_at).max();
        let consistency = match (stand_still, first, last) {
            (true, ..) => Consistency::Crash,
            (false, Some(first), Some(last)) => Consistency::Ordered {
                skew_ms: u64::try_from(last.duration_since(first).as_millis()).unwrap_or_default(),
            },
            _ => return Err(lost()),
        };
        let mut point = RecoveryPoint {
            id: point_id.clone(),
            group_id: frozen.group.id.clone(),
            plan_id: frozen.plan.id.clone(),
            job_id: view.id.clone(),
            taken_at,
            complete_at: self.inner.clock.now(),
            consistency,
            volumes,
            plan: frozen.plan.clone(),
            inventory: frozen.inventory.clone(),
            manifest: Manifest::default(),
            contents: std::collections::BTreeMap::new(),
        };
        point.manifest = manifest::of(&point)?;
        let write = put(kinds::POINT, point_id.as_str(), Some(0), &point)?;
        Ok((write, point.volumes.into_keys().collect()))
    }
}
