//! Monday: both clouds are registered, and everything is protected.

use super::letterbox::PHONES;
use super::{Protected, Week};
use anyhow::{Context, Result};
use jiff::civil::date;
use ns_core::Providers;
use ns_core::model::{
    Language, PlanStatus, Query, Recurrence, ReplicationMode, ResultCode, Severity, SnapshotInterval, Timetable,
    WeekOfMonth, Weekday,
};
use ns_core::session::{ClusterRequest, GroupRequest, PlanRequest, ScheduleRequest, SubscriptionRequest};
use std::collections::BTreeMap;

/// What the owners of a service ask for.
struct Wish {
    service: &'static str,
    rpo_minutes: u32,
    rto_minutes: u32,
    /// How often a recovery point is made, in minutes.
    interval: u32,
    /// Whether every write is shipped, not only every point.
    each_write: bool,
}

const fn wish(service: &'static str, rpo_minutes: u32, rto_minutes: u32, interval: u32) -> Wish {
    Wish {
        service,
        rpo_minutes,
        rto_minutes,
        interval,
        each_write: false,
    }
}

const WISHES: &[Wish] = &[
    wish("shop", 240, 15, 120),
    Wish {
        each_write: true,
        ..wish("payments", 5, 10, 240)
    },
    wish("warehouse", 480, 30, 360),
    wish("mail", 480, 30, 360),
    wish("archive", 1440, 60, 720),
];

