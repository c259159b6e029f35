//! The secrets of one connection, in the clear.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// The named secrets of one connection, e.g. `password` (CL-22). The names are no secrets.
///
/// Each is overwritten when it is dropped; `Debug` shows names only, and nothing serialises this: what is to be kept is
/// [`Sealed`](super::Sealed) first.
///
/// ```
/// use ns_core::sealing::Secrets;
/// let secrets = Secrets::new().with("password", "horse-17").with("ceph_key", "of-the-mirroring-user");
/// assert_eq!(secrets.names().collect::<Vec<_>>(), ["ceph_key", "password"]);
/// assert_eq!(format!("{secrets:?}"), r#"Secrets {"ceph_key", "password"}"#);
/// ```
///
/// ```compile_fail
/// serde_json::to_string(&ns_core::sealing::Secrets::new());
/// ```
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretString>);

impl Secrets {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret, in the place of one with the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        self.insert(name, secret);
        self
    }

    /// Adds a secret and gives the one that had the name before.
    pub fn insert(&mut self, name: impl Into<String>, secret: impl Into<SecretString>) -> Option<SecretString> {
        self.0.insert(name.into(), secret.into())
    }

    /// The secret with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Every secret with its name, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(name, secret)| (name.as_str(), secret))
    }

    /// Whether these are the very secrets that `kept` has under the same names (CL-15): how long it takes does not tell how much
    /// of a secret was right. What else `kept` has does not matter.
    ///
    /// ```
    /// use ns_core::sealing::Secrets;
    /// let kept = Secrets::new().with("password", "horse-17").with("broker", "cow-4");
    /// assert!(Secrets::new().with("password", "horse-17").are_those_of(&kept));
    /// assert!(!Secrets::new().with("password", "horse-18").are_those_of(&kept));
    /// ```
    #[must_use]
    pub fn are_those_of(&self, kept: &Self) -> bool {
        // All of them are looked at, also after one that is wrong.
        self.0.iter().fold(true, |same, (name, secret)| {
            let is_it = kept.0.get(name).is_some_and(|kept| {
                verify_slices_are_equal(kept.expose_secret().as_bytes(), secret.expose_secret().as_bytes()).is_ok()
            });
            same & is_it
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, SecretString)> for Secrets {
    fn from_iter<T: IntoIterator<Item = (String, SecretString)>>(secrets: T) -> Self {
        Self(secrets.into_iter().collect())
    }
}

/// An object of texts. What is none is refused without being quoted.
impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(secrets: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(secrets);
        let texts = texts.map_err(|_| D::Error::custom("secrets are texts by their names"))?;
        Ok(texts.into_iter().map(|(name, text)| (name, text.into())).collect())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets ")?;
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_22_secrets_show_their_names_only() {
        let secrets = Secrets::new().with("password", "horse-17");
        let shown = format!("{secrets:?} {secrets:#?} {:?}", secrets.get("password"));
        assert!(shown.contains("password") && !shown.contains("horse"), "{shown}");
    }

    #[test]
    fn cl_15_previous_secrets_are_compared_by_name_and_value() {
        let kept = Secrets::new().with("password", "horse-17").with("broker", "cow-4");
        let are = |secrets: Secrets| secrets.are_those_of(&kept);
        assert!(are(kept.clone()) && are(Secrets::new().with("broker", "cow-4")));
        assert!(!are(Secrets::new().with("password", "horse-1")));
        assert!(!are(Secrets::new().with("password", "horse-17").with("broker", "")));
        assert!(!are(Secrets::new().with("token", "horse-17")));
    }

    #[test]
    fn cl_22_a_secret_takes_the_place_of_its_namesake() {
        let mut secrets = Secrets::new().with("password", "old");
        let before = secrets.insert("password", "new").unwrap();
        assert_eq!(before.expose_secret(), "old");
        assert_eq!(secrets.get("password").unwrap().expose_secret(), "new");
        assert!(secrets.get("Password").is_none() && !secrets.is_empty());
    }

    #[test]
    fn sec_15_what_is_no_text_is_not_quoted() {
        let read: Secrets = serde_json::from_str(r#"{"password":"horse-17"}"#).unwrap();
        assert_eq!(read.get("password").unwrap().expose_secret(), "horse-17");
        for json in [r#"{"password":["horse-17"]}"#, r#""horse-17""#, r#"{"password":1717}"#] {
            let error = serde_json::from_str::<Secrets>(json).unwrap_err().to_string();
            assert!(error.contains("secrets are texts") && !error.contains("17"), "{error}");
        }
    }
}
