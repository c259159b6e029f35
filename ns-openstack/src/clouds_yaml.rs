//! Reads `clouds.yaml`, the file in which OpenStack's own tools keep their clouds, with `secure.yaml` beside it laid
//! over it. What those tools do not know is below `neverstop`, which they pass over. Knows the format, nothing of sessions. Errors name place and reason, never a line of the file: it holds
//! passwords.

use crate::config::{Auth, Domain, Interface, OpenStackConfig, Project, invalid};
use crate::notices::NotificationConfig;
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

impl OpenStackConfig {
    /// Reads the named cloud.
    ///
    /// Without `path` the file is looked for where OpenStack's tools do: `OS_CLIENT_CONFIG_FILE`, the working folder,
    /// `~/.config/openstack`, `/etc/openstack`; the first that exists counts. `secure.yaml` (or
    /// `OS_CLIENT_SECURE_FILE`) in the same folder is laid over it. A cloud with an `http` address needs
    /// `allow_http` set on the result (SEC-08).
    ///
    /// The cloud's section may say how to listen to its notifications (EVT-13), with the names that
    /// [`NotificationConfig`] has; `hosts`, `user` and `password` are needed. It may set `allow_http` and `config_drive` too, and say what
    /// storage lies below the cloud ([`storage_below`]):
    ///
    /// ```yaml
    /// clouds:
    ///   cloud-a:
    ///     auth: {...}
    ///     neverstop:
    ///       notifications: {hosts: [mq1, mq2], vhost: /, user: neverstop}   # password in secure.yaml
    ///       storage: {...}
    /// ```
    ///
    /// # Errors
    /// `NotFound` when there is no such file or cloud; `Invalid` for a file that cannot be understood.
    pub fn from_clouds_yaml(path: Option<&Path>, cloud: &str) -> Result<Self> {
        let (path, clouds) = load(path)?;
        parse(clouds, cloud).map_err(|e| e.with("file", path.display()).with("cloud", cloud))
    }
}

/// What the named cloud's section says of the storage below the cloud (`neverstop.storage`), as it stands there: whoever connects the storage knows what
/// it means. None when it says nothing. The file is found as by [`OpenStackConfig::from_clouds_yaml`].
///
/// ```no_run
/// # fn example() -> ns_core::Result<()> {
/// if let Some(storage) = ns_openstack::storage_below(None, "seoul")? {
///     println!("{}", storage["conf"]);
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// Those of reading the file.
pub fn storage_below(path: Option<&Path>, cloud: &str) -> Result<Option<Value>> {
    let (path, mut clouds) = load(path)?;
    let section = take(&mut clouds, cloud).map_err(|e| e.with("file", path.display()))?;
    Ok(section.pointer("/neverstop/storage").cloned())
}

/// The file with `secure.yaml` laid over it, and where it is.
fn load(path: Option<&Path>) -> Result<(PathBuf, Value)> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => search(&candidates())?,
    };
    let mut clouds = read(&path)?.ok_or_else(|| no_file(std::slice::from_ref(&path)))?;
    let secure =
        std::env::var_os("OS_CLIENT_SECURE_FILE").map_or_else(|| path.with_file_name("secure.yaml"), PathBuf::from);
    if let Some(secrets) = read(&secure)? {
        overlay(&mut clouds, secrets);
    }
    Ok((path, clouds))
}

fn candidates() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("OS_CLIENT_CONFIG_FILE") {
        return vec![named.into()];
    }
    let user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    [
        Some(PathBuf::new()),
        user.map(|dir| dir.join("openstack")),
        Some("/etc/openstack".into()),
    ]
    .into_iter()
    .flatten()
    .flat_map(|dir| [dir.join("clouds.yaml"), dir.join("clouds.yml")])
    .collect()
}

fn search(candidates: &[PathBuf]) -> Result<PathBuf> {
    let found = candidates.iter().find(|path| path.is_file());
    found.cloned().ok_or_else(|| no_file(candidates))
}

fn no_file(looked: &[PathBuf]) -> Error {
    let looked: Vec<_> = looked.iter().map(|p| p.display().to_string()).collect();
    Error::new(ErrorKind::NotFound, "clouds_yaml.missing", "there is no clouds.yaml")
        .with_field("file")
        .with("looked", looked.join(" "))
        .with_remedy("give its path, or put it into one of these places")
}

