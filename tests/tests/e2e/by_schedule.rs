//! A drill that nobody asks for: its schedule begins it, its end time cleans it up, and its report tells what the clouds recorded
//! themselves.

use super::Run;
use anyhow::{Context, Result, ensure};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use ns_core::model::{
    ClusterId, ExecutionType, GroupId, JobId, JobOperation, JobState, Query, Recurrence, ResultCode, ScheduleId,
    Timetable,
};
use ns_core::report::{RecoveryReport, TaskPart};
use ns_core::session::ScheduleRequest;
use ns_core::store::SqliteStore;
use ns_core::{Actor, Engine, Providers, Session, Settings};
use ns_tests::{Guest, Site, SiteName, ceph_time, wait_for};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long the drill stays up: enough for a guest to boot and for its records to be read.
const UP: Duration = Duration::from_secs(60);

/// What the clouds say of a drill while it is up.
struct Records {
    /// The servers, by their ids on the Target, each with the moment since which it runs.
    launched: Vec<(String, Timestamp)>,
    /// When each volume of them was made, as Cinder and as Ceph say.
    made: Vec<(Timestamp, Timestamp)>,
}

/// JOB-08, SCH-01, OPEN-18, SM-46, RES-03, RES-04: a drill by schedule on a real guest.
pub(super) async fn drill(run: &mut Run) -> Result<()> {
    let before = run.everything().await?;
    let mut settings = Settings::default();
    settings.rollback_wait = UP;
    settings.watch_interval = Duration::from_secs(5);
    let store = Arc::new(SqliteStore::open(run.program.store())?);
    let engine = Engine::builder(store).settings(settings).build()?;
    let session = engine.session(Actor::admin("anna"));
    for site in [&run.a, &run.b] {
        engine.attach(&cluster(run, &session, site).await?, providers(site));
    }
    engine.start().await?;
    let outcome = story(run, &session).await;
    engine.shutdown().await;
    outcome?;
    run.as_before(&before, "a drill by schedule").await
}

fn providers(site: &Site) -> Providers {
    Providers {
        cloud: site.cloud.clone(),
        storage: site.storage.clone(),
    }
}

async fn cluster(run: &Run, session: &Session, site: &Site) -> Result<ClusterId> {
    let name = run.lab.cloud_name(site.name);
    let found = session.clusters().by_name(&name).await?;
    Ok(found.with_context(|| format!("{name} is not registered"))?.id)
}

async fn story(run: &Run, session: &Session) -> Result<()> {
    let group = session.protection_groups().list(&Query::default()).await?;
    let group = group.items.into_iter().next().context("no group")?.id;
    let plan = session.plans().list(&Query::default()).await?;
    let plan = plan.items.into_iter().next().context("no plan")?.id;
    // The next whole minute that leaves a moment to say so.
    let first = (Timestamp::now() + 65.seconds()).to_zoned(TimeZone::UTC);
    let request = ScheduleRequest {
        name: "nightly".into(),
        group_id: group.clone(),
        plan_id: plan,
        timetable: Timetable {
            recurrence: Recurrence::Daily { days: 1 },
            hour: first.hour().unsigned_abs(),
            minute: first.minute().unsigned_abs(),
            zone: "UTC".into(),
            begins: first.date(),
            ends: None,
        },
        exclude: BTreeSet::new(),
    };
    let schedule = session.schedules().create(request).await?.id;
    let due = session.schedules().next_runs(&schedule, 1).await?;
    let due = *due.first().context("it never runs")?;
    run.say(&format!("a drill is scheduled for {due}"));
    let job = begun(session, &schedule).await?;
    wait_for("the drill", Duration::from_secs(300), || async {
        Ok((session.jobs().get(&job).await?.state == JobState::Completed).then_some(()))
    })
    .await?;
    let guest = run.recovered("e2e-guest").await?;
    let line = guest.booted().await?;
    ensure!(
        Guest::marker(&line) == Some("E2E-ONE"),
        "the drill's guest shows {line}"
    );
    run.say(&format!("it runs by itself: {line}"));
    let records = records(run)?;
    wait_for("its end", UP + Duration::from_secs(240), || async {
        Ok((session.jobs().get(&job).await?.state == JobState::Finished).then_some(()))
    })
    .await?;
    let report = session.reports().get(&job).await?;
    session.reports().verify(&report.json()?).await?;
    told(&report, &schedule, due)?;
    right(run, &report, &records)?;
    data(run, session, &group, &report).await?;
    session.schedules().delete(&schedule).await?;
    Ok(())
}

