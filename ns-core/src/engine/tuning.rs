//! The settings of a running engine: those it was built with, and over them what was changed since, which is one document for all
//! engines on the store. An engine goes by a change of its own at once, and by another's when its watch looks next.

use super::Inner;
use super::records::{kinds, put};
use super::settings::{LogLevel, SettingValue, Settings, SettingsUpdate};
use crate::{ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The id of the one document.
const SETTINGS_ID: &str = "settings";

/// What was changed. It stays when nothing is changed any more: its version only counts up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSettings {
    /// By name, in the setting's unit.
    values: BTreeMap<String, SettingValue>,
    /// Who changed something last.
    changed_by: String,
    /// When.
    changed_at: Timestamp,
}

/// What the host does when the log level changes.
#[derive(Clone)]
pub(super) struct LogHook(pub(super) Arc<dyn Fn(LogLevel) + Send + Sync>);

impl fmt::Debug for LogHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogHook")
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tuning {
    /// What the engine was built with.
    built: Settings,
    now: Mutex<Now>,
    on_log_level: Option<LogHook>,
}

#[derive(Debug)]
struct Now {
    settings: Arc<Settings>,
    /// Of the document: what was read before somebody else changed it must not win.
    version: u64,
    changed: BTreeMap<String, SettingValue>,
    /// The level that the host was told last.
    told: Option<LogLevel>,
}

impl Tuning {
    pub(super) fn new(built: Settings, on_log_level: Option<LogHook>) -> Self {
        let now = Now {
            settings: Arc::new(built.clone()),
            version: 0,
            changed: BTreeMap::new(),
            told: None,
        };
        Self {
            built,
            now: Mutex::new(now),
            on_log_level,
        }
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the changes make of what the engine was built with. One that an earlier version allowed and this one does not is
    /// left out.
    fn with(&self, changed: &BTreeMap<String, SettingValue>) -> Settings {
        let mut settings = self.built.clone();
        for (name, value) in changed {
            match settings.with(&SettingsUpdate::new().with(name, value.clone())) {
                Ok(with) => settings = with,
                Err(error) => tracing::warn!(%error, "a stored setting is not gone by"),
            }
        }
        settings
    }

    /// Goes by a document, unless a later one was seen already.
    fn take(&self, changed: BTreeMap<String, SettingValue>, version: u64) {
        let mut now = self.now();
        if version > now.version {
            now.settings = Arc::new(self.with(&changed));
            (now.version, now.changed) = (version, changed);
        }
        let level = now.settings.log_level;
        let news = now.told.replace(level) != Some(level);
        drop(now);
        if let Some(LogHook(tell)) = self.on_log_level.as_ref().filter(|_| news) {
            tell(level);
        }
    }
}

impl Inner {
    /// The settings as they are now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.tuning.now().settings.clone()
    }

    /// What the engine was built with, and what was changed of it since.
    pub(crate) fn changed_settings(&self) -> (&Settings, BTreeMap<String, SettingValue>) {
        (&self.tuning.built, self.tuning.now().changed.clone())
    }

    /// Looks what was changed by any engine on the store.
    pub(crate) async fn reload_settings(&self) -> Result<()> {
        let found = self
            .records()
            .find::<StoredSettings>(kinds::SETTINGS, SETTINGS_ID)
            .await;
        match found {
            Ok(found) => {
                let (changed, version) =
                    found.map_or_else(Default::default, |(stored, version)| (stored.values, version));
                self.tuning.take(changed, version);
                Ok(())
            }
            // What is protected is more than what was tuned: the engine goes on with what it has.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%error, "changed settings cannot be read and are not gone by");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Changes what is changed, for all engines on the store; `change` is checked before anything is written.
    pub(crate) async fn change_settings(
        &self,
        by: &str,
        change: impl Fn(&mut BTreeMap<String, SettingValue>),
    ) -> Result<()> {
        let records = self.records();
        loop {
            let found = records.find::<StoredSettings>(kinds::SETTINGS, SETTINGS_ID).await?;
            let (was, version) = found.map_or_else(Default::default, |(stored, version)| (stored.values, version));
            let mut values = was.clone();
            change(&mut values);
            if values != was {
                let stored = StoredSettings {
                    values: values.clone(),
                    changed_by: by.to_owned(),
                    changed_at: self.clock.now(),
                };
                match records
                    .commit(vec![put(kinds::SETTINGS, SETTINGS_ID, Some(version), &stored)?])
                    .await
                {
                    Err(e) if e.kind() == ErrorKind::Conflict => continue,
                    result => result?,
                }
                for name in was
                    .keys()
                    .chain(values.keys())
                    .filter(|n| was.get(*n) != values.get(*n))
                {
                    tracing::info!(name, value = ?values.get(name), by, "a setting was changed");
                }
            }
            return self.reload_settings().await;
        }
    }
}
