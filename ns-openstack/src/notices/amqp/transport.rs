//! The way to the broker: TCP, and TLS with the cryptography that the rest of the product uses. What is said on it is
//! `connection`'s.

use super::error::passing;
use ns_core::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use rustls_platform_verifier::Verifier;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes both ways.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

/// Trusts the system's authorities and those in `ca_file`.
pub(super) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let extra = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let bad = |e: rustls::Error| {
        Error::new(
            ErrorKind::Invalid,
            "config.ca_file",
            "TLS cannot be set up with these authorities",
        )
        .with_field("notifications.ca_file")
        .with_remedy("give the authority's certificate in PEM form")
        .with_source(e)
    };
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(bad)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(bad)?;
    // The platform's verifier with more roots: the library counts that among what can be done wrongly.
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |why: &str| {
        Error::new(ErrorKind::Invalid, "config.ca_file", why)
            .with_field("notifications.ca_file")
            .with("file", path.display())
            .with_remedy("give a readable file with the authority's certificate in PEM form")
    };
    let pem = std::fs::read(path).map_err(|e| bad("the certificates cannot be read").with_source(e))?;
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(bad("the file holds no usable certificate")),
    }
}

/// Reaches one node of the broker.
pub(super) async fn connect(
    host: &str,
    port: u16,
    tls: Option<&Arc<ClientConfig>>,
    limit: Duration,
) -> Result<Box<dyn Pipe>> {
    let late = |_| unreachable("it does not answer");
    let tcp = tokio::time::timeout(limit, TcpStream::connect((host, port)));
    let tcp = tcp
        .await
        .map_err(late)?
        .map_err(|e| unreachable("no connection").with_source(e))?;
    // Acknowledgements are small and somebody waits for them.
    tcp.set_nodelay(true).ok();
    let Some(config) = tls else {
        return Ok(Box::new(tcp));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|e| {
        Error::new(ErrorKind::Invalid, "config.host", "no certificate can be for this name")
            .with_field("notifications.hosts")
            .with_source(e)
    })?;
    let hello = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
    let tls = tokio::time::timeout(limit, hello)
        .await
        .map_err(late)?
        .map_err(refused)?;
    Ok(Box::new(tls))
}

fn unreachable(why: &str) -> Error {
    passing(
        "notifications.unreachable",
        &format!("the message broker cannot be reached: {why}"),
    )
    .with_field("notifications.hosts")
    .with_remedy("check host and port, that the broker runs and that it can be reached from here")
}

/// Why TLS did not come about.
fn refused(e: std::io::Error) -> Error {
    let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    let error = match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Error::new(
            ErrorKind::Rejected,
            "notifications.certificate",
            "the message broker's certificate is not trusted",
        )
        .with_field("notifications.ca_file")
        .with_remedy("give the authority's certificate in ca_file, and the host by the name in the broker's"),
        Some(rustls::Error::InvalidMessage(_)) => Error::new(
            ErrorKind::Rejected,
            "notifications.no_tls",
            "there is no TLS at this port",
        )
        .with_field("notifications.port")
        .with_remedy("give the broker's port for TLS, usually 5671"),
        _ => unreachable("TLS does not come about"),
    };
    error.with_source(e)
}
