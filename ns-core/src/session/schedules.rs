//! Schedules: drills that are made again and again (JOB-08, SCH-02 … SCH-05, SCH-12).

use super::Session;
use super::audit::{Act, Notes};
use crate::engine::{kinds, put, remove};
use crate::model::{CloudId, DrillSchedule, GroupId, Listing, PlanId, ProtectionGroup, Query, ScheduleId, Timetable};
use crate::rules::{Area, Verb};
use crate::{Result, rules};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is to be run again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// Name (OPEN-06).
    pub name: String,
    /// Of which group.
    pub group_id: GroupId,
    /// By which plan.
    pub plan_id: PlanId,
    /// When.
    pub timetable: Timetable,
    /// Instances left out.
    #[serde(default)]
    pub exclude: BTreeSet<CloudId>,
}

/// What is to be changed of a schedule; none leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another timetable.
    pub timetable: Option<Timetable>,
    /// Other instances left out.
    pub exclude: Option<BTreeSet<CloudId>>,
    /// Whether it makes drills. Runs that fall into a time in which it does not are left out for good.
    pub enabled: Option<bool>,
}

/// See [`Session::schedules`].
#[derive(Debug, Clone, Copy)]
pub struct Schedules<'a> {
    pub(super) session: &'a Session,
}

impl Schedules<'_> {
    /// Makes a schedule. Its first run is the next one of its timetable. Each run is a job with all that a drill has: it begins when
    /// its group is free, and is cancelled when that is not so within the [`drill_start_window`](crate::Settings::drill_start_window) (JOB-54).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::GroupId, plan: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// use ns_core::model::{Recurrence, Timetable, WeekOfMonth, Weekday};
    /// use ns_core::session::ScheduleRequest;
    ///
    /// let first_sunday = Timetable {
    ///     recurrence: Recurrence::MonthlyByWeekday {
    ///         from_month: 1,
    ///         months: 1,
    ///         week: WeekOfMonth::First,
    ///         weekday: Weekday::Sunday,
    ///     },
    ///     hour: 3,
    ///     minute: 0,
    ///     zone: "Asia/Seoul".to_owned(),
    ///     begins: jiff::civil::date(2026, 1, 1),
    ///     ends: None,
    /// };
    /// let request = ScheduleRequest {
    ///     name: "monthly".to_owned(),
    ///     group_id: group,
    ///     plan_id: plan,
    ///     timetable: first_sunday,
    ///     exclude: Default::default(),
    /// };
    /// let schedule = session.schedules().create(request).await?;
    /// println!("next: {:?}", session.schedules().next_runs(&schedule.id, 3).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` with field and rule: the name, the timetable, a plan that is not the group's (JOB-04), instances that are not in the
    /// group or all of it left out; `Denied` for a role that makes no jobs; `NotFound`.
    pub async fn create(&self, request: ScheduleRequest) -> Result<DrillSchedule> {
        let act = Act::new(Area::Jobs, Verb::Create, "schedules.create", &request.name);
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let group = self.session.group(&request.group_id).await?;
                let now = inner.clock.now();
                let schedule = DrillSchedule {
                    id: ScheduleId::new(inner.ids.next()),
                    name: rules::normal_name(&request.name),
                    group_id: request.group_id,
                    plan_id: request.plan_id,
                    owner_group_id: group.owner_group_id.clone(),
                    timetable: request.timetable,
                    exclude: request.exclude,
                    enabled: true,
                    served: now,
                    last_job: None,
                    created_by: self.session.actor.name.clone(),
                    created_at: now,
                    modified_at: now,
                };
                self.check(&schedule, &group).await?;
                let write = put(kinds::DRILL_SCHEDULE, schedule.id.as_str(), Some(0), &schedule)?;
                inner.records().commit(vec![write]).await?;
                Ok(schedule)
            })
            .await
    }

    async fn check(&self, schedule: &DrillSchedule, group: &ProtectionGroup) -> Result<()> {
        let plan = self.session.plan(&schedule.plan_id).await?;
        rules::check_drill_schedule(schedule, group, &plan)
    }

    /// One schedule.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ScheduleId) -> ns_core::Result<()> {
    /// println!("{:?}", session.schedules().get(&id).await?.last_job);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &ScheduleId) -> Result<DrillSchedule> {
        let schedule: DrillSchedule = self
            .session
            .inner
            .records()
            .get(kinds::DRILL_SCHEDULE, id.as_str())
            .await?;
        let owner = schedule.owner_group_id.clone();
        self.session
            .seen(Some(&owner), kinds::DRILL_SCHEDULE, id.as_str(), schedule)
    }

    /// A part of the schedules.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for schedule in session.schedules().list(&Query::default().equal("enabled", "true")).await?.items {
    ///     println!("{}: {:?}", schedule.name, schedule.timetable.recurrence);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<DrillSchedule>> {
        let mine = |s: &DrillSchedule| self.session.sees(Some(&s.owner_group_id));
        self.session.listed(kinds::DRILL_SCHEDULE, query, mine).await
    }

    /// Changes a schedule. Jobs that it has made already are left as they are.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ScheduleId) -> ns_core::Result<()> {
    /// use ns_core::session::ScheduleUpdate;
    ///
    /// session.schedules().update(&id, ScheduleUpdate { enabled: Some(false), ..Default::default() }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Schedules::create`] for the schedule as it is to be. Nothing is changed then.
    pub async fn update(&self, id: &ScheduleId, update: ScheduleUpdate) -> Result<DrillSchedule> {
        let notes = Notes::default();
        let act = Act::new(Area::Jobs, Verb::Update, "schedules.update", id);
        self.session
            .change_noted(act, &notes, async {
                let inner = &self.session.inner;
                let was = self.get(id).await?;
                let group = self.session.group(&was.group_id).await?;
                let now = inner.clock.now();
                let changed = |schedule: &mut DrillSchedule| {
                    if let Some(name) = &update.name {
                        schedule.name = rules::normal_name(name);
                    }
                    // What was not to run until now does not run later.
                    if update.timetable.is_some() || (update.enabled == Some(true) && !schedule.enabled) {
                        schedule.served = now;
                    }
                    if let Some(timetable) = &update.timetable {
                        schedule.timetable = timetable.clone();
                    }
                    if let Some(exclude) = &update.exclude {
                        schedule.exclude = exclude.clone();
                    }
                    schedule.enabled = update.enabled.unwrap_or(schedule.enabled);
                    schedule.modified_at = now;
                    Ok(())
                };
                let mut wanted = was.clone();
                changed(&mut wanted)?;
                self.check(&wanted, &group).await?;
                notes.fields(&was, &wanted)?;
                inner
                    .records()
                    .update(kinds::DRILL_SCHEDULE, id.as_str(), changed)
                    .await
            })
            .await
    }

    /// The next runs, as many as there are up to `count` (1000 at most); none while it is not enabled.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ScheduleId) -> ns_core::Result<()> {
    /// for run in session.schedules().next_runs(&id, 5).await? {
    ///     println!("{run}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`. Before there is a schedule, ask [`rules::next_runs`].
    pub async fn next_runs(&self, id: &ScheduleId, count: usize) -> Result<Vec<Timestamp>> {
        let schedule = self.get(id).await?;
        match schedule.enabled {
            true => rules::next_runs(&schedule.timetable, self.session.inner.clock.now(), count),
            false => Ok(Vec::new()),
        }
    }

    /// Deletes a schedule. Jobs that it has made stay.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ScheduleId) -> ns_core::Result<()> {
    /// session.schedules().delete(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; `Denied`.
    pub async fn delete(&self, id: &ScheduleId) -> Result<()> {
        let act = Act::new(Area::Jobs, Verb::Delete, "schedules.delete", id);
        self.session
            .change(act, async {
                self.get(id).await?;
                let gone = remove(kinds::DRILL_SCHEDULE, id.as_str());
                self.session.inner.records().commit(vec![gone]).await
            })
            .await
    }
}
