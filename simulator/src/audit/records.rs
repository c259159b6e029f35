//! What is stored beside journals: plans, points and reports, and what they promise (I1, I10, I12); what is left when a job
//! has ended (I7), and what of the data at the end.

use super::{Audit, Vault};
use ns_core::journal::{DecisionKind, JobView};
use ns_core::model::{CloudId, JobId, JobOperation, RecoveryPlan, RecoveryPoint, ResultCode};
use ns_core::planning::VAULT_BASE;
use ns_core::provider::Token;
use ns_core::report::RecoveryReport;
use std::collections::BTreeSet;

impl Audit {
    /// A record is durable.
    pub fn put(&mut self, kind: &str, id: &str, body: &str) {
        match kind {
            "point" => self.point(body),
            "report" => drop(self.reports.insert(id.to_owned(), body.to_owned())),
            "plan" => self.plan(body),
            _ => {}
        }
    }

    /// A record is removed.
    pub fn remove(&mut self, kind: &str, id: &str) {
        if kind == "point" {
            self.points.remove(id);
        }
    }

    /// A volume that counts as protected has a whole copy on the other side.
    fn plan(&mut self, body: &str) {
        let Ok(plan) = serde_json::from_str::<RecoveryPlan>(body) else {
            return;
        };
        let Some(target) = self.site(&plan.target_cluster) else {
            return;
        };
        let copies = self.sim.replicas(target);
        for v in plan.volumes.values() {
            let id = v.replication_id.as_str();
            if self.markers.contains_key(id) {
                continue;
            }
            // Somebody deleted it after it had been copied, and its copy with it: a point holds it, or nothing does.
            let Some(disk) = self.sim.disk(super::other(target), &v.source, None) else {
                continue;
            };
            self.markers.insert(id.to_owned(), disk.marker.clone());
            self.originals.insert(v.volume_id.clone(), disk.marker);
            if !copies.iter().any(|p| p.global_id == id && p.complete) {
                self.violation(
                    "I1",
                    format!("{id} counts as protected and has no whole copy at {target}"),
                );
            }
        }
    }

    /// Volumes of a recovery that hold other data than the volumes they stand for.
    pub(super) fn wrong_data(&self, view: &JobView) -> Vec<String> {
        let Some(frozen) = &view.frozen else { return Vec::new() };
        let Some(target) = self.site(&frozen.plan.target_cluster) else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        for (id, marker) in &self.originals {
            let output = view.output(&view.newest(&format!("volume/{id}")));
            let Some(image) = output.and_then(|o| o.handle.as_ref()?.storage.clone()) else {
                continue;
            };
            if let Some(disk) = self.sim.disk(target, &image, None)
                && disk.marker != *marker
            {
                wrong.push(format!(
                    "{image}, which stands for {id}, holds the data of {:?}",
                    disk.marker
                ));
            }
        }
        wrong
    }

    /// Nothing is under way and everything works: points can be recovered, no volume has two writers, no write is lost.
    pub fn at_rest(&mut self) {
        self.data();
        let (a, b) = (self.sim.replicas("a"), self.sim.replicas("b"));
        for here in a.iter().filter(|p| p.primary) {
            if b.iter().any(|p| p.global_id == here.global_id && p.primary) {
                self.violation("I2", format!("{} has two writers, and nobody ends it", here.global_id));
            }
        }
        for (point, (_, vaults)) in self.points.clone() {
            for v in vaults {
                if self.sim.digest(v.site, &v.image, Some(VAULT_BASE)).as_ref() != Some(&v.digest) {
                    self.violation("I1", format!("point {point}: {} is gone, or not what it was", v.image));
                }
            }
        }
    }

