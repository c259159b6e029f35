//! The lab's secrets, and where they must not be found.

use super::{Lab, SiteName};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Every secret the lab knows.
#[derive(Debug, Default)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Collects passwords and Ceph keys.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of(lab: &Lab) -> Result<Self> {
        let mut secrets = BTreeSet::new();
        let value = |line: &str, key: &str| {
            let (name, value) = line.trim().split_once([':', '='])?;
            (name.trim() == key).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        };
        for line in std::fs::read_to_string(lab.clouds_yaml())?.lines() {
            secrets.extend(value(line, "password"));
        }
        for site in [SiteName::A, SiteName::B] {
            for user in ["admin", "neverstop", "cinder", "glance"] {
                let text = std::fs::read_to_string(lab.keyring(site, user))?;
                secrets.extend(text.lines().filter_map(|l| value(l, "key")));
            }
        }
        Ok(Self(secrets))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether a text holds a secret, or something shaped like a Keystone token.
    #[must_use]
    pub fn found_in(&self, text: &[u8]) -> Option<String> {
        let holds = |needle: &[u8]| text.windows(needle.len()).any(|w| w == needle);
        if let Some(secret) = self.0.iter().find(|s| holds(s.as_bytes())) {
            return Some(format!("{}…", &secret[..secret.len().min(4)]));
        }
        // Fernet tokens: version byte and time stamp always give this beginning.
        holds(b"gAAAAAB").then(|| "a Keystone token".to_owned())
    }

    /// Searches every file below a folder; gives those that hold a secret.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn search(&self, folder: &Path) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                found.extend(self.search(&path)?);
            } else if let Some(what) = self.found_in(&std::fs::read(&path)?) {
                found.push(format!("{} holds {what}", path.display()));
            }
        }
        Ok(found)
    }

    /// Searches the arguments of every running process that is not the lab's own.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn search_arguments(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            // Processes come and go while this looks.
            let Ok(arguments) = entry.and_then(|e| std::fs::read(e.path().join("cmdline"))) else {
                continue;
            };
            if let Some(what) = self.found_in(&arguments) {
                found.push(format!(
                    "{} holds {what}",
                    String::from_utf8_lossy(&arguments).replace('\0', " ")
                ));
            }
        }
        Ok(found)
    }
}