/// The file as a tree; none when it does not exist.
fn read(path: &Path) -> Result<Option<Value>> {
    let bad = |why: String| {
        Error::new(ErrorKind::Invalid, "clouds_yaml.unreadable", why)
            .with_field("file")
            .with("file", path.display())
            .with_remedy("correct the file, or let this user read it")
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(bad(format!("cannot be read: {e}"))),
    };
    tree(&text).map(Some).map_err(bad)
}

/// The tree that a file's text is, or why it is none: only the place is told, the parser's own message quotes the file.
pub(crate) fn tree(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|e| match e.location() {
        Some(place) => format!("not YAML at line {} column {}", place.line(), place.column()),
        None => "not YAML".to_owned(),
    })
}

/// Lays `over` over `base`, member by member.
pub(crate) fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[derive(Deserialize)]
struct Cloud {
    #[serde(default)]
    auth: AuthSection,
    auth_type: Option<String>,
    region_name: Option<String>,
    interface: Option<String>,
    endpoint_type: Option<String>,
    cacert: Option<PathBuf>,
    verify: Option<bool>,
    profile: Option<Value>,
    neverstop: Option<Value>,
}

#[derive(Deserialize, Default)]
struct AuthSection {
    auth_url: Option<Text>,
    username: Option<Text>,
    password: Option<Text>,
    project_name: Option<Text>,
    project_id: Option<Text>,
    tenant_name: Option<Text>,
    user_domain_name: Option<Text>,
    user_domain_id: Option<Text>,
    project_domain_name: Option<Text>,
    project_domain_id: Option<Text>,
    domain_name: Option<Text>,
    domain_id: Option<Text>,
    default_domain: Option<Text>,
    application_credential_id: Option<Text>,
    application_credential_secret: Option<Text>,
}

/// A scalar as text: `password: 12345` is a number to YAML and a password to its author.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Text {
    Word(String),
    Number(serde_json::Number),
    Flag(bool),
}

