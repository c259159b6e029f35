//! Passwords: hashed with Argon2id (SEC-01), compared, and made up (USR-06). Only here is one in the clear together with a hash.

use super::{Inner, Settings};
use crate::ports::Randomness;
use crate::{Error, ErrorKind, Result, rules};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

/// What hashing costs under these settings.
fn params(settings: &Settings) -> Result<Params> {
    Params::new(settings.password_memory_kib, settings.password_passes, 1, None).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Internal,
        "password.hash",
        format!("the password could not be hashed: {error}"),
    )
}

impl Inner {
    /// The hash of a password, with its salt and parameters, as a PHC string.
    pub(crate) async fn hash_password(&self, password: &SecretString) -> Result<String> {
        let params = params(&self.settings())?;
        let mut salt = [0; 16];
        self.randomness.fill(&mut salt)?;
        self.beside(password, move |password| {
            let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash: PasswordHash = hasher.hash_password_with_salt(password, &salt).map_err(failed)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether this is the password of a hash. Without a hash it is not, after as much work.
    pub(crate) async fn is_password(&self, password: &SecretString, hash: Option<&str>) -> Result<bool> {
        let Some(hash) = hash.map(str::to_owned) else {
            self.hash_password(password).await?;
            return Ok(false);
        };
        self.beside(password, move |password| {
            let hash = PasswordHash::new(&hash).map_err(failed)?;
            match Argon2::default().verify_password(password, &hash) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(other) => Err(failed(other)),
            }
        })
        .await
    }

    /// Runs work on a password on a thread where it keeps nobody waiting, and only so many at once: each takes its memory.
    async fn beside<T: Send + 'static>(
        &self,
        password: &SecretString,
        work: impl FnOnce(&[u8]) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _permit = self.hashing.acquire().await.map_err(failed)?;
        // No password is longer than the longest: whoever sends megabytes gets no more work than others.
        let normal = password.expose_secret().nfc().take(rules::PASSWORD_LENGTH.end() + 1);
        let normal = SecretString::from(normal.collect::<String>());
        let done = self
            .runtime
            .spawn_blocking(move || work(normal.expose_secret().as_bytes()));
        done.await.map_err(failed)?
    }
}

/// Whether a hash was made with other parameters than one that is made now.
pub(crate) fn is_outdated(hash: &str, settings: &Settings) -> Result<bool> {
    let hash = PasswordHash::new(hash).map_err(failed)?;
    let made = Params::try_from(&hash).map_err(failed)?;
    let now = params(settings)?;
    let costs = |p: &Params| (p.m_cost(), p.t_cost(), p.p_cost());
    Ok(hash.algorithm.as_str() != "argon2id" || costs(&made) != costs(&now))
}

/// Letters, digits and signs that nobody takes for one another on paper.
const CLASSES: [&[u8]; 4] = [
    b"abcdefghijkmnpqrstuvwxyz",
    b"ABCDEFGHJKLMNPQRSTUVWXYZ",
    b"23456789",
    b"-_+=#%!?",
];

/// A random password of 16 characters (USR-06): it meets both the policy and the old manual's rule.
pub(crate) fn random_password(randomness: &dyn Randomness) -> Result<SecretString> {
    let mut bytes = [0; 32];
    randomness.fill(&mut bytes)?;
    let all = CLASSES.concat();
    let pick = |(place, two): (usize, &[u8])| {
        // One of each class, so that no rule refuses it; the remainder of so large a number favours no character to speak of.
        let from = CLASSES.get(place).copied().unwrap_or(&all);
        let number = usize::from(u16::from_le_bytes([two[0], two[1]]));
        char::from(from[number % from.len()])
    };
    Ok(SecretString::from(
        bytes.chunks_exact(2).enumerate().map(pick).collect::<String>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::SystemRandomness;
    use std::collections::BTreeSet;

    #[test]
    fn usr_06_sec_05_random_passwords_meet_both_rules() {
        let user = crate::model::User {
            id: "anna".into(),
            name: "Anna".to_owned(),
            mail: "anna@example.org".to_owned(),
            role: crate::model::UserRole::Viewer,
            groups: BTreeSet::new(),
            must_change_password: true,
            created_by: "root".to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            modified_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let password = random_password(&SystemRandomness).unwrap();
            let text = password.expose_secret();
            assert_eq!(text.len(), 16);
            assert!(rules::check_password(text, &user, false).is_ok());
            assert!(rules::check_password(text, &user, true).is_ok());
            assert!(seen.insert(text.to_owned()));
        }
    }
}
