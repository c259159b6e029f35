//! The one error type of this crate and of every provider port.
//!
//! A caller acts on [`ErrorKind`]; a person reads `message` and `remedy`; a program that shows errors in its own
//! language uses `code`. Nothing secret may be put into any of them: providers keep a service's own message, never its
//! request headers or bodies.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure this is: what the engine and callers match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input breaks a rule of form: a field is missing, too long, out of range. Nothing was touched.
    Invalid,
    /// A rule of the product forbids it in the present state (a guard). Nothing was touched.
    Refused,
    /// The thing does not exist.
    NotFound,
    /// The thing exists already, is in use, or was changed by somebody else meanwhile.
    Conflict,
    /// The credentials are wrong or no longer accepted.
    Unauthenticated,
    /// The credentials are accepted but lack a right.
    Denied,
    /// A quota or the capacity of the cloud is exhausted.
    Quota,
    /// The service cannot be reached or is not able to answer now; the same call may succeed later.
    Unavailable,
    /// The deadline passed. **The outcome of the call is unknown**: look before doing it again.
    Timeout,
    /// The service understood and declined for good; repeating is useless.
    Rejected,
    /// The provider has not got this capability.
    Unsupported,
    /// The caller cancelled.
    Canceled,
    /// Stored data does not verify: a broken hash chain, an unreadable record.
    Corrupt,
    /// A fault of this library.
    Internal,
}

impl ErrorKind {
    /// The stable name used in JSON, Python and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Quota => "quota",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Unsupported => "unsupported",
            Self::Canceled => "canceled",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something did not happen, and what to do about it.
///
/// ```
/// use ns_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Invalid, "name.characters", "the name holds a blank")
///     .with_field("name")
///     .with_remedy("use letters, digits, '-', '_', '#' or '.'")
///     .with("value", "my group");
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert_eq!(
///     error.to_string(),
///     "invalid name.characters: the name holds a blank (field name) (value=my group); use letters, digits, '-', '_', '#' or '.'"
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    code: String,
    message: String,
    field: Option<String>,
    remedy: Option<String>,
    context: Vec<(String, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error. `code` is stable and dotted, e.g. `plan.status`; `message` is for people.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: code.into(),
            message: message.into(),
            field: None,
            remedy: None,
            context: Vec::new(),
            source: None,
        }))
    }

    /// Names the input field that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says what the caller can do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Adds a fact, e.g. the id of the object or the request id of the service. Never a secret.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.0.context.push((key.into(), value.to_string()));
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind: what to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence for people, without context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The input field that is wrong, if one is.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// What the caller can do, if known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// Facts about the failure, in the order they were added.
    #[must_use]
    pub fn context(&self) -> &[(String, String)] {
        &self.0.context
    }

    /// The plain value that journals and reports keep.
    #[must_use]
    pub fn to_record(&self) -> ErrorRecord {
        ErrorRecord {
            kind: self.0.kind,
            code: self.0.code.clone(),
            message: self.0.message.clone(),
            field: self.0.field.clone(),
            remedy: self.0.remedy.clone(),
            context: self.0.context.clone(),
        }
    }
}

impl From<ErrorRecord> for Error {
    fn from(r: ErrorRecord) -> Self {
        Self(Box::new(Inner {
            kind: r.kind,
            code: r.code,
            message: r.message,
            field: r.field,
            remedy: r.remedy,
            context: r.context,
            source: None,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.kind, self.0.code, self.0.message)?;
        if let Some(field) = &self.0.field {
            write!(f, " (field {field})")?;
        }
        if !self.0.context.is_empty() {
            let facts: Vec<_> = self.0.context.iter().map(|(k, v)| format!("{k}={v}")).collect();
            write!(f, " ({})", facts.join(", "))?;
        }
        if let Some(remedy) = &self.0.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(c) = cause {
            write!(f, "\n  caused by: {c}")?;
            cause = c.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|s| &**s as &(dyn StdError + 'static))
    }
}

/// An [`Error`] as a plain value, for journals, reports and other languages. The cause is flattened into the context
/// by whoever records it, so that nothing unprintable is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// What to match on.
    pub kind: ErrorKind,
    /// The stable code.
    pub code: String,
    /// For people.
    pub message: String,
    /// The input field that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<(String, String)>,
}
