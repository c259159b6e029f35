//! Settings: read, described and changed while engines run (SET-01). An Admin's alone.

use super::Session;
use super::audit::{Act, Notes};
use crate::Result;
use crate::engine::{SettingInfo, SettingValue, Settings, SettingsUpdate, check_names};
use crate::rules::{Area, Verb};
use std::collections::BTreeMap;

/// See [`Session::settings`].
#[derive(Debug, Clone, Copy)]
pub struct SettingsFace<'a> {
    pub(super) session: &'a Session,
}

impl SettingsFace<'_> {
    /// The settings that the engine goes by now.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// println!("{:?}", session.settings().get().await?.pause_limit);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for all but an Admin; those of the store.
    pub async fn get(&self) -> Result<Settings> {
        self.session.may(Area::Settings, Verb::Read)?;
        self.session.inner.reload_settings().await?;
        Ok((*self.session.inner.settings()).clone())
    }

    /// Every setting: its name, unit, range, meaning, what it is now, and what it is when nobody has changed it.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// for setting in session.settings().describe().await? {
    ///     println!("{} = {} ({:?}): {}", setting.name, setting.value, setting.unit, setting.meaning);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    pub async fn describe(&self) -> Result<Vec<SettingInfo>> {
        let settings = self.get().await?;
        let (built, changed) = self.session.inner.changed_settings();
        Ok(settings.describe(built, |name| changed.contains_key(name)))
    }

    /// Changes settings, all or none. This engine goes by them at once, other engines on the store within their
    /// [`watch_interval`](Settings::watch_interval); they outlast a restart, and stand above what an engine is built with. A wait that
    /// has begun ends as it began.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::engine::{LogLevel, SettingsUpdate};
    ///
    /// let update = SettingsUpdate::new().with("rollback_wait", 7200).with("log_level", LogLevel::Debug);
    /// let settings = session.settings().update(&update).await?;
    /// assert_eq!(settings.rollback_wait.as_secs(), 7200);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid`, naming the setting as field: `settings.unknown`, `settings.form`, `settings.range`; `Denied` for all but an Admin.
    /// Nothing is changed then.
    pub async fn update(&self, update: &SettingsUpdate) -> Result<Settings> {
        let check = || self.session.inner.settings().with(update).map(drop);
        let change = |values: &mut BTreeMap<_, _>| values.extend(update.0.clone());
        self.changed("settings.update", check, change).await
    }

    /// Gives settings back what they are when nobody has changed them.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// session.settings().reset(&["rollback_wait"]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid`, `settings.unknown`; `Denied` for all but an Admin.
    pub async fn reset(&self, names: &[&str]) -> Result<Settings> {
        let check = || check_names(names.iter().copied());
        let change = |values: &mut BTreeMap<String, _>| values.retain(|name, _| !names.contains(&name.as_str()));
        self.changed("settings.reset", check, change).await
    }

    async fn changed(
        &self,
        action: &str,
        check: impl FnOnce() -> Result<()>,
        change: impl Fn(&mut BTreeMap<String, SettingValue>),
    ) -> Result<Settings> {
        let notes = Notes::default();
        let act = Act::new(Area::Settings, Verb::Update, action, "settings");
        let work = async {
            check()?;
            let inner = &self.session.inner;
            let was = inner.settings();
            inner.change_settings(&self.session.actor.name, change).await?;
            let is = inner.settings();
            notes.fields(&*was, &*is)?;
            Ok((*is).clone())
        };
        self.session.change_noted(act, &notes, work).await
    }
}