impl Text {
    fn into_string(self) -> String {
        match self {
            Self::Word(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

pub(crate) fn parse(mut clouds: Value, name: &str) -> Result<OpenStackConfig> {
    section(take(&mut clouds, name)?)
}

/// A cloud's section.
fn take(clouds: &mut Value, name: &str) -> Result<Value> {
    let section = clouds
        .get_mut("clouds")
        .and_then(|all| all.get_mut(name))
        .map(Value::take);
    section.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "clouds_yaml.cloud",
            "the file has no cloud of this name",
        )
        .with_field("cloud")
        .with("cloud", name)
        .with_remedy("name one of the clouds in the file")
    })
}

/// The configuration of a cloud's section.
pub(crate) fn section(section: Value) -> Result<OpenStackConfig> {
    // serde's message could quote a value; the kind of mistake is enough.
    let cloud: Cloud = serde_json::from_value(section).map_err(|_| {
        invalid("clouds", "clouds_yaml.form", "a value of the cloud has the wrong form")
            .with_remedy("write texts as texts, and `verify` as true or false")
    })?;
    if cloud.profile.is_some() {
        return Err(invalid("profile", "clouds_yaml.profile", "profiles are not supported")
            .with_remedy("write the profile's values into the cloud's section"));
    }
    if cloud.verify == Some(false) {
        return Err(
            invalid("verify", "clouds_yaml.verify", "certificates are always checked")
                .with_remedy("give the authority's certificate in cacert"),
        );
    }
    let a = cloud.auth;
    let auth_url = required("auth_url", a.auth_url.clone())?;
    let auth = auth(cloud.auth_type.as_deref(), a)?;
    let mut config = OpenStackConfig::new(&auth_url, auth)?;
    config.region = cloud.region_name;
    config.ca_file = cloud.cacert;
    if let Some(section) = cloud.neverstop {
        ours(section, &mut config)?;
    }
    config.interface = match cloud.interface.or(cloud.endpoint_type).as_deref() {
        None | Some("public" | "publicURL") => Interface::Public,
        Some("internal" | "internalURL") => Interface::Internal,
        Some("admin" | "adminURL") => Interface::Admin,
        Some(other) => {
            let why = format!("{other} is none of public, internal, admin");
            return Err(invalid("interface", "clouds_yaml.interface", &why).with_remedy("use one of them"));
        }
    };
    Ok(config)
}

/// What is below `neverstop`. It is ours alone: a name that is not known is a mistake.
fn ours(mut section: Value, config: &mut OpenStackConfig) -> Result<()> {
    known(
        "neverstop",
        &section,
        &["allow_http", "config_drive", "notifications", "storage"],
    )?;
    for (name, flag) in [
        ("allow_http", &mut config.allow_http),
        ("config_drive", &mut config.config_drive),
    ] {
        if let Some(value) = section.get(name) {
            *flag = value.as_bool().ok_or_else(|| {
                invalid(
                    &format!("neverstop.{name}"),
                    "clouds_yaml.form",
                    "the value has the wrong form",
                )
                .with_remedy("write true or false")
            })?;
        }
    }
    let section = section.get_mut("notifications").map(Value::take);
    config.notifications = section.map(notifications).transpose()?;
    Ok(())
}

fn notifications(section: Value) -> Result<NotificationConfig> {
    const FIELD: &str = "neverstop.notifications";
    const NAMES: [&str; 11] = [
        "hosts",
        "port",
        "vhost",
        "user",
        "password",
        "tls",
        "allow_plain",
        "ca_file",
        "exchanges",
        "topics",
        "queue_prefix",
    ];
    known(FIELD, &section, &NAMES)?;
    let given: Notifications = serde_json::from_value(section).map_err(|_| {
        invalid(FIELD, "clouds_yaml.form", "a value has the wrong form")
            .with_remedy("write lists as lists, port as a number, and tls and allow_plain as true or false")
    })?;
    let user = required("neverstop.notifications.user", given.user)?;
    let password = required("neverstop.notifications.password", given.password)?;
    let hosts = given.hosts.unwrap_or_default();
    let mut config = NotificationConfig::new("", user, password.into());
    config.hosts = hosts;
    config.port = given.port;
    config.ca_file = given.ca_file;
    config.tls = given.tls.unwrap_or(config.tls);
    config.allow_plain = given.allow_plain.unwrap_or(config.allow_plain);
    config.vhost = given.vhost.map_or(config.vhost, Text::into_string);
    config.exchanges = given.exchanges.unwrap_or(config.exchanges);
    config.topics = given.topics.unwrap_or(config.topics);
    config.queue_prefix = given.queue_prefix.map_or(config.queue_prefix, Text::into_string);
    config.validate()?;
    Ok(config)
}

#[derive(Deserialize)]
struct Notifications {
    hosts: Option<Vec<String>>,
    port: Option<u16>,
    vhost: Option<Text>,
    user: Option<Text>,
    password: Option<Text>,
    tls: Option<bool>,
    allow_plain: Option<bool>,
    ca_file: Option<PathBuf>,
    exchanges: Option<Vec<String>>,
    topics: Option<Vec<String>>,
    queue_prefix: Option<Text>,
}

fn known(field: &str, section: &Value, names: &[&str]) -> Result<()> {
    let Some(section) = section.as_object() else {
        return Err(invalid(field, "clouds_yaml.form", "the section has the wrong form")
            .with_remedy("write it as names and values"));
    };
    match section.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(invalid(
            &format!("{field}.{key}"),
            "clouds_yaml.unknown",
            "there is no such setting",
        )
        .with_remedy(format!("use one of {}", names.join(", ")))),
        None => Ok(()),
    }
}

fn auth(kind: Option<&str>, a: AuthSection) -> Result<Auth> {
    match kind {
        Some("v3applicationcredential") => {}
        None if a.application_credential_id.is_some() => {}
        None | Some("password" | "v3password") => return password(a),
        Some(other) => {
            let why = format!("the way to log in {other} is not supported");
            return Err(invalid("auth_type", "clouds_yaml.auth_type", &why)
                .with_remedy("use password or v3applicationcredential"));
        }
    }
    Ok(Auth::ApplicationCredential {
        id: required("application_credential_id", a.application_credential_id)?,
        secret: required("application_credential_secret", a.application_credential_secret)?.into(),
    })
}

