//! Which settings and secrets a connection takes (CL-08, SEC-08): one rule for every connector.

use super::{Warning, invalid};
use crate::model::{ALLOW_HTTP, ConnectionSettings, ConnectorField, FieldKind};
use crate::{Error, Result};
use std::collections::BTreeSet;

/// Everything that is wrong with the settings and the names of the given secrets. No value is told: one may be a secret in the
/// wrong place.
#[must_use]
pub fn connection_violations(
    fields: &[ConnectorField],
    settings: &ConnectionSettings,
    secrets: &BTreeSet<&str>,
) -> Vec<Error> {
    let mut found = Vec::new();
    let field = |name: &str| fields.iter().find(|field| field.name == name);
    for (name, value) in settings.iter() {
        match field(name) {
            None => found.push(unknown("settings", name, fields, |kind| kind != FieldKind::Secret)),
            Some(field) if field.kind == FieldKind::Secret => found.push(misplaced(
                "settings",
                name,
                "connection.secret_as_setting",
                "is a secret: settings are shown to readers",
                "give it with the secrets",
            )),
            Some(field) => found.extend(form(field, value, settings)),
        }
    }
    for name in secrets {
        match field(name) {
            None => found.push(unknown("secrets", name, fields, |kind| kind == FieldKind::Secret)),
            Some(field) if field.kind != FieldKind::Secret => found.push(misplaced(
                "secrets",
                name,
                "connection.setting_as_secret",
                "is no secret",
                "give it with the settings",
            )),
            Some(_) => {}
        }
    }
    for field in fields.iter().filter(|field| field.required) {
        let (given, part) = match field.kind {
            FieldKind::Secret => (secrets.contains(field.name.as_str()), "secrets"),
            _ => (settings.get(&field.name).is_some(), "settings"),
        };
        if !given {
            let message = format!("{} is missing: {}", field.name, field.about);
            found.push(
                invalid("connection.required", format!("{part}.{}", field.name), message).with_remedy("give a value"),
            );
        }
    }
    found
}

/// The first of [`connection_violations`].
///
/// ```
/// use ns_core::model::{ConnectionSettings, ConnectorField, FieldKind};
/// use ns_core::rules::check_connection;
/// let fields = [
///     ConnectorField::new("auth_url", FieldKind::Url, "address").required(),
///     ConnectorField::new("password", FieldKind::Secret, "password").required(),
/// ];
/// let settings = ConnectionSettings::new().with("auth_url", "http://10.0.0.1:5000");
/// let error = check_connection(&fields, &settings, &["password"].into()).unwrap_err();
/// assert_eq!((error.code(), error.field()), ("connection.plain_http", Some("settings.auth_url")));
/// ```
///
/// # Errors
/// `Invalid`, with field and remedy: a setting or secret that the connector does not take or that is in the wrong place, one
/// that is missing or has the wrong form, an `http` address that is not allowed.
pub fn check_connection(
    fields: &[ConnectorField],
    settings: &ConnectionSettings,
    secrets: &BTreeSet<&str>,
) -> Result<()> {
    let first = connection_violations(fields, settings, secrets).into_iter().next();
    first.map_or(Ok(()), Err)
}

/// What to tell the operator of settings that are allowed (SEC-08).
#[must_use]
pub fn connection_warnings(fields: &[ConnectorField], settings: &ConnectionSettings) -> Vec<Warning> {
    let plain = |field: &&ConnectorField| {
        field.kind == FieldKind::Url && settings.get(&field.name).is_some_and(|url| has_scheme(url, "http"))
    };
    let warning = |field: &ConnectorField| {
        Warning::new(
            "connection.plain_http",
            format!("settings.{}", field.name),
            "the address is plain http: passwords and tokens can be read on the way",
            "use https",
        )
    };
    fields.iter().filter(plain).map(warning).collect()
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    let rest = url.get(scheme.len()..).unwrap_or_default();
    url.get(..scheme.len())
        .is_some_and(|given| given.eq_ignore_ascii_case(scheme))
        && rest.starts_with("://")
        && rest.len() > 3
}

/// What is wrong with the form of a value.
fn form(field: &ConnectorField, value: &str, settings: &ConnectionSettings) -> Option<Error> {
    let bad = |code: &str, rule: &str, remedy: &str| {
        let message = format!("{} {rule}", field.name);
        Some(invalid(code, format!("settings.{}", field.name), message).with_remedy(remedy))
    };
    if value.chars().any(char::is_control) {
        return bad("connection.form", "holds a control character", "give it on one line");
    }
    match field.kind {
        FieldKind::Url if has_scheme(value, "https") => None,
        FieldKind::Url if has_scheme(value, "http") && settings.flag(ALLOW_HTTP) => None,
        FieldKind::Url if has_scheme(value, "http") => bad(
            "connection.plain_http",
            "is a plain http address",
            "use https, or allow http explicitly for a test cloud (allow_http)",
        ),
        FieldKind::Url => bad(
            "connection.form",
            "is not an address",
            "give one that begins with https://",
        ),
        FieldKind::Flag if !["true", "false"].contains(&value) => bad(
            "connection.form",
            "is neither true nor false",
            "give one of true and false",
        ),
        FieldKind::Number if value.parse::<u64>().is_err() => {
            bad("connection.form", "is not a whole number", "give digits only")
        }
        FieldKind::List if settings.list(&field.name).contains(&"") => bad(
            "connection.form",
            "has nothing between two commas",
            "give texts with commas between them",
        ),
        _ => None,
    }
}

