//! Tokens: the names under which created things are found again.

use crate::model::{JobId, TaskKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The key under which providers store a token where their service keeps key-value pairs.
pub const TOKEN_KEY: &str = "neverstop-token";

/// Marks a thing as made by one task of one job. The same job and task always give the same token, so whoever resumes
/// the job knows it without having been told.
///
/// ```
/// use ns_core::{model::{JobId, TaskKey}, provider::Token};
/// let token = Token::of(&JobId::new("j1"), &TaskKey::new("network/net1"));
/// assert_eq!(token, Token::of(&JobId::new("j1"), &TaskKey::new("network/net1")));
/// assert_ne!(token, Token::of(&JobId::new("j2"), &TaskKey::new("network/net1")));
/// assert_eq!(token.as_str().len(), 35); // fits every name and tag field: "ns-" and 32 hexadecimal digits
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The token of a task.
    #[must_use]
    pub fn of(job: &JobId, task: &TaskKey) -> Self {
        let name = format!("neverstop/{job}/{task}");
        Self(format!(
            "ns-{}",
            Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).simple()
        ))
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
