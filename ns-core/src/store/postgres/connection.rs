//! How connections are made: TLS, time limits, the pool; and that no secret leaves here.

use super::PostgresOptions;
use crate::{Error, ErrorKind, Result};
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a connection may take, and how long one is waited for.
const CONNECT: Duration = Duration::from_secs(5);
/// After how long without an answer of the other machine a connection is given up.
const DEAD: Duration = Duration::from_secs(10);
/// How long the server works on one statement.
const STATEMENT: Duration = Duration::from_secs(10);

/// A pool, and the name of the place for people.
pub(super) fn pool(url: &SecretString, options: &PostgresOptions) -> Result<(Pool, String)> {
    if !(1..=100).contains(&options.connections) {
        return Err(invalid("connections", "the number of connections must be 1 to 100"));
    }
    let stall = options.stall_limit;
    if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&stall) {
        return Err(invalid("stall_limit", "the stall limit must be 100 ms to 1 minute"));
    }
    // The parser's own error may quote a piece of the password.
    let mut config: tokio_postgres::Config = url.expose_secret().parse().map_err(|_| {
        invalid("url", "the connection string cannot be read").with_remedy(
            "give postgres://user:password@host/database; characters like @ : / % in a password as %40 %3A %2F %25",
        )
    })?;
    let place = place(&config);
    // The driver's default falls back to plain text without a word.
    if config.get_ssl_mode() == SslMode::Prefer && !is_local(&config) {
        config.ssl_mode(SslMode::Require);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("neverstop");
    }
    config.keepalives_idle(DEAD).tcp_user_timeout(DEAD);
    let tls = MakeRustlsConnect::new(tls(options)?);
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let limits = format!(
        "SET idle_in_transaction_session_timeout = {}; SET statement_timeout = {}",
        stall.as_millis(),
        STATEMENT.as_millis()
    );
    let set_limits = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let limits = limits.clone();
        Box::pin(async move { client.batch_execute(&limits).await.map_err(HookError::Backend) })
    });
    let pool = Pool::builder(Manager::from_config(config, tls, recycling))
        .max_size(options.connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(CONNECT))
        .create_timeout(Some(CONNECT * 2))
        .recycle_timeout(Some(CONNECT))
        .post_create(set_limits)
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "store.open", "no pool of connections").with_source(e))?;
    Ok((pool, place))
}

fn is_local(config: &tokio_postgres::Config) -> bool {
    // An address stands for the host's name when both are given.
    let addresses = config.get_hostaddrs();
    let local = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|a| a.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    addresses.iter().all(IpAddr::is_loopback) && (!addresses.is_empty() || config.get_hosts().iter().all(local))
}

fn place(config: &tokio_postgres::Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<String> = config.get_hosts().iter().map(host).collect();
    format!(
        "{} at {} as {}",
        config.get_dbname().unwrap_or("the default database"),
        hosts.join(","),
        config.get_user().unwrap_or("the default user")
    )
}

fn tls(options: &PostgresOptions) -> Result<ClientConfig> {
    let bad = |e: rustls::Error| invalid("ca", "TLS cannot be set up").with_source(e);
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(bad)?;
    let Some(pem) = &options.ca else {
        return Ok(builder.with_platform_verifier().map_err(bad)?.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| invalid("ca", "the certificates are not PEM"))?;
        roots.add(certificate).map_err(bad)?;
    }
    if roots.is_empty() {
        return Err(invalid("ca", "there is no certificate in it"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn invalid(field: &str, message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "store.options", message).with_field(field)
}