/// The job that a schedule makes when its time comes.
async fn begun(session: &Session, schedule: &ScheduleId) -> Result<JobId> {
    let limit = Duration::from_secs(150);
    wait_for("the job of the schedule", limit, || async {
        Ok(session.schedules().get(schedule).await?.last_job)
    })
    .await
}

/// What was to be done, and that it was.
fn told(report: &RecoveryReport, schedule: &ScheduleId, due: Timestamp) -> Result<()> {
    let job = &report.facts.job;
    let by = ExecutionType::Schedule {
        schedule_id: schedule.to_string(),
    };
    ensure!(job.execution == Some(by), "{:?}", job.execution);
    ensure!(job.result == Some(ResultCode::Success), "{:?}", job.result);
    ensure!(job.last_operation == JobOperation::Rollback, "{:?}", job.last_operation);
    ensure!(report.facts.leftovers.is_empty(), "{:?}", report.facts.leftovers);
    let (started, completed) = times(job.started_at, job.completed_at)?;
    let late = started.duration_since(due).as_secs();
    ensure!((0..=30).contains(&late), "begun {late} s after its time");
    let up = first_of(report, "rollback")?.duration_since(completed);
    ensure!(up >= UP.try_into()?, "cleaned up after {up:#}");
    Ok(())
}

