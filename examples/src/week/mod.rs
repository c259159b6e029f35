//! A week with NeverStop, on simulated clouds and in simulated time: two clouds, five protection groups of together 40 instances,
//! people of all four roles, schedules, drills, changes of both clouds, one disaster and the way home.
//!
//! It is written as a user of the library writes it, and read best from Monday on: Monday (`protection`), what happens until
//! Thursday (`changes`), the disaster (`disaster`), the way home (`home`), and what is left of it to read (`summary`). Everything in
//! it follows from the clock and the seed, so that two runs print the same.

mod changes;
mod diary;
mod disaster;
mod estate;
mod home;
mod letterbox;
mod people;
mod picture;
mod protection;
mod summary;

use anyhow::{Result, bail};
use diary::Diary;
use estate::Built;
use jiff::civil::date;
use jiff::tz::TimeZone;
use letterbox::Letterbox;
use ns_core::model::{ClusterId, GroupId, Is, JobId, JobState, JobSummary, PlanId, PlanStatus, Query, ResultCode};
use ns_core::ports::{Clock, SequentialIds};
use ns_core::sim::{SimClock, SimWorld};
use ns_core::store::MemoryStore;
use ns_core::{Actor, Engine, Session, Settings};
use people::People;
use picture::Picture;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where the people work: their clocks show this zone's time, and schedules go by it.
const ZONE: &str = "Asia/Seoul";

/// How often the guests write, and the record of calls is thrown away.
const BEAT: i64 = 6 * 3600;

/// Lives through the week: prints what people did, the events and what was measured, and writes the reports into a folder.
///
/// It wants a runtime with one thread, on which simulated time is the same each time, and with a timer.
///
/// # Errors
/// Those of the engine and of the folder; when something did not end as it should, what.
pub async fn week(reports: &Path, out: &mut dyn Write) -> Result<()> {
    let mut week = Week::begin(out).await?;
    week.monday().await?;
    let monday = Picture::take(&week.sim);
    week.tuesday().await?;
    week.wednesday().await?;
    week.thursday().await?;
    let friday = week.friday().await?;
    week.saturday().await?;
    week.sunday(&monday, &friday).await?;
    week.summary(reports).await?;
    week.engine.shutdown().await;
    Ok(())
}

/// A protection group and how it is protected now.
#[derive(Debug, Clone)]
struct Protected {
    name: &'static str,
    group: GroupId,
    plan: PlanId,
    /// The failover of Friday, once it is there.
    failover: Option<JobId>,
}

/// The world of this week, and the product in it.
#[derive(Debug)]
struct Week<'o> {
    clock: SimClock,
    sim: SimWorld,
    services: Vec<Built>,
    engine: Engine,
    post: Arc<Letterbox>,
    people: People,
    diary: Diary<'o>,
    /// Seoul and Busan.
    clusters: Vec<ClusterId>,
    /// As they are protected now.
    groups: Vec<Protected>,
    /// As they were protected before the disaster.
    home: Vec<Protected>,
}

impl<'o> Week<'o> {
    /// Monday at eight: the clouds are there, the product is installed.
    async fn begin(out: &'o mut dyn Write) -> Result<Self> {
        let (clock, zone) = (SimClock::new(), TimeZone::get(ZONE)?);
        let start = date(2026, 1, 5).at(8, 0, 0, 0).to_zoned(zone.clone())?;
        clock.advance(start.timestamp().duration_since(clock.now()).unsigned_abs());
        let sim = SimWorld::new(Arc::new(clock.clone()), 2026);
        // That looking at a cloud takes a moment makes this week slower and tells nothing.
        sim.tune(|tuning| (tuning.cloud_read, tuning.storage_read) = (Duration::ZERO, Duration::ZERO));
        let services = estate::build(&sim)?;

        let mut settings = Settings::default();
        // Nothing needs to be found within a minute here. Drills that are due have to be, within ten.
        settings.watch_interval = Duration::from_secs(540);
        settings.probe_interval = Duration::from_secs(180);
        settings.lease = Duration::from_secs(600);
        // Hashing that is worth its name takes most of this week's computing.
        (settings.password_memory_kib, settings.password_passes) = (1024, 1);
        let post = Arc::<Letterbox>::default();
        let engine = Engine::builder(Arc::new(MemoryStore::default()))
            .clock(Arc::new(clock.clone()))
            .ids(Arc::new(SequentialIds::default()))
            .settings(settings)
            .sink("phone", post.clone())
            .build()?;
        engine.start().await?;
        let people = People::hire(&engine, &clock).await?;
        let mut diary = Diary::new(out, clock.clone(), zone);
        diary.part(&format!("What people did (times of {ZONE})"))?;
        diary.says("root (admin)", "installs the product, and makes accounts:")?;
        diary.aside("mina, manager of operations and payments; otto, operator of both;")?;
        diary.aside("nils, operator of payments only; vera, viewer of both: she audits")?;
        Ok(Self {
            clock,
            sim,
            services,
            engine,
            post,
            people,
            diary,
            clusters: Vec::new(),
            groups: Vec::new(),
            home: Vec::new(),
        })
    }

