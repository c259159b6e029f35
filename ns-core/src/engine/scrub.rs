//! Takes secrets out of what leaves the house (SEC-23). Two ways, since neither sees all: those that the engine keeps are known and
//! looked for by their value, wherever it stands; what only looks like a secret is judged by its words.

use super::Inner;
use super::connections::StoredConnection;
use super::records::{kinds, read};
use crate::Result;
use crate::model::{ClusterId, Half};
use crate::provider::TOKEN_KEY;
use crate::sealing::looks_like_a_secret;
use crate::store::Record;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// What stands where something was taken out.
const REMOVED: &str = "[removed]";

/// What an instance is given when it first boots: passwords as a rule, and encoded so that nobody sees them by their looks.
const USER_DATA: &str = "user_data";

/// Shorter ones stand in too many words to be looked for.
const SHORTEST: usize = 4;

/// See the module.
pub(crate) struct Scrubber {
    known: Vec<SecretString>,
    /// How much was taken out.
    pub(crate) removed: u64,
}

impl Scrubber {
    /// One that knows the secrets of every stored connection that can be opened here.
    pub(crate) async fn new(inner: &Inner) -> Result<Self> {
        let mut known = Vec::new();
        let mut after: Option<String> = None;
        while let Ok(keys) = inner.connectors.keys() {
            let page: Vec<Record> = inner.store.list(kinds::CONNECTION, after.as_deref(), 100).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for record in &page {
                // What cannot be read or opened here is in nothing that this engine was told.
                let Ok(stored) = read::<StoredConnection>(record) else {
                    continue;
                };
                for half in [Half::Cloud, Half::Storage] {
                    let opened = stored.half(half).open(keys, &ClusterId::new(&record.id), half);
                    let secrets = opened.iter().flat_map(|secrets| secrets.iter());
                    known.extend(secrets.map(|(_, secret)| secret.clone()));
                }
            }
        }
        Ok(Self::of(known))
    }

    fn of(mut known: Vec<SecretString>) -> Self {
        known.retain(|secret| secret.expose_secret().len() >= SHORTEST);
        // One may be part of another.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        Self { known, removed: 0 }
    }

    /// A text without secrets.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.known {
            if clean.contains(secret.expose_secret()) {
                self.removed += 1;
                clean = clean.replace(secret.expose_secret(), REMOVED);
            }
        }
        if looks_like_a_secret(&clean) {
            self.removed += 1;
            return REMOVED.to_owned();
        }
        clean
    }

    /// A value without secrets in any of its texts, keys included.
    pub(crate) fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let clean = fields.into_iter().map(|(key, value)| {
                    let value = match &value {
                        Value::String(_) if key == USER_DATA => {
                            self.removed += 1;
                            REMOVED.into()
                        }
                        // What the engine's own things are known by: no secret, in spite of its name.
                        Value::String(text) if key == TOKEN_KEY => self.text(text).into(),
                        // By the field's name as well: `{"password": "horse"}`.
                        Value::String(text) if looks_like_a_secret(&format!("{key}={text}")) => {
                            self.removed += 1;
                            REMOVED.into()
                        }
                        _ => self.value(value),
                    };
                    (self.text(&key), value)
                });
                Value::Object(clean.collect())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sec_23_secrets_are_taken_out_of_values() {
        let mut scrubber = Scrubber::of(vec!["horse-17".into(), "horse".into(), "cow".into()]);
        let dirty = json!({
            "message": "login as anna with horse-17 failed, horse too",
            "reason": "password=staple-9",
            "password": "x7",
            "user_data": "I2Nsb3VkLWNvbmZpZwo=",
            "neverstop-token": "ns-17-server",
            "horse": [1, "a cow", {"deep": ["the horse"]}],
            "id": "4f9c2d",
            "count": 17,
        });
        let clean = json!({
            "message": "login as anna with [removed] failed, [removed] too",
            "reason": "[removed]",
            "password": "[removed]",
            "user_data": "[removed]",
            "neverstop-token": "ns-17-server",
            "[removed]": [1, "a cow", {"deep": ["the [removed]"]}],
            "id": "4f9c2d",
            "count": 17,
        });
        assert_eq!(scrubber.value(dirty), clean);
        assert_eq!(scrubber.removed, 7);
    }

    proptest! {
        /// A secret that is known is nowhere in what comes out, whatever stands around it.
        #[test]
        fn sec_23_a_known_secret_is_gone(secret in "[a-zA-Z0-9/+=!.-]{4,40}", before in ".{0,20}", after in ".{0,20}") {
            prop_assume!(!REMOVED.contains(&secret));
            let mut scrubber = Scrubber::of(vec![secret.clone().into()]);
            let clean = scrubber.text(&format!("{before}{secret}{after}"));
            prop_assert!(!clean.contains(&secret), "{clean}");
            prop_assert!(scrubber.removed > 0);
        }
    }
}
