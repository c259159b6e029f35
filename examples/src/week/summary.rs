//! What is left of the week to read: the events, what was measured, the audit trail, and the reports.

use super::Week;
use anyhow::{Context, Result};
use ns_core::model::{EventCode, EventId, Language, ProductEvent, Query};
use ns_core::report::{RecoveryReport, ReportTable};
use std::collections::BTreeMap;
use std::path::Path;

impl Week<'_> {
    pub(super) async fn summary(&mut self, folder: &Path) -> Result<()> {
        self.events().await?;
        let vera = self.people.log_in("vera").await?;
        let reports = Query::default().limit(1000).sort("created_at");
        let reports = vera.reports().list(&reports).await?.items;
        self.measured(&reports)?;
        self.audited().await?;
        self.diary.part("Reports, written and verified by vera (viewer)")?;
        for (index, report) in reports.iter().enumerate() {
            let job = &report.facts.job;
            let name = format!("{:02}-{}-{}", index + 1, job.group, job.kind);
            let (html, json) = (report.html()?, report.json()?);
            for (kind, document) in [("html", &html), ("json", &json)] {
                vera.reports().verify(document).await?;
                std::fs::write(folder.join(format!("{name}.{kind}")), document)?;
            }
            for table in ReportTable::ALL {
                let file = format!("{name}-{}.csv", format!("{table:?}").to_lowercase());
                std::fs::write(folder.join(file), report.csv(*table)?)?;
            }
            self.diary.line(
                job.ended_at,
                &name,
                &format!(
                    "html and json as the engine made them; {} tables",
                    ReportTable::ALL.len()
                ),
            )?;
        }
        Ok(())
    }

    /// The events, day by day. Of recovery points that were made there are too many to tell one by one.
    async fn events(&mut self) -> Result<()> {
        let root = self.people.log_in("root").await?;
        let mut events = Vec::new();
        let mut place = EventId::at(0);
        loop {
            let part = root.events().after(&place, 1000).await?;
            if part.events.is_empty() {
                break;
            }
            place = part.position;
            events.extend(part.events);
        }
        self.diary.part(&format!("Events: {} of them", events.len()))?;
        let day = |week: &Self, event: &ProductEvent| week.diary.local(event.at).date();
        let mut rest = events.as_slice();
        while let Some(first) = rest.first() {
            let today = day(self, first);
            let end = rest.iter().position(|e| day(self, e) != today).unwrap_or(rest.len());
            let (of_day, later) = rest.split_at(end);
            rest = later;
            let mut points: BTreeMap<&str, usize> = BTreeMap::new();
            for event in of_day {
                if event.code == EventCode::PointMade {
                    let group = event.parameters.get("group").map_or("", String::as_str);
                    *points.entry(group).or_default() += 1;
                    continue;
                }
                let text = format!("{:<8} {}", event.severity.as_str(), event.text(Language::English));
                self.diary.line(event.at, event.code.as_str(), &text)?;
            }
            let points: Vec<_> = points
                .iter()
                .map(|(group, count)| format!("{count} of {group}"))
                .collect();
            if !points.is_empty() {
                let points = format!("and recovery points were made: {}", points.join(", "));
                self.diary.of_day(first.at, &points)?;
            }
        }
        Ok(())
    }

    /// What was promised and what was kept, group by group.
    fn measured(&mut self, reports: &[RecoveryReport]) -> Result<()> {
        self.diary
            .part("Objectives, and what the failover of Friday and the failback of Sunday measured")?;
        let known = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |v| v.to_string());
        for group in &self.home {
            let led = |r: &&RecoveryReport| {
                let of = r
                    .facts
                    .job
                    .group
                    .strip_suffix("-failback")
                    .unwrap_or(&r.facts.job.group);
                r.facts.job.kind == "failover" && of == group.name
            };
            for report in reports.iter().filter(led) {
                let (job, measured) = (&report.facts.job, &report.measured);
                let met = |met: Option<bool>| match met {
                    Some(true) => "met",
                    Some(false) => "MISSED",
                    None => "not known",
                };
                self.diary.aside(&format!(
                    "{:<20} to {:<6} RTO {:>4} s of {:>4} s, {}; RPO {:>5} s of {:>5} s, {}",
                    job.group,
                    job.target_cluster,
                    known(measured.rto_seconds),
                    job.rto_minutes * 60,
                    met(measured.rto_met),
                    known(measured.rpo_seconds),
                    job.rpo_minutes * 60,
                    met(measured.rpo_met),
                ))?;
            }
        }
        Ok(())
    }

    /// What the audit trail holds of each, and who was refused what.
    async fn audited(&mut self) -> Result<()> {
        let root = self.people.log_in("root").await?;
        let mut entries = Vec::new();
        let mut page = Query::default().limit(1000);
        loop {
            let part = root.audit().list(&page).await?;
            entries.extend(part.items);
            match part.next {
                Some(next) => page = page.after(next),
                None => break,
            }
        }
        self.diary.part("The audit trail, as root (admin) reads it")?;
        let mut done: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for entry in &entries {
            let of = done.entry(&entry.actor).or_default();
            *of.entry(entry.outcome.as_str()).or_default() += 1;
        }
        for (actor, outcomes) in &done {
            let outcomes: Vec<_> = outcomes
                .iter()
                .map(|(outcome, count)| format!("{count} {outcome}"))
                .collect();
            self.diary.aside(&format!("{actor:<6} {}", outcomes.join(", ")))?;
        }
        for entry in &entries {
            if let ns_core::model::AuditOutcome::Refused { code } = &entry.outcome {
                let what = format!("{} {}: {code}", entry.action, entry.object);
                self.diary.line(entry.at, &entry.actor, &what)?;
            }
        }
        entries.first().context("nobody did anything").map(drop)
    }
}