fn unknown(part: &str, name: &str, fields: &[ConnectorField], takes: impl Fn(FieldKind) -> bool) -> Error {
    let names: Vec<_> = fields
        .iter()
        .filter(|field| takes(field.kind))
        .map(|field| field.name.as_str())
        .collect();
    let message = format!("the connector takes no {name} among the {part}");
    invalid("connection.unknown", format!("{part}.{name}"), message).with_remedy(if names.is_empty() {
        "leave it out".to_owned()
    } else {
        format!("use one of {}", names.join(", "))
    })
}

fn misplaced(part: &str, name: &str, code: &str, why: &str, remedy: &str) -> Error {
    invalid(code, format!("{part}.{name}"), format!("{name} {why}")).with_remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn fields() -> Vec<ConnectorField> {
        vec![
            ConnectorField::new("url", FieldKind::Url, "where").required(),
            ConnectorField::new("user", FieldKind::Text, "who").required(),
            ConnectorField::new(ALLOW_HTTP, FieldKind::Flag, "http is allowed"),
            ConnectorField::new("port", FieldKind::Number, "port"),
            ConnectorField::new("hosts", FieldKind::List, "hosts"),
            ConnectorField::new("password", FieldKind::Secret, "password").required(),
            ConnectorField::new("token", FieldKind::Secret, "token"),
        ]
    }

    fn good() -> ConnectionSettings {
        ConnectionSettings::new().with("url", "https://c").with("user", "anna")
    }

    fn codes(settings: &ConnectionSettings, secrets: &[&str]) -> Vec<(String, String)> {
        let found = connection_violations(&fields(), settings, &secrets.iter().copied().collect());
        let told = |e: Error| {
            assert!(e.kind() == ErrorKind::Invalid && e.remedy().is_some(), "{e}");
            (e.code().to_owned(), e.field().unwrap_or_default().to_owned())
        };
        found.into_iter().map(told).collect()
    }

    fn one(settings: &ConnectionSettings, secrets: &[&str], code: &str, field: &str) {
        assert_eq!(codes(settings, secrets), [(code.to_owned(), field.to_owned())]);
    }

    #[test]
    fn cl_08_what_is_complete_and_known_passes() {
        assert_eq!(codes(&good(), &["password"]), []);
        let all = good()
            .with("port", "5671")
            .with("hosts", "a, b")
            .with(ALLOW_HTTP, "false");
        assert_eq!(codes(&all, &["password", "token"]), []);
    }

    #[test]
    fn cl_08_every_mistake_names_its_field() {
        let p = &["password"][..];
        one(&good().with("user", " "), p, "connection.required", "settings.user");
        one(&good(), &[], "connection.required", "secrets.password");
        one(&good().with("usr", "x"), p, "connection.unknown", "settings.usr");
        one(
            &good(),
            &["password", "pasword"],
            "connection.unknown",
            "secrets.pasword",
        );
        one(
            &good().with("token", "x"),
            p,
            "connection.secret_as_setting",
            "settings.token",
        );
        one(
            &good(),
            &["password", "port"],
            "connection.setting_as_secret",
            "secrets.port",
        );
        for (name, value) in [
            ("url", "cloud:5000"),
            ("url", "ftp://c"),
            ("url", "https://"),
            ("url", "é"),
            ("port", "-1"),
            ("port", "x"),
            ("hosts", "a,,b"),
            (ALLOW_HTTP, "yes"),
            ("user", "a\nb"),
        ] {
            one(
                &good().with(name, value),
                p,
                "connection.form",
                &format!("settings.{name}"),
            );
        }
        assert_eq!(codes(&ConnectionSettings::new(), &[]).len(), 3, "all at once");
    }

    #[test]
    fn sec_08_plain_http_needs_a_yes_and_gives_a_warning() {
        let plain = good().with("url", "HTTP://c:5000");
        one(&plain, &["password"], "connection.plain_http", "settings.url");
        let allowed = plain.with(ALLOW_HTTP, "true");
        assert_eq!(codes(&allowed, &["password"]), []);
        let warnings = connection_warnings(&fields(), &allowed);
        assert_eq!(warnings.len(), 1);
        assert_eq!(
            (warnings[0].code.as_str(), warnings[0].field.as_str()),
            ("connection.plain_http", "settings.url")
        );
        assert_eq!(connection_warnings(&fields(), &good().with(ALLOW_HTTP, "true")), []);
    }

    #[test]
    fn sec_15_a_secret_in_the_wrong_place_is_not_told() {
        let settings = good().with("token", "horse-17").with("pasword", "horse-17");
        let found = connection_violations(&fields(), &settings, &BTreeSet::new());
        assert!(found.len() >= 2 && !format!("{found:?}").contains("horse"), "{found:?}");
    }
}
