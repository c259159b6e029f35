//! Tuesday to Thursday: drills run by themselves, both clouds change under the plans, and the plans follow or are mended.

use super::{Protected, Week};
use anyhow::{Context, Result};
use ns_core::Session;
use ns_core::engine::SettingsUpdate;
use ns_core::model::{
    CloudId, FloatingIp, InstanceMapping, InstanceRecoveryState, JobOperation, PlanStatus, Query, ResourceMapping,
    ResultCode,
};
use ns_core::ports::Clock;
use ns_core::provider::Spec;
use ns_core::report::RecoveryReport;
use ns_core::session::{GroupUpdate, JobRequest, OperationRequest, PlanUpdate};
use std::time::Duration;

impl Week<'_> {
    pub(super) async fn tuesday(&mut self) -> Result<()> {
        self.until(6, 8, 30).await?;
        self.drills_of_the_night().await?;
        self.volume_is_attached().await?;
        self.instance_is_lost().await
    }

    pub(super) async fn wednesday(&mut self) -> Result<()> {
        self.until(7, 1, 50).await?;
        self.enable_host("b-host-3", false);
        self.diary.says("busan", "its compute node b-host-3 breaks down")?;
        self.until(7, 8, 30).await?;
        self.drills_of_the_night().await?;
        self.host_stays_away().await?;
        self.drill_again().await
    }

    pub(super) async fn thursday(&mut self) -> Result<()> {
        self.until(8, 8, 30).await?;
        self.drills_of_the_night().await?;
        self.project_takes_a_name().await?;
        self.address_is_taken().await?;
        self.settings_change().await
    }

    /// A volume that nobody told the product of: the plan says so, until somebody has looked at it.
    async fn volume_is_attached(&mut self) -> Result<()> {
        let shop = self.group("shop")?;
        self.until(6, 9, 10).await?;
        let service = self.services.iter().find(|s| s.name == "shop").context("the shop")?;
        let volume = service.volume(&self.sim, "db-1-more", 8, "ceph")?;
        let server = self.server("db-1").context("db-1")?;
        self.sim.attach_volume("a", &server, &volume)?;
        self.diary.says("seoul", "a volume is attached to db-1 of shop")?;
        self.until(6, 10, 15).await?;
        let mina = self.people.log_in("mina").await?;
        self.stands("mina (manager)", &mina, &shop, PlanStatus::Warning).await?;
        let otto = self.people.log_in("otto").await?;
        let refused = otto
            .jobs()
            .create(JobRequest::failover(shop.group.clone(), shop.plan.clone()))
            .await;
        self.diary
            .refused("otto (operator)", "asks for a failover of shop", refused)?;
        self.mend(&mina, &shop, "has the volume replicated", |_| {}).await
    }

    /// An instance that is deleted leaves its group and plan by itself; the one that is made for it has to be protected.
    async fn instance_is_lost(&mut self) -> Result<()> {
        let warehouse = self.group("warehouse")?;
        self.until(6, 14, 0).await?;
        let gone = self.server("picker-8").context("picker-8")?;
        let volumes = self.sim.inventory("a").instances[&gone].volume_ids.clone();
        self.sim.delete_server("a", &gone)?;
        for volume in &volumes {
            self.sim.delete_volume("a", volume)?;
        }
        self.diary
            .says("seoul", "picker-8 of warehouse is deleted by mistake, with its volume")?;
        self.until(6, 15, 10).await?;
        let mina = self.people.log_in("mina").await?;
        let left = mina.protection_groups().get(&warehouse.group).await?.instances.len();
        let last = mina
            .plans()
            .changes(&warehouse.plan, &Query::default())
            .await?
            .items
            .pop();
        let (version, by) = last.map_or((0, String::new()), |c| (c.version, c.actor));
        self.diary.says(
            "mina (manager)",
            format!("finds {left} instances in warehouse; its plan is at version {version}, changed by the {by}"),
        )?;
        self.until(6, 15, 40).await?;
        let service = self
            .services
            .iter_mut()
            .find(|s| s.name == "warehouse")
            .context("the warehouse")?;
        let made = service.another(&self.sim, "picker", 8)?;
        self.diary.says("seoul", "picker-8 is made anew")?;
        let mina = self.people.log_in("mina").await?;
        mina.clusters().sync(&self.clusters[0]).await?;
        let mut instances = mina.protection_groups().get(&warehouse.group).await?.instances;
        instances.push(made.clone());
        let update = GroupUpdate {
            instances: Some(instances),
            ..GroupUpdate::default()
        };
        let (group, _) = mina.protection_groups().update(&warehouse.group, update).await?;
        self.diary.says(
            "mina (manager)",
            format!("puts it into the group: {} instances", group.instances.len()),
        )?;
        self.stands("mina (manager)", &mina, &warehouse, PlanStatus::Warning)
            .await?;
        let add = |mapping: &mut ResourceMapping| {
            mapping.instances.insert(made.clone(), InstanceMapping::default());
        };
        self.mend(&mina, &warehouse, "maps it and has it replicated", add).await
    }

    /// The drill of the night lacked an instance: the compute node that the plan wants for it is down.
    async fn host_stays_away(&mut self) -> Result<()> {
        let payments = self.group("payments")?;
        let mina = self.people.log_in("mina").await?;
        self.stands("mina (manager)", &mina, &payments, PlanStatus::Warning)
            .await?;
        let anywhere = |mapping: &mut ResourceMapping| {
            mapping.instances.values_mut().for_each(|m| m.host = None);
        };
        self.mend(&mina, &payments, "lets the cloud choose the node", anywhere)
            .await
    }

    async fn drill_again(&mut self) -> Result<()> {
        let payments = self.group("payments")?;
        self.until(7, 9, 40).await?;
        let nils = self.people.log_in("nils").await?;
        let drill = nils
            .jobs()
            .create(JobRequest::drill(payments.group, payments.plan))
            .await?;
        self.diary
            .says("nils (operator)", "has the drill of payments done again")?;
        self.ends(&nils, &drill, ResultCode::Success).await?;
        let up = nils.jobs().view(&drill).await?.instances().len();
        self.diary.says(
            "nils (operator)",
            format!("sees {up} instances up in busan, and rolls back"),
        )?;
        let request = OperationRequest::default();
        nils.jobs().operate(&drill, JobOperation::Rollback, request).await?;
        self.ends(&nils, &drill, ResultCode::Success).await?;
        self.until(7, 15, 0).await?;
        self.enable_host("b-host-3", true);
        self.diary.says("busan", "b-host-3 is repaired")?;
        Ok(())
    }

    /// A project of the name that the plan would make one of, until it gets another.
    async fn project_takes_a_name(&mut self) -> Result<()> {
        let mail = self.group("mail")?;
        self.until(8, 9, 0).await?;
        let project = Spec::Tenant {
            name: "mail-recovered".to_owned(),
            description: String::new(),
        };
        let project = self.sim.make("b", &project)?;
        self.diary.says("busan", "somebody makes a project mail-recovered")?;
        self.until(8, 10, 10).await?;
        let mina = self.people.log_in("mina").await?;
        self.stands("mina (manager)", &mina, &mail, PlanStatus::Warning).await?;
        self.until(8, 10, 20).await?;
        self.sim.edit("b", |all| {
            if let Some(tenant) = all.tenants.get_mut(&project) {
                "post-office".clone_into(&mut tenant.name);
            }
        });
        self.diary.says("busan", "the project is renamed to post-office")?;
        self.until(8, 11, 30).await?;
        let mina = self.people.log_in("mina").await?;
        self.stands("mina (manager)", &mina, &mail, PlanStatus::Normal).await
    }

    /// An address that the plan wants is given to somebody else.
    async fn address_is_taken(&mut self) -> Result<()> {
        const WANTED: &str = "172.24.198.101";
        let mail = self.group("mail")?;
        self.until(8, 13, 0).await?;
        self.sim.edit("b", |all| {
            let id = CloudId::from("b-fip-of-somebody");
            let taken = FloatingIp {
                id: id.clone(),
                name: WANTED.to_owned(),
                address: WANTED.to_owned(),
                tenant_id: "b-admin".into(),
                network_id: "b-public".into(),
                port_id: None,
            };
            all.floating_ips.insert(id, taken);
        });
        self.diary
            .says("busan", format!("somebody takes the floating address {WANTED}"))?;
        self.until(8, 14, 10).await?;
        let mina = self.people.log_in("mina").await?;
        self.stands("mina (manager)", &mina, &mail, PlanStatus::Warning).await?;
        let another = |mapping: &mut ResourceMapping| {
            for address in mapping.floating_ips.values_mut().filter(|a| *a == WANTED) {
                "172.24.198.111".clone_into(address);
            }
        };
        self.mend(&mina, &mail, "maps another address", another).await
    }

    /// What counts from now on, without a restart.
    async fn settings_change(&mut self) -> Result<()> {
        self.until(8, 15, 0).await?;
        let update = SettingsUpdate::new()
            .with("four_eyes", true)
            .with("rollback_wait", 1800);
        let otto = self.people.log_in("otto").await?;
        let refused = otto.settings().update(&update).await;
        self.diary
            .refused("otto (operator)", "asks for two people on every failover", refused)?;
        let root = self.people.log_in("root").await?;
        let now = root.settings().update(&update).await?;
        self.diary.says(
            "root (admin)",
            format!(
                "sets four_eyes to {}, rollback_wait to {} s",
                now.four_eyes,
                now.rollback_wait.as_secs()
            ),
        )?;
        Ok(())
    }

    /// Updates a plan, waits for what has to be replicated, and finds it normal.
    async fn mend(
        &mut self,
        session: &Session,
        group: &Protected,
        what: &str,
        change: impl FnOnce(&mut ResourceMapping),
    ) -> Result<()> {
        let mut mapping = session.plans().get(&group.plan).await?.mapping;
        change(&mut mapping);
        let update = PlanUpdate {
            mapping: Some(mapping),
            ..PlanUpdate::default()
        };
        let (plan, job) = session.plans().update(&group.plan, update).await?;
        let version = plan.version;
        self.diary
            .says("mina (manager)", format!("{what}: version {version} of the plan"))?;
        if let Some(job) = job {
            self.ends(session, &job, ResultCode::Success).await?;
            self.settled(session).await?;
        }
        self.stands("mina (manager)", session, group, PlanStatus::Normal).await
    }

    /// What came of the drills that ran while everybody slept, from their reports.
    pub(super) async fn drills_of_the_night(&mut self) -> Result<()> {
        let otto = self.people.log_in("otto").await?;
        let drills = Query::default().equal("kind", "drill").limit(1000);
        let night = self.clock.now() - Duration::from_secs(9 * 3600);
        for report in otto.reports().list(&drills).await?.items {
            if report.facts.job.created_at >= night {
                self.diary
                    .says("otto (operator)", format!("reads of the night: {}", outcome(&report)))?;
                for instance in report.facts.instances.iter().filter(|i| i.error.is_some()) {
                    let why = instance.error.as_ref().map_or("", |e| e.message.as_str());
                    self.diary.aside(&format!("{}: {why}", instance.name))?;
                }
            }
        }
        Ok(())
    }

    fn server(&self, name: &str) -> Option<CloudId> {
        let all = self.sim.inventory("a");
        all.instances.values().find(|i| i.name == name).map(|i| i.id.clone())
    }

    fn enable_host(&self, name: &str, available: bool) {
        self.sim.edit("b", |all| {
            for host in all.hypervisors.values_mut().filter(|h| h.name == name) {
                host.available = available;
            }
        });
    }
}

/// What a report says in a line.
pub(super) fn outcome(report: &RecoveryReport) -> String {
    let (job, measured) = (&report.facts.job, &report.measured);
    let up = measured
        .instances
        .get(&InstanceRecoveryState::Success)
        .copied()
        .unwrap_or_default();
    let result = job.result.map_or("no result", ResultCode::as_str);
    format!(
        "{} of {}: {}, {up} of {} instances in {} s",
        job.kind,
        job.group,
        result.rsplit('.').next().unwrap_or(result),
        report.facts.instances.len(),
        measured.rto_seconds.map_or_else(|| "?".to_owned(), |s| s.to_string()),
    )
}
