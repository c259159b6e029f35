//! Sunday: everything goes home, and is as it was.

use super::Week;
use super::picture::Picture;
use anyhow::{Result, ensure};
use ns_core::model::PlanStatus;
use ns_core::session::JobRequest;

impl Week<'_> {
    pub(super) async fn sunday(&mut self, monday: &Picture, friday: &Picture) -> Result<()> {
        self.until(11, 9, 0).await?;
        let jobs = self
            .with_approval(
                ("otto (operator)", "mina (manager)"),
                "the failback",
                async |session, group| {
                    let request = JobRequest::failover(group.group.clone(), group.plan.clone());
                    session.jobs().create(request).await
                },
            )
            .await?;
        self.diary
            .says("otto (operator)", "begins the failback of all groups")?;
        self.recovered(&jobs, friday).await?;
        self.until(11, 9, 30).await?;
        self.confirm(&jobs).await?;
        self.groups = self.home.clone();
        self.until(11, 12, 0).await?;
        let mina = self.people.log_in("mina").await?;
        for group in self.groups.clone() {
            self.stands("mina (manager)", &mina, &group, PlanStatus::Normal).await?;
        }
        let now = Picture::take(&self.sim);
        ensure!(
            now == *friday,
            "not all is as it was on Friday: {now:#?} instead of {friday:#?}"
        );
        ensure!(now.names().eq(monday.names()), "not the same instances as on Monday");
        let (running, (here, there)) = (now.running(), now.primary);
        self.diary.says(
            "mina (manager)",
            format!("finds the {running} instances of Monday run in seoul, as before the loss:"),
        )?;
        self.diary.aside(&format!(
            "their volumes and addresses are the same; {here} volumes are written in seoul, {there} in busan"
        ))?;
        Ok(())
    }
}
