//! Servers on the loopback: certificates of an authority of their own, and a mail server that is not ours.
#![allow(missing_docs, unreachable_pub, dead_code)]

use ns_core::model::{About, EventCode, EventId, Language};
use ns_core::ports::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

/// A server's side of TLS, and the certificate of the authority that vouches for it.
pub struct Tls {
    pub acceptor: TlsAcceptor,
    pub ca: NamedTempFile,
}

pub fn tls(name: &str) -> Tls {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let ca = NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), authority.pem()).unwrap();
    Tls {
        acceptor: Arc::new(config).into(),
        ca,
    }
}

pub fn message(address: &str) -> Message {
    let code = EventCode::JobFailed;
    let parameters = BTreeMap::from([
        ("work".to_owned(), "failover".to_owned()),
        ("job".to_owned(), "j1".to_owned()),
        ("group".to_owned(), "결제".to_owned()),
    ]);
    Message {
        event_id: EventId::at(7),
        subscription_id: "s1".into(),
        address: address.to_owned(),
        at: "2026-01-31T08:00:00Z".parse().unwrap(),
        code,
        severity: code.severity(),
        area: code.area(),
        about: About {
            group: Some("g1".into()),
            ..About::default()
        },
        parameters,
        language: Language::Korean,
        text: "그룹 결제의 failover 작업 j1: 실패했습니다.".to_owned(),
    }
}