fn password(a: AuthSection) -> Result<Auth> {
    let common = || {
        let id = a.domain_id.clone().or_else(|| a.default_domain.clone());
        domain(a.domain_name.clone(), id)
    };
    let user_domain = domain(a.user_domain_name, a.user_domain_id)
        .or_else(common)
        .unwrap_or_default();
    let project = match (a.project_id, a.project_name.or(a.tenant_name)) {
        (Some(id), _) => Project::Id(id.into_string()),
        (None, name) => {
            let domain = domain(a.project_domain_name, a.project_domain_id).or_else(common);
            Project::Name(required("project_name", name)?, domain.unwrap_or_default())
        }
    };
    Ok(Auth::Password {
        username: required("username", a.username)?,
        user_domain,
        project,
        password: required("password", a.password)?.into(),
    })
}

fn domain(name: Option<Text>, id: Option<Text>) -> Option<Domain> {
    let id = id.map(|id| Domain::Id(id.into_string()));
    id.or_else(|| name.map(|name| Domain::Name(name.into_string())))
}

fn required(field: &str, value: Option<Text>) -> Result<String> {
    let text = value.map(Text::into_string).filter(|text| !text.is_empty());
    text.ok_or_else(|| {
        invalid(field, "clouds_yaml.field", "the cloud's section lacks this field")
            .with_remedy("add it in clouds.yaml, or in secure.yaml beside it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const CLOUDS: &str = include_str!("../testdata/clouds.yaml");

    fn folder(secure: Option<&str>) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clouds.yaml");
        std::fs::write(&path, CLOUDS).unwrap();
        if let Some(secure) = secure {
            std::fs::write(dir.path().join("secure.yaml"), secure).unwrap();
        }
        (dir, path)
    }

    #[test]
    fn password_comes_from_secure_yaml() {
        let (_dir, path) = folder(Some("clouds: {plain: {auth: {password: hidden}}}"));
        let config = OpenStackConfig::from_clouds_yaml(Some(&path), "plain").unwrap();
        assert_eq!(config.auth_url.as_str(), "https://c:5000/v3");
        assert_eq!(config.region.as_deref(), Some("RegionOne"));
        assert_eq!(config.interface, Interface::Internal);
        assert_eq!(config.ca_file.as_deref(), Some(Path::new("/ca.pem")));
        let Auth::Password {
            username,
            user_domain,
            project,
            password,
        } = &config.auth
        else {
            panic!("{config:?}")
        };
        assert_eq!((username.as_str(), password.expose_secret()), ("u", "hidden"));
        assert_eq!(*user_domain, Domain::Name("Default".into()));
        assert_eq!(*project, Project::Name("p".into(), Domain::Id("default".into())));
        assert!(!format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn numbers_are_passwords_too() {
        let (_dir, path) = folder(None);
        let config = OpenStackConfig::from_clouds_yaml(Some(&path), "number").unwrap();
        let Auth::Password { password, project, .. } = config.auth else {
            panic!()
        };
        assert_eq!(password.expose_secret(), "12345");
        assert_eq!(project, Project::Id("p1".into()));
    }

    #[test]
    fn application_credential() {
        let (_dir, path) = folder(None);
        let config = OpenStackConfig::from_clouds_yaml(Some(&path), "app").unwrap();
        let Auth::ApplicationCredential { id, secret } = config.auth else {
            panic!()
        };
        assert_eq!((id.as_str(), secret.expose_secret()), ("ac", "shh"));
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        let (dir, path) = folder(None);
        for (cloud, kind, code) in [
            ("none", ErrorKind::NotFound, "clouds_yaml.cloud"),
            ("plain", ErrorKind::Invalid, "clouds_yaml.field"), // no password without secure.yaml
            ("insecure", ErrorKind::Invalid, "clouds_yaml.verify"),
            ("profiled", ErrorKind::Invalid, "clouds_yaml.profile"),
            ("token", ErrorKind::Invalid, "clouds_yaml.auth_type"),
            ("bare", ErrorKind::Invalid, "clouds_yaml.field"),
            ("edge", ErrorKind::Invalid, "clouds_yaml.interface"),
            ("shape", ErrorKind::Invalid, "clouds_yaml.form"),
        ] {
            let error = OpenStackConfig::from_clouds_yaml(Some(&path), cloud).expect_err(cloud);
            assert_eq!((error.kind(), error.code()), (kind, code), "{cloud}: {error}");
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
        std::fs::write(&path, "clouds: {x: {auth: {password: 'hush").unwrap();
        let error = OpenStackConfig::from_clouds_yaml(Some(&path), "x").unwrap_err();
        assert_eq!(error.code(), "clouds_yaml.unreadable");
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        let error = OpenStackConfig::from_clouds_yaml(Some(&dir.path().join("no.yaml")), "x").unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::NotFound, "clouds_yaml.missing")
        );
    }

    #[test]
    fn evt_13_notifications_are_below_a_name_of_ours() {
        let (dir, path) = folder(Some(
            "clouds: {plain: {auth: {password: x}, neverstop: {notifications: {password: 4711}}}}",
        ));
        let with = |section: &str| {
            let text = format!("{CLOUDS}\n").replace("    cacert: /ca.pem\n", &format!("    neverstop: {section}\n"));
            std::fs::write(&path, text).unwrap();
            OpenStackConfig::from_clouds_yaml(Some(&path), "plain")
        };
        let config = with("{notifications: {hosts: [mq1, mq2], user: u}}").unwrap();
        let config = config.notifications.unwrap();
        assert_eq!((config.hosts.len(), config.vhost.as_str(), config.tls), (2, "/", true));
        assert_eq!(config.password.expose_secret(), "4711");
        let all = "{notifications: {hosts: [mq], port: 5673, vhost: cloud-a, user: u, tls: false, allow_plain: true, \
                   ca_file: /ca.pem, exchanges: [nova], topics: [other], queue_prefix: here}}";
        let config = with(all).unwrap().notifications.unwrap();
        assert_eq!((config.port(), config.queue().as_str()), (5673, "here.notices"));
        assert_eq!((config.tls, config.routing_keys().len()), (false, 2));
        let secure = "clouds: {plain: {auth: {password: x}}}";
        std::fs::write(dir.path().join("secure.yaml"), secure).unwrap();
        for (section, field) in [
            ("[hush]", "neverstop"),
            ("{notification: hush}", "neverstop.notification"),
            ("{allow_http: hush}", "neverstop.allow_http"),
            ("{config_drive: 'true'}", "neverstop.config_drive"),
            ("{notifications: hush}", "neverstop.notifications"),
            (
                "{notifications: {hosts: [mq], user: u, pass: hush}}",
                "neverstop.notifications.pass",
            ),
            (
                "{notifications: {hosts: hush, user: u, password: hush}}",
                "neverstop.notifications",
            ),
            (
                "{notifications: {hosts: [mq], password: hush}}",
                "neverstop.notifications.user",
            ),
            (
                "{notifications: {hosts: [mq], user: u}}",
                "neverstop.notifications.password",
            ),
            ("{notifications: {user: u, password: hush}}", "notifications.hosts"),
            (
                "{notifications: {hosts: [mq], user: u, password: hush, tls: false}}",
                "notifications.tls",
            ),
        ] {
            let error = with(section).expect_err(section);
            assert_eq!(
                (error.kind(), error.field()),
                (ErrorKind::Invalid, Some(field)),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
    }

    #[test]
    fn the_storage_below_a_cloud_is_told_as_it_stands_there() {
        let (_dir, path) = folder(Some("clouds: {number: {neverstop: {storage: {key: hidden}}}}"));
        let section = "project_id: p1, password: 12345}\n    neverstop: {config_drive: true, storage: {conf: /a.conf, pools: [v]}}";
        let text = CLOUDS.replace("project_id: p1, password: 12345}", section);
        std::fs::write(&path, text).unwrap();
        let config = OpenStackConfig::from_clouds_yaml(Some(&path), "number").unwrap();
        assert!(config.config_drive && !config.allow_http);
        let storage = storage_below(Some(&path), "number").unwrap();
        assert_eq!(
            storage,
            Some(serde_json::json!({"conf": "/a.conf", "pools": ["v"], "key": "hidden"}))
        );
        assert_eq!(storage_below(Some(&path), "app").unwrap(), None);
        let error = storage_below(Some(&path), "none").unwrap_err();
        assert_eq!(error.code(), "clouds_yaml.cloud");
    }

    #[test]
    fn first_file_that_exists_counts() {
        let (dir, path) = folder(None);
        let other = dir.path().join("other.yaml");
        assert_eq!(search(&[other.clone(), path.clone()]).unwrap(), path);
        std::fs::write(&other, "").unwrap();
        assert_eq!(search(&[other.clone(), path]).unwrap(), other);
    }
}