    /// A point exists: everything of it is on the Target, of one moment, and is what the Source held then (I10).
    fn point(&mut self, body: &str) {
        let point: RecoveryPoint = match serde_json::from_str(body) {
            Ok(point) => point,
            Err(e) => return self.violation("I10", format!("a point that cannot be read: {e}")),
        };
        let Some(target) = self.site(&point.plan.target_cluster) else {
            return;
        };
        let mut vaults = Vec::new();
        if !point.volumes.keys().eq(point.plan.volumes.keys()) {
            self.violation("I10", format!("point {} lacks volumes", point.id));
        }
        // What instances shared with others that were confirmed without them is on the other side.
        let moved: BTreeSet<CloudId> = self
            .jobs()
            .filter(|v| v.result == Some(ResultCode::PartialSuccess))
            .flat_map(JobView::done)
            .filter(|d| d.task.action.promotes())
            .filter_map(|d| d.task.volume.clone())
            .collect();
        for id in &point
            .inventory
            .instances
            .values()
            .filter(|i| point.plan.mapping.instances.contains_key(&i.id))
            .flat_map(|i| i.volume_ids.clone())
            .collect::<Vec<_>>()
        {
            if !point.volumes.contains_key(id) && !moved.contains(id) {
                self.violation("I10", format!("point {} lacks volume {id} of its instances", point.id));
            }
        }
        for part in point.volumes.values() {
            let there = self.sim.digest(target, &part.vault, Some(VAULT_BASE));
            let Some(there) = there else {
                self.violation(
                    "I10",
                    format!("point {}: {} is not on the Target", point.id, part.vault),
                );
                continue;
            };
            vaults.push(Vault {
                site: target,
                image: part.vault.clone(),
                digest: there.clone(),
            });
            let source = self
                .sim
                .replicas(super::other(target))
                .into_iter()
                .find(|p| p.global_id == part.replication_id.as_str());
            let here = source.and_then(|p| self.sim.digest(super::other(target), &p.storage, Some(&part.snapshot)));
            if here.is_some_and(|here| here != there) {
                self.violation(
                    "I10",
                    format!(
                        "point {}: {} holds other bytes than the Source's snapshot",
                        point.id, part.vault
                    ),
                );
            }
        }
        self.points
            .insert(point.id.to_string(), (point.plan_id.to_string(), vaults));
    }

    /// A job has ended: nothing of it is left where it was rolled back (I7), and its report is the one in the journal (I12).
    pub(super) fn finished(&self, job: &JobId, found: &mut Vec<(&'static str, String)>) {
        let Some(view) = self.job(job) else { return };
        if view.work.recovery().is_none() {
            return;
        }
        match (self.reports.get(job.as_str()), &view.report_digest) {
            (Some(_), Some(_)) => {}
            _ => found.push(("I12", format!("{job} has ended without its report"))),
        }
        let rolled_back = matches!(
            view.operation,
            JobOperation::Rollback | JobOperation::RetryRollback | JobOperation::CancelConfirm
        );
        let ignored = view.decisions.iter().any(|d| d.kind == DecisionKind::IgnoreLeftovers);
        if !rolled_back || ignored {
            return;
        }
        let left = self.left_of(view);
        if !left.is_empty() {
            found.push(("I7", format!("{job} was rolled back and left {}", left.join(", "))));
        }
    }

    /// What the reports list as left behind by jobs that the engine itself set aside, for a failover that could not wait: it is
    /// the operator's to remove.
    #[must_use]
    pub fn listed(&self) -> BTreeSet<String> {
        let aside = |job: &str| {
            let decisions = self.job(&JobId::new(job)).map(|v| &v.decisions);
            decisions.is_some_and(|all| {
                all.iter()
                    .any(|d| d.kind == DecisionKind::IgnoreLeftovers && d.operator == "engine")
            })
        };
        let reports = self.reports.iter().filter(|(job, _)| aside(job));
        let facts = reports.map(|(_, body)| serde_json::from_str::<RecoveryReport>(body).unwrap().facts);
        facts.flat_map(|f| f.leftovers).map(|l| l.id).collect()
    }

    /// What carries a token of a job.
    #[must_use]
    pub fn left_of(&self, view: &JobView) -> Vec<String> {
        let tokens: BTreeSet<String> = view
            .tasks
            .keys()
            .map(|key| Token::of(&view.id, key).as_str().to_owned())
            .collect();
        let mut left = Vec::new();
        for site in ["a", "b"] {
            for (kind, id, token) in self.sim.tokens(site) {
                if tokens.contains(token.as_str()) {
                    left.push(format!("{kind:?} {id} at {site}"));
                }
            }
            for (image, token) in self.sim.image_tokens(site) {
                if tokens.contains(&token) {
                    left.push(format!("{image} at {site}"));
                }
            }
        }
        left
    }

    /// At the end, when everything works again: no write that a guest was told of is lost (data).
    pub fn data(&mut self) {
        for ((site, id), beat) in self.acknowledged.clone() {
            let image = self.sim.replicas(site).into_iter().find(|p| p.global_id == id);
            let Some(image) = image.filter(|p| p.primary) else {
                continue;
            };
            let disk = self.sim.disk(site, &image.storage, None).unwrap_or_default();
            if disk.beat.is_none_or(|b| b.at < beat.at) && !self.given_up.contains(&id) {
                self.violation(
                    "data",
                    format!("{id} at {site}: {beat:?} was acknowledged, {:?} is there", disk.beat),
                );
            }
            if self.markers.get(&id).is_some_and(|m| *m != disk.marker) {
                self.violation("data", format!("{id} at {site} holds the data of {:?}", disk.marker));
            }
        }
    }
}