fn times(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(Timestamp, Timestamp)> {
    from.zip(to).context("no times")
}

/// When the first task of a phase began.
fn first_of(report: &RecoveryReport, phase: &str) -> Result<Timestamp> {
    let tasks = report.facts.tasks.iter().filter(|t| t.phase == phase);
    tasks
        .filter_map(|t| t.started_at)
        .min()
        .with_context(|| format!("nothing was done in {phase}"))
}

/// Reads what both services and the storage of the Target recorded of what the drill made.
fn records(run: &Run) -> Result<Records> {
    let b = SiteName::B;
    let list = |what: &str| -> Result<Vec<String>> {
        let all = run
            .lab
            .openstack(b, &[what, "list", "--all-projects", "-f", "value", "-c", "ID"])?;
        Ok(all.lines().map(str::to_owned).collect())
    };
    let shown = |what: &str, id: &str, field: &str| -> Result<Timestamp> {
        at(run
            .lab
            .openstack(b, &[what, "show", id, "-f", "value", "-c", field])?
            .trim())
    };
    let mut launched = Vec::new();
    for id in list("server")? {
        let since = shown("server", &id, "OS-SRV-USG:launched_at")?;
        launched.push((id, since));
    }
    let mut made = Vec::new();
    for id in list("volume")? {
        let image = format!("volumes/volume-{id}");
        let info: serde_json::Value = serde_json::from_str(&run.lab.rbd(b, &["info", "--format", "json", &image])?)?;
        let cloned = info["create_timestamp"].as_str().context("no create_timestamp")?;
        made.push((shown("volume", &id, "created_at")?, ceph_time(cloned)?));
    }
    Ok(Records { launched, made })
}

/// A time as OpenStack writes it, in UTC.
fn at(text: &str) -> Result<Timestamp> {
    let at: DateTime = text
        .trim_end_matches('Z')
        .parse()
        .with_context(|| format!("{text} is no time"))?;
    Ok(at.to_zoned(TimeZone::UTC)?.timestamp())
}

/// A time that is recorded in whole seconds lies within a task of the report.
fn within(task: &TaskPart, recorded: Timestamp, what: &str) -> Result<()> {
    let (from, to) = times(task.started_at, task.ended_at)?;
    let fits = (from.as_second()..=to.as_second()).contains(&recorded.as_second());
    ensure!(fits, "{what} at {recorded}, and {} from {from} to {to}", task.key);
    Ok(())
}

/// What the report says of servers and volumes is what Nova, Cinder and Ceph recorded.
fn right(run: &Run, report: &RecoveryReport, records: &Records) -> Result<()> {
    let task = |phase: &str, key: &str| {
        let mut tasks = report.facts.tasks.iter();
        let found = tasks.find(|t| t.phase == phase && t.key.ends_with(key));
        found.with_context(|| format!("the report has no task {key}"))
    };
    let (started, completed) = times(report.facts.job.started_at, report.facts.job.completed_at)?;
    ensure!(records.launched.len() == 3, "{} servers", records.launched.len());
    for instance in &report.facts.instances {
        let id = instance.target_id.as_ref().context("no server was made")?;
        let known = records.launched.iter().find(|(server, _)| server == id.as_str());
        let (_, launched) = known.with_context(|| format!("Nova knows no server {id}"))?;
        let key = format!("server/{}", instance.id);
        within(task("run", &key)?, *launched, "launched")?;
        ensure!(completed >= *launched, "recovered before {id} ran");
        // Nova keeps this of a server that is gone.
        let list = [
            "--os-compute-api-version",
            "2.21",
            "server",
            "event",
            "list",
            id.as_str(),
            "-f",
            "json",
        ];
        let events: Vec<serde_json::Value> = serde_json::from_str(&run.lab.openstack(SiteName::B, &list)?)?;
        let when = |action: &str| {
            let event = events.iter().find(|event| event["Action"] == action);
            at(event
                .and_then(|e| e["Start Time"].as_str())
                .with_context(|| format!("{id}: no {action} in {events:?}"))?)
        };
        within(task("run", &key)?, when("create")?, "created")?;
        within(task("rollback", &format!("remove/{key}"))?, when("delete")?, "deleted")?;
    }
    let volumes: Vec<&TaskPart> = (report.facts.volumes.iter())
        .map(|v| task("run", &format!("volume/{}", v.id)))
        .collect::<Result<_>>()?;
    ensure!(records.made.len() == volumes.len(), "{} volumes", records.made.len());
    for (entered, cloned) in &records.made {
        let fits = volumes.iter().any(|task| within(task, *entered, "entered").is_ok());
        ensure!(fits, "Cinder has a volume since {entered}: {volumes:?}");
        ensure!(
            cloned.as_second() >= started.as_second() && cloned <= entered,
            "Ceph made its image at {cloned}"
        );
    }
    let measured = report.measured.rto_seconds.context("no RTO")?;
    let last = records.launched.iter().map(|(_, at)| *at).max().context("no servers")?;
    let recorded = last.duration_since(started).as_secs().unsigned_abs();
    ensure!(
        measured >= recorded,
        "an RTO of {measured} s, and the last server ran after {recorded} s"
    );
    run.say(&format!(
        "the report and the clouds' own records agree; RTO {measured} s, the last of {} servers ran after {recorded} s",
        records.launched.len()
    ));
    Ok(())
}

/// The data are those of the point whose snapshots the Source made at the time that the report names.
async fn data(run: &Run, session: &Session, group: &GroupId, report: &RecoveryReport) -> Result<()> {
    let points = session.points().list(group, &Query::default()).await?.items;
    let point = points.iter().max_by_key(|p| p.taken_at).context("no point")?;
    let plan = session.plans().list(&Query::default()).await?.items;
    let plan = plan.first().context("no plan")?;
    let mut taken = Vec::new();
    for (id, part) in &point.volumes {
        let source = &plan
            .volumes
            .get(id)
            .with_context(|| format!("{id} is not in the plan"))?
            .source;
        let image = source.as_str().trim_start_matches("rbd:");
        let snapshots = run.lab.snapshots(SiteName::A, image)?;
        let at = snapshots.get(&part.snapshot);
        taken.push(*at.with_context(|| format!("{image} has no {}", part.snapshot))?);
    }
    let first = taken.iter().min().context("no volumes")?;
    for volume in &report.facts.volumes {
        let told = volume.data_point.map(Timestamp::as_second);
        ensure!(
            told == Some(first.as_second()),
            "{}: data until {told:?}, taken at {first}",
            volume.name
        );
    }
    run.say(&format!("data until {first}, as the snapshots of the Source say"));
    Ok(())
}
