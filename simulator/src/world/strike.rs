//! What goes wrong with sites, machines and people, and what ends it: the faults that strike at a time. Those of calls and
//! commits are in `ports` and `store`.

use super::{Repair, World};
use crate::faults::{Fault, FaultKind, Moment};
use crate::mutants::{Wrap, wrapped};
use crate::story::Scenario;
use ns_core::sim::Part;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl World {
    /// Arms the faults of a step.
    pub fn arm(&mut self, scenario: &Scenario, step: usize) {
        let now = self.now();
        for fault in scenario.faults.iter().filter(|f| f.step == step) {
            match fault.kind.moment() {
                Moment::Time => self
                    .waiting
                    .push((now + Duration::from_secs(fault.after), fault.clone())),
                _ => self.shared.board().arm(fault.clone()),
            }
        }
    }

    pub(super) fn later(&mut self, seconds: u64, repair: Repair) {
        self.repairs.push((self.now() + Duration::from_secs(seconds), repair));
    }

    pub(super) async fn strike(&mut self, fault: &Fault) {
        self.shared.audit().note(|| format!("{fault:?}"));
        let sim = self.shared.sim.clone();
        let site = fault.site;
        let length = fault.length;
        let counted = match fault.kind {
            FaultKind::SourceDies | FaultKind::TargetDies | FaultKind::SourceFreezes | FaultKind::SourceCutOff => {
                let site = if fault.kind == FaultKind::TargetDies { "b" } else { "a" };
                match fault.kind {
                    FaultKind::SourceFreezes => sim.freeze(site),
                    FaultKind::SourceCutOff => sim.isolate(site),
                    _ => sim.kill(site),
                }
                self.later(length, Repair::Revive(site));
                true
            }
            FaultKind::LossInSync => {
                // Much is written, and the site goes while it is copied.
                sim.tune(|t| t.bytes_per_second = 10);
                self.later(length, Repair::Lag);
                self.beat();
                sim.kill("a");
                self.later(length, Repair::Revive("a"));
                true
            }
            FaultKind::SourceSilent | FaultKind::TargetSilent => {
                let site = if fault.kind == FaultKind::SourceSilent {
                    "a"
                } else {
                    "b"
                };
                for part in [Part::Cloud, Part::Storage] {
                    // One-way or half partitions too.
                    if !fault.roll.is_multiple_of(3) || part == Part::Storage {
                        sim.silence(site, part, true);
                    }
                }
                self.later(length, Repair::Unsilence(site));
                true
            }
            FaultKind::MirrorStops => {
                sim.mirror_daemon("b", false);
                sim.mirror_daemon("a", false);
                self.later(length, Repair::Mirror);
                true
            }
            FaultKind::MirrorLags => {
                sim.tune(|t| {
                    t.mirror_poll = Duration::from_secs(60);
                    t.journal_lag = Duration::from_secs(90);
                    t.bytes_per_second = 100;
                });
                self.later(length, Repair::Lag);
                true
            }
            FaultKind::TokenExpired => {
                sim.refuse_credentials(site, Part::Cloud, true);
                self.later(length.min(200), Repair::Credentials(site));
                true
            }
            FaultKind::QuotaCut => self.cut_quota(),
            FaultKind::CapacityGone => {
                sim.edit("b", |i| i.hypervisors.values_mut().for_each(|h| h.available = false));
                self.later(length, Repair::Capacity);
                true
            }
            FaultKind::NameTaken => self.take_names(),
            FaultKind::DeletedByHand => self.delete_by_hand(fault.roll).await,
            FaultKind::SourceImageDeleted => self.delete_source(fault.roll),
            FaultKind::ClockForward | FaultKind::ClockBack => {
                let hour = if fault.kind == FaultKind::ClockForward {
                    3600
                } else {
                    -3600
                };
                self.nodes[0].ahead.fetch_add(hour, Ordering::Relaxed);
                self.later(length * 10, Repair::Clock(0));
                true
            }
            FaultKind::DoubleClick => {
                self.double_click = true;
                false
            }
            FaultKind::NodeFreezes => {
                let index = usize::try_from(fault.roll).unwrap_or(0) % self.nodes.len();
                self.nodes[index].life.freeze();
                self.later(length, Repair::Thaw(index));
                if self.nodes.len() == 1 {
                    self.add_node();
                    self.boot(1).await;
                }
                true
            }
            FaultKind::SecondEngine => {
                if self.nodes.len() == 1 {
                    self.add_node();
                    self.boot(1).await;
                }
                true
            }
            _ => false,
        };
        if counted {
            self.shared.board().count(fault.kind);
        }
    }

    /// Whether the operator clicks twice now.
    pub fn clicks_twice(&mut self) -> bool {
        let twice = std::mem::take(&mut self.double_click);
        if twice {
            self.shared.board().count(FaultKind::DoubleClick);
        }
        twice
    }

    fn cut_quota(&mut self) -> bool {
        let sim = self.shared.sim.clone();
        let known = &self.before.1.inventory.tenants;
        let ours: Vec<_> = sim
            .inventory("b")
            .tenants
            .into_keys()
            .filter(|id| !known.contains_key(id))
            .collect();
        for tenant in &ours {
            for kind in [
                ns_core::provider::CreatedKind::Server,
                ns_core::provider::CreatedKind::Port,
            ] {
                sim.limit("b", tenant, kind, 0);
            }
        }
        self.later(100, Repair::Quota);
        !ours.is_empty()
    }

    /// Somebody makes things with the names that the recovery will want.
    fn take_names(&mut self) -> bool {
        use ns_core::provider::Spec;
        let tenant = Spec::Tenant {
            name: "shop-recovered".into(),
            description: "not ours".into(),
        };
        let pair = Spec::Keypair {
            name: "shop-key".into(),
            public_key: "ssh-ed25519 AAAA somebody".into(),
        };
        let before = self.foreign.len();
        let made = [tenant, pair]
            .into_iter()
            .filter_map(|spec| self.shared.sim.make("b", &spec).ok());
        self.foreign.extend(made.map(|id| format!(" {id} ")));
        self.foreign.len() > before
    }

    async fn delete_by_hand(&mut self, roll: u64) -> bool {
        use ns_core::provider::CreatedKind;
        let all = self.shared.sim.tokens("b");
        let kinds = [CreatedKind::Server, CreatedKind::Port, CreatedKind::FloatingIp];
        let ours: Vec<_> = all.into_iter().filter(|(kind, ..)| kinds.contains(kind)).collect();
        if ours.is_empty() {
            return false;
        }
        let (kind, id, _) = &ours[usize::try_from(roll % ours.len() as u64).unwrap()];
        let done = self.shared.sim.destroy("b", *kind, id).is_ok();
        self.deleted_away |= done && *kind == CreatedKind::Server && self.is_away().await;
        done
    }

    /// The owner, or an extortioner, deletes a server's data volume with its bytes.
    fn delete_source(&mut self, roll: u64) -> bool {
        let sim = self.shared.sim.clone();
        let servers = &self.sample.servers;
        let server = &servers[usize::try_from(roll % servers.len() as u64).unwrap()];
        let image = sim
            .inventory("a")
            .volumes
            .get(&server.data_volume)
            .and_then(|v| v.storage.clone());
        let Some(image) = image else { return false };
        let replica = sim.replicas("a").into_iter().find(|p| p.storage == image);
        if replica.as_ref().is_none_or(|p| !p.primary) {
            return false;
        }
        let gone = sim.destroy_image("a", &image);
        if gone && let Some(replica) = replica {
            self.shared.audit().give_up(&replica.global_id);
            self.destroyed.push(image.to_string());
        }
        if gone && wrapped(Wrap::CopiesFollow) {
            for (copy, _) in sim.image_tokens("b") {
                sim.destroy_image("b", &copy);
            }
        }
        gone
    }

    pub(super) fn repair(&mut self, repair: &Repair) {
        self.shared.audit().note(|| format!("over: {repair:?}"));
        let sim = self.shared.sim.clone();
        match repair {
            Repair::Revive(site) => sim.revive(site),
            Repair::Unsilence(site) => {
                for part in [Part::Cloud, Part::Storage] {
                    sim.silence(site, part, false);
                }
            }
            Repair::Mirror => {
                sim.mirror_daemon("a", true);
                sim.mirror_daemon("b", true);
            }
            Repair::Lag => {
                let usual = ns_core::sim::Tuning::default();
                sim.tune(|t| *t = usual);
            }
            Repair::Credentials(site) => sim.refuse_credentials(site, Part::Cloud, false),
            Repair::Quota => {
                let tenants: Vec<_> = sim.inventory("b").tenants.into_keys().collect();
                for tenant in &tenants {
                    for kind in [
                        ns_core::provider::CreatedKind::Server,
                        ns_core::provider::CreatedKind::Port,
                    ] {
                        sim.limit("b", tenant, kind, 1000);
                    }
                }
            }
            Repair::Capacity => sim.edit("b", |i| i.hypervisors.values_mut().for_each(|h| h.available = true)),
            Repair::Thaw(index) => self.nodes[*index].life.thaw(),
            Repair::Clock(index) => self.nodes[*index].ahead.store(0, Ordering::Relaxed),
        }
    }
}