impl Week<'_> {
    pub(super) async fn monday(&mut self) -> Result<()> {
        self.register().await?;
        self.until(5, 9, 0).await?;
        for wish in WISHES {
            self.protect(wish).await?;
        }
        self.refusals().await?;
        self.until(5, 11, 0).await?;
        self.schedule().await?;
        self.subscribe().await
    }

    async fn register(&mut self) -> Result<()> {
        let mina = self.people.log_in("mina").await?;
        for (name, site) in [("seoul", "a"), ("busan", "b")] {
            let providers = Providers {
                cloud: self.sim.cloud(site),
                storage: self.sim.storage(site),
            };
            let request = ClusterRequest {
                name: name.to_owned(),
                owner_group_id: self.people.operations.clone(),
                note: String::new(),
            };
            let cluster = mina.clusters().register(request, providers).await?;
            let all = mina.inventory().whole(&cluster.id).await?;
            let (instances, volumes) = (all.instances.len(), all.volumes.len());
            self.diary.name(&cluster.id, name);
            self.diary.says(
                "mina (manager)",
                format!("registers {name}: {instances} instances, {volumes} volumes"),
            )?;
            self.clusters.push(cluster.id);
        }
        Ok(())
    }

    async fn protect(&mut self, wish: &Wish) -> Result<()> {
        let mina = self.people.log_in("mina").await?;
        let service = self.services.iter().find(|s| s.name == wish.service);
        let service = service.context("a wish for a service that is there")?;
        let owner = match wish.service {
            "payments" => self.people.payments.clone(),
            _ => self.people.operations.clone(),
        };
        let request = GroupRequest {
            name: wish.service.to_owned(),
            description: String::new(),
            owner_group_id: owner,
            source_cluster: self.clusters[0].clone(),
            instances: service.servers.clone(),
            rpo_minutes: wish.rpo_minutes,
            rto_minutes: wish.rto_minutes,
            snapshot_interval: Some(SnapshotInterval::minutes(wish.interval)),
        };
        let group = mina.protection_groups().create(request).await?;
        let mut request = mina.plans().suggest(&group.id, &self.clusters[1]).await?;
        if wish.each_write {
            request.replication_mode = ReplicationMode::Journal;
        }
        self.refine(&mut request);
        let (plan, job) = mina.plans().create(request).await?;
        self.diary.name(&group.id, &group.name);
        self.diary.name(&plan.id, &plan.name);
        self.groups.push(Protected {
            name: wish.service,
            group: group.id,
            plan: plan.id.clone(),
            failover: None,
        });
        self.ends(&mina, &job, ResultCode::Success).await?;
        self.settled(&mina).await?;
        let volumes = mina.plans().get(&plan.id).await?.volumes.len();
        self.diary.says(
            "mina (manager)",
            format!(
                "protects {}: {} instances, {volumes} volumes are replicated; RPO {} min, RTO {} min, a point every {} min",
                group.name,
                group.instances.len(),
                group.rpo_minutes,
                group.rto_minutes,
                wish.interval,
            ),
        )?;
        Ok(())
    }

    /// What the plan is to say beyond what can be guessed.
    fn refine(&self, plan: &mut PlanRequest) {
        let here = self.sim.inventory("a");
        let named = |name: &str| {
            let mut members = plan.mapping.instances.keys();
            members
                .find(|id| here.instances.get(*id).is_some_and(|i| i.name == name))
                .cloned()
        };
        match plan.name.as_str() {
            // The databases first, then what asks them.
            "shop-plan" => {
                let first: Vec<_> = ["db-1", "db-2"].into_iter().filter_map(named).collect();
                for (id, mapping) in &mut plan.mapping.instances {
                    if !first.contains(id) {
                        mapping.boot_after = first.iter().cloned().collect();
                    }
                }
            }
            // Of the ledgers one stays on a compute node that has its licence.
            "payments-plan" => {
                if let Some(mapping) = named("ledger-2").and_then(|id| plan.mapping.instances.get_mut(&id)) {
                    mapping.host = Some("b-host-3".to_owned());
                }
            }
            // The relays are known by their addresses.
            "mail-plan" => {
                let relays: Vec<_> = ["relay-1", "relay-2"].into_iter().filter_map(named).collect();
                let ports = here
                    .ports
                    .values()
                    .filter(|p| relays.iter().any(|r| r.as_str() == p.device_id));
                let ports: Vec<_> = ports.map(|p| Some(p.id.clone())).collect();
                let outside = here.floating_ips.values().filter(|f| ports.contains(&f.port_id));
                plan.mapping.floating_ips = outside
                    .zip(["172.24.198.101", "172.24.198.102"])
                    .map(|(f, there)| (f.address.clone(), there.to_owned()))
                    .collect::<BTreeMap<_, _>>();
            }
            _ => {}
        }
    }

    /// What is not everybody's to see and to do.
    async fn refusals(&mut self) -> Result<()> {
        let shop = self.group("shop")?;
        let (nils, vera) = (self.people.log_in("nils").await?, self.people.log_in("vera").await?);
        let seen = nils.protection_groups().list(&Query::default()).await?.items;
        let seen: Vec<_> = seen.iter().map(|g| g.name.as_str()).collect();
        self.diary.says(
            "nils (operator)",
            format!("lists the protection groups: sees {}", seen.join(", ")),
        )?;
        let refused = nils.protection_groups().get(&shop.group).await;
        self.diary
            .refused("nils (operator)", "asks for the group shop by its id", refused)?;
        let refused = vera.points().create(&shop.group).await;
        self.diary
            .refused("vera (viewer)", "asks for a recovery point of shop", refused)?;
        let refused = vera.audit().list(&Query::default()).await;
        self.diary
            .refused("vera (viewer)", "asks for the audit trail", refused)?;
        Ok(())
    }

    async fn schedule(&mut self) -> Result<()> {
        let otto = self.people.log_in("otto").await?;
        let on = |weekday| Recurrence::Weekly { weeks: 1, weekday };
        let drills = [
            ("shop", "daily", Recurrence::Daily { days: 1 }, 3),
            ("payments", "weekly", on(Weekday::Wednesday), 2),
            ("warehouse", "weekly", on(Weekday::Tuesday), 2),
            (
                "mail",
                "monthly",
                Recurrence::MonthlyByWeekday {
                    from_month: 1,
                    months: 1,
                    week: WeekOfMonth::Second,
                    weekday: Weekday::Thursday,
                },
                4,
            ),
        ];
        for (name, often, recurrence, hour) in drills {
            let group = self.group(name)?;
            let request = ScheduleRequest {
                name: format!("{name}-{often}"),
                group_id: group.group,
                plan_id: group.plan,
                timetable: Timetable {
                    recurrence,
                    hour,
                    minute: 0,
                    zone: super::ZONE.to_owned(),
                    begins: date(2026, 1, 5),
                    ends: None,
                },
                exclude: Default::default(),
            };
            let schedule = otto.schedules().create(request).await?;
            self.diary.name(&schedule.id, &schedule.name);
            let next = otto.schedules().next_runs(&schedule.id, 1).await?;
            let next = next
                .first()
                .map(|at| self.diary.local(*at).strftime("%A %H:%M").to_string());
            self.diary.says(
                "otto (operator)",
                format!(
                    "schedules drills of {name}, {often}; the first on {}",
                    next.unwrap_or_default()
                ),
            )?;
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<()> {
        let wishes = [Severity::Critical, Severity::Error].into_iter().zip(PHONES);
        for (minimum, (who, number)) in wishes {
            let request = SubscriptionRequest {
                minimum,
                areas: Default::default(),
                codes: Default::default(),
                language: Language::English,
                sink: "phone".to_owned(),
                address: number.to_owned(),
            };
            self.people.log_in(who).await?.subscriptions().create(request).await?;
            self.diary
                .says(who, format!("wants to be told by phone of what is {minimum} or worse"))?;
        }
        for group in self.groups.clone() {
            let mina = self.people.log_in("mina").await?;
            let found = mina.plans().assess(&group.plan).await?.status;
            anyhow::ensure!(found == PlanStatus::Normal, "the plan of {} is {found:?}", group.name);
        }
        self.diary
            .says("mina (manager)", "looks at all plans: they are normal")?;
        Ok(())
    }
}
