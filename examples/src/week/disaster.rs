//! Friday and Saturday: the first cloud is lost, everything is recovered on the second, and the first comes back.

use super::Week;
use super::changes::outcome;
use super::letterbox::PHONES;
use super::picture::Picture;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use ns_core::model::{ForceRight, JobId, JobOperation, JobState, PlanStatus, ResultCode};
use ns_core::ports::Clock;
use ns_core::session::{JobRequest, OperationRequest, ReprotectRequest};
use std::time::Duration;

fn right(operator: &str, reason: &str) -> ForceRight {
    ForceRight {
        operator: operator.to_owned(),
        reason: reason.to_owned(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

impl Week<'_> {
    /// The site is lost. Two people decide, and all five groups are recovered.
    pub(super) async fn friday(&mut self) -> Result<Picture> {
        self.until(9, 8, 30).await?;
        self.drills_of_the_night().await?;
        self.until(9, 14, 7).await?;
        let before = Picture::take(&self.sim);
        self.home = self.groups.clone();
        self.post.empty();
        self.sim.kill("a");
        self.diary
            .says("seoul", "loses power: nothing of it answers any more")?;
        self.until(9, 14, 25).await?;
        self.messages()?;
        let otto = self.people.log_in("otto").await?;
        for group in self.groups.clone() {
            self.stands("otto (operator)", &otto, &group, PlanStatus::Emergency)
                .await?;
            let request = JobRequest::failover(group.group, group.plan);
            let told = otto.jobs().explain(&request).await?;
            let lost = told.loss.iter().filter_map(|l| l.lost_seconds).max();
            let lost = lost.map_or_else(|| "not known how many".to_owned(), |s| s.to_string());
            self.diary.aside(&format!(
                "it would be a {} of {} steps and lose {lost} s of writes at most",
                told.kind,
                told.steps.len()
            ))?;
            for refusal in &told.refusals {
                self.diary.aside(&format!(
                    "as it is it would be refused, {}: {}",
                    refusal.code, refusal.message
                ))?;
            }
        }
        let jobs = self
            .with_approval(
                ("otto (operator)", "mina (manager)"),
                "the failover",
                async |session, group| {
                    let mut request = JobRequest::failover(group.group.clone(), group.plan.clone());
                    request.force = Some(right("otto", "seoul has lost power"));
                    session.jobs().create(request).await
                },
            )
            .await?;
        for (group, job) in self.groups.iter_mut().zip(&jobs) {
            group.failover = Some(job.clone());
        }
        self.diary
            .says("otto (operator)", "begins the failover of all groups")?;
        self.recovered(&jobs, &before).await?;
        self.until(9, 15, 0).await?;
        self.confirm(&jobs).await?;
        Ok(before)
    }

    /// Waits for failovers that run side by side, and looks at what came of them.
    pub(super) async fn recovered(&mut self, jobs: &[JobId], before: &Picture) -> Result<()> {
        let otto = self.people.log_in("otto").await?;
        self.clock.sleep(Duration::from_secs(2)).await;
        let mut waiting = 0;
        for job in jobs {
            waiting += usize::from(otto.jobs().get(job).await?.state == JobState::Pending);
        }
        self.diary.says(
            "otto (operator)",
            format!("sees {} of them run, {waiting} wait for a place", jobs.len() - waiting),
        )?;
        let ends = jobs.iter().map(|job| self.ends(&otto, job, ResultCode::Success));
        try_join_all(ends).await?;
        let up: usize = ["a", "b"].into_iter().map(|site| self.sim.running(site).len()).sum();
        ensure!(up == before.running(), "{up} instances run");
        self.diary
            .says("otto (operator)", format!("sees {up} instances run on the other side"))?;
        Ok(())
    }

    pub(super) async fn confirm(&mut self, jobs: &[JobId]) -> Result<()> {
        let all: Vec<_> = self
            .groups
            .iter()
            .map(|g| g.group.clone())
            .zip(jobs.iter().cloned())
            .collect();
        self.with_approval(
            ("otto (operator)", "mina (manager)"),
            "the confirmation",
            async |session, group| {
                let job = all.iter().find(|(id, _)| *id == group.group).map(|(_, job)| job);
                let Some(job) = job else { return Ok(()) };
                let request = OperationRequest {
                    reason: "looked at by the owners".to_owned(),
                    ..OperationRequest::default()
                };
                session
                    .jobs()
                    .operate(job, JobOperation::Confirm, request)
                    .await
                    .map(drop)
            },
        )
        .await?;
        let otto = self.people.log_in("otto").await?;
        for job in jobs {
            let ended = self.ends(&otto, job, ResultCode::Success).await?;
            ensure!(ended.state == JobState::Finished, "it is {}", ended.state);
            let report = otto.reports().get(job).await?;
            self.diary
                .says("otto (operator)", format!("confirms the {}", outcome(&report)))?;
        }
        Ok(())
    }

    /// The site comes back. It is kept from writing until it is protected from the other side.
    pub(super) async fn saturday(&mut self) -> Result<()> {
        self.until(10, 10, 0).await?;
        self.post.empty();
        self.sim.revive("a");
        self.diary.says("seoul", "has power again; its instances start")?;
        self.until(10, 10, 30).await?;
        self.messages()?;
        let up = self.sim.running("a").len();
        ensure!(up == 0, "{up} instances of the site that came back run");
        self.diary.says(
            "otto (operator)",
            "sees none of the old instances run, and none of the old volumes writable",
        )?;
        self.until(10, 11, 0).await?;
        let ways = self
            .with_approval(
                ("mina (manager)", "root (admin)"),
                "the protection in the other direction",
                async |session, group| {
                    let Some(failover) = &group.failover else {
                        return Err(ns_core::Error::new(
                            ns_core::ErrorKind::Internal,
                            "week.failover",
                            "no failover",
                        ));
                    };
                    let give_up = Some(right("mina", "what seoul wrote after the loss is not needed"));
                    session
                        .failback()
                        .reprotect(failover, ReprotectRequest { give_up })
                        .await
                },
            )
            .await?;
        let mina = self.people.log_in("mina").await?;
        for (index, (group, plan, job)) in ways.into_iter().enumerate() {
            self.diary.name(&group.id, &group.name);
            self.diary.name(&plan.id, &plan.name);
            self.ends(&mina, &job, ResultCode::Success).await?;
            (self.groups[index].group, self.groups[index].plan) = (group.id, plan.id);
        }
        self.settled(&mina).await?;
        self.until(10, 12, 0).await?;
        let mina = self.people.log_in("mina").await?;
        for group in self.groups.clone() {
            self.stands("mina (manager)", &mina, &group, PlanStatus::Normal).await?;
        }
        Ok(())
    }

    /// What came by phone.
    fn messages(&mut self) -> Result<()> {
        for message in self.post.empty() {
            let whose = PHONES.iter().find(|(_, number)| *number == message.address);
            let (name, _) = whose.copied().unwrap_or_default();
            self.diary
                .line(message.at, name, &format!("is told by phone: {}", message.text))?;
        }
        Ok(())
    }
}
