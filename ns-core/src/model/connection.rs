//! How a cluster is connected to: what a connector asks for, and what of a connection is not secret (CL-08).

use super::KeyId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The setting that allows unencrypted `http` for every [`FieldKind::Url`] of a connection, for a connector that has it
/// (SEC-08).
pub const ALLOW_HTTP: &str = "allow_http";

/// One half of a cluster. Each has its own connector, settings and secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// The cloud.
    Cloud,
    /// The storage its volumes live on.
    Storage,
}

impl Half {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Storage => "storage",
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a field of a connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldKind {
    /// Text on one line.
    Text,
    /// An address that begins with `https://`, or, allowed by [`ALLOW_HTTP`], with `http://`.
    Url,
    /// `true` or `false`.
    Flag,
    /// A whole number, 0 or more.
    Number,
    /// Texts with commas between them.
    List,
    /// A secret: given and kept apart from the settings, sealed, never shown again.
    Secret,
}

/// A field that a connector takes (CL-08): enough for a portal to draw it.
///
/// ```
/// use ns_core::model::{ConnectorField, FieldKind};
/// let fields = [
///     ConnectorField::new("auth_url", FieldKind::Url, "address of the identity service").required(),
///     ConnectorField::new("password", FieldKind::Secret, "password of the user").required(),
///     ConnectorField::new("region", FieldKind::Text, "region of the catalogue"),
/// ];
/// assert!(fields[0].required && !fields[2].required);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorField {
    /// Its name, unique among settings and secrets of the connector.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// Whether there is no connection without it. What is needed only beside others, the connector itself refuses.
    pub required: bool,
    /// What it means, in a few words, for people.
    pub about: String,
}

impl ConnectorField {
    /// A field that may be left out.
    pub fn new(name: impl Into<String>, kind: FieldKind, about: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind,
            required: false,
            about: about.into(),
        }
    }

    /// The same, needed.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// A connector that the engine has (CL-08): what can be chosen for a half, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorInfo {
    /// The half it connects.
    pub half: Half,
    /// Its name: the platform of a cloud, the kind of a storage.
    pub kind: String,
    /// What it asks for.
    pub fields: Vec<ConnectorField>,
}

/// The settings of one half of a connection: all of it that is not secret, by the names of the connector's fields. Whoever
/// may read the cluster reads them.
///
/// ```
/// use ns_core::model::ConnectionSettings;
/// let settings = ConnectionSettings::new()
///     .with("auth_url", "https://cloud.example:5000")
///     .with("exchanges", "nova, neutron")
///     .with("config_drive", "true");
/// assert_eq!(settings.get("auth_url"), Some("https://cloud.example:5000"));
/// assert_eq!(settings.list("exchanges"), ["nova", "neutron"]);
/// assert!(settings.flag("config_drive") && !settings.flag("allow_http"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionSettings(BTreeMap<String, String>);

impl ConnectionSettings {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a setting, in the place of one with the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The value of a setting; one of blanks only counts as not given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|v| !v.is_empty())
    }

    /// Whether a [`FieldKind::Flag`] is `true`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The texts of a [`FieldKind::List`]; none when it is not given.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.get(name)
            .map_or_else(Vec::new, |list| list.split(',').map(str::trim).collect())
    }

    /// Every setting that is given, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys().filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }
}

impl FromIterator<(String, String)> for ConnectionSettings {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(settings: T) -> Self {
        Self(settings.into_iter().collect())
    }
}

/// What a reader sees of one half of a connection that the engine keeps (CL-08, SEC-02): everything but the secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfInfo {
    /// The connector's name.
    pub kind: String,
    /// What is not secret.
    pub settings: ConnectionSettings,
    /// The names of the secrets that are kept.
    pub secrets: Vec<String>,
    /// The key they are sealed with.
    pub key_id: KeyId,
    /// When the secrets were entered or rotated last.
    pub changed_at: Timestamp,
}

/// What a reader sees of a connection that the engine keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// The cloud.
    pub cloud: HalfInfo,
    /// The storage.
    pub storage: HalfInfo,
}