    /// Lets the time pass until an hour of a day of this January. Guests write every six hours.
    async fn until(&mut self, day: i8, hour: i8, minute: i8) -> Result<()> {
        let wall = date(2026, 1, day).at(hour, minute, 0, 0);
        let end = wall.to_zoned(TimeZone::get(ZONE)?)?.timestamp();
        if end < self.clock.now() {
            bail!("it is later than {wall} already");
        }
        while self.clock.now() < end {
            let beat = BEAT - self.clock.now().as_second().rem_euclid(BEAT);
            let beat = Duration::from_secs(beat.unsigned_abs());
            let rest = end.duration_since(self.clock.now()).unsigned_abs();
            self.clock.sleep(beat.min(rest)).await;
            if beat <= rest {
                self.sim.heartbeats("a");
                self.sim.heartbeats("b");
                self.sim.forget_calls();
            }
        }
        // Jobs are called by number, in the order in which they were made.
        let kinds = Is::OneOf(["drill", "failover", "protect"].map(str::to_owned).into());
        let made = Query::default().with("kind", kinds).limit(1000).sort("created_at");
        let root = self.engine.session(Actor::admin("root"));
        for job in root.jobs().list(&made).await?.items {
            self.diary.number(&job.id);
        }
        Ok(())
    }

    fn group(&self, name: &str) -> Result<Protected> {
        match self.groups.iter().find(|g| g.name == name) {
            Some(group) => Ok(group.clone()),
            None => bail!("there is no group {name}"),
        }
    }

    /// Waits for a job until it needs somebody or has finished, and for the result that it should have.
    async fn ends(&self, session: &Session, job: &JobId, result: ResultCode) -> Result<JobSummary> {
        let job = session.jobs().wait(job).await?;
        if job.result == Some(result) && job.state != JobState::ClearFailed {
            return Ok(job);
        }
        let tasks = session.jobs().view(&job.id).await?.tasks;
        let errors = tasks
            .iter()
            .filter_map(|(key, task)| Some(format!("{key}: {}", task.error.as_ref()?.message)));
        let errors: Vec<_> = errors.collect();
        let (kind, state) = (job.work.kind(), job.state);
        bail!(
            "{kind} {} ended as {:?} in {state}: {}",
            job.id,
            job.result,
            errors.join("; ")
        )
    }

    /// Waits for every job that goes on by itself.
    async fn settled(&self, session: &Session) -> Result<()> {
        let kinds = Is::OneOf(["protect", "point"].map(str::to_owned).into());
        let by_itself = Query::default()
            .with("kind", kinds)
            .limit(1000)
            .sort_descending("created_at");
        for job in session.jobs().list(&by_itself).await?.items {
            if job.state != JobState::Finished {
                session.jobs().wait(&job.id).await?;
            }
        }
        Ok(())
    }

    /// Shows how a plan stands and why.
    async fn stands(&mut self, who: &str, session: &Session, group: &Protected, is: PlanStatus) -> Result<()> {
        let found = session.plans().assess(&group.plan).await?;
        let status = word(found.status);
        self.diary
            .says(who, format!("looks at the plan of {}: {status}", group.name))?;
        for reason in &found.reasons {
            self.diary
                .aside(&format!("{}: {}; {}", reason.code, reason.message, reason.remedy))?;
        }
        if found.status != is {
            bail!("the plan of {} should be {}", group.name, word(is));
        }
        Ok(())
    }

    /// Does for each group what takes two people: one asks and is refused, another approves, and the same call goes through.
    async fn with_approval<T>(
        &mut self,
        (asks, approves): (&str, &str),
        what: &str,
        call: impl AsyncFn(&Session, &Protected) -> ns_core::Result<T>,
    ) -> Result<Vec<T>> {
        let first = self.people.log_in(asks).await?;
        for group in &self.groups {
            match call(&first, group).await {
                Err(error) if error.code() == "approval.required" => {}
                Err(error) => return Err(error.into()),
                Ok(_) => bail!("{what} of {} needed nobody else", group.name),
            }
        }
        let count = self.groups.len();
        self.diary
            .says(asks, format!("asks for {what} of {count} groups: approval.required"))?;
        let second = self.people.log_in(approves).await?;
        let waiting = Query::default().equal("state", "waiting");
        let waiting = second.approvals().list(&waiting).await?.items;
        for asked in &waiting {
            second.approvals().approve(&asked.id).await?;
        }
        self.diary
            .says(approves, format!("approves {} of them", waiting.len()))?;
        let first = self.people.log_in(asks).await?;
        let mut done = Vec::new();
        for group in &self.groups {
            done.push(call(&first, group).await?);
        }
        Ok(done)
    }
}

fn word(status: PlanStatus) -> String {
    format!("{status:?}").to_lowercase()
}
