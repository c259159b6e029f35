//! Against servers on loopback, which a probe itself never goes to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Answers every request to `/healthz` with 200, to `/moved` with 302, to all else with 503.
async fn answer(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let mut request = [0; 1024];
    let Ok(read) = stream.read(&mut request).await else {
        return;
    };
    let line = String::from_utf8_lossy(&request[..read]);
    let status = match line.split(' ').nth(1) {
        Some("/healthz") => "200 OK",
        Some("/moved") => "302 Found",
        _ => "503 Service Unavailable",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _gone = stream.write_all(answer.as_bytes()).await;
}

async fn web(tls: bool) -> u16 {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tls.then(|| {
        let own = rcgen::generate_simple_self_signed(["web.example.org".to_owned()]).unwrap();
        let key = own.signing_key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match &acceptor {
                Some(acceptor) => answer(acceptor.accept(stream).await.unwrap()).await,
                None => answer(stream).await,
            }
        }
    });
    port
}

fn http(port: u16, path: &str, tls: bool, status: Option<u16>) -> Probe {
    Probe::Http {
        port,
        path: path.into(),
        tls,
        status,
    }
}

fn server(floating_ips: &[&str], fixed_ips: &[&str]) -> ProbedServer {
    let parse = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect();
    ProbedServer {
        cluster: "b".into(),
        id: "s1".into(),
        name: "web".into(),
        floating_ips: parse(floating_ips),
        fixed_ips: parse(fixed_ips),
    }
}

#[tokio::test]
async fn open_16_a_port_answers_or_does_not() {
    let probe = NetworkProbe::new().unwrap();
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = Probe::Port {
        port: listener.local_addr().unwrap().port(),
    };
    assert_eq!(probe.at(HERE, &port).await, Ok(()));
    drop(listener);
    assert!(probe.at(HERE, &port).await.unwrap_err().contains("refused"));
}

#[tokio::test]
async fn open_16_http_is_ready_by_its_answer() {
    let probe = NetworkProbe::new().unwrap();
    for tls in [false, true] {
        let port = web(tls).await;
        for (path, wanted, ready) in [
            ("/healthz", None, Ok(())),
            ("/moved", None, Ok(())),
            ("/moved", Some(200), Err("answers 302".to_owned())),
            ("/", None, Err("answers 503".to_owned())),
            ("/", Some(503), Ok(())),
        ] {
            assert_eq!(
                probe.at(HERE, &http(port, path, tls, wanted)).await,
                ready,
                "{path} {wanted:?} {tls}"
            );
        }
        // Spoken to in the wrong way it is not ready, and the reason names no more than it must.
        let why = probe
            .at(HERE, &http(port, "/healthz?key=1", !tls, None))
            .await
            .unwrap_err();
        assert!(!why.contains("key=1"), "{why}");
    }
}

/// OPEN-16: a tenant's own address may be somebody else's here, and one that leads to this machine is no server's.
#[tokio::test]
async fn open_16_only_addresses_that_are_the_servers() {
    let probe = NetworkProbe::new().unwrap();
    let found = |probe: &NetworkProbe, server: &ProbedServer| probe.addresses(server).map(|a| a.len());
    assert_eq!(found(&probe, &server(&["198.51.100.7"], &["10.0.0.5"])).unwrap(), 1);
    let inside = server(&[], &["10.0.0.5", "fd00::5"]);
    assert_eq!(found(&probe, &inside).unwrap_err().code(), "probe.no_address");
    let routed = NetworkProbe::new().unwrap().fixed_ips();
    assert_eq!(found(&routed, &inside).unwrap(), 2);
    let nobodys = [
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
        "::",
        "ff02::1",
        "::ffff:127.0.0.1",
    ];
    for address in nobodys {
        let error = found(&routed, &server(&[address], &[])).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Rejected, "probe.no_address"),
            "{address}"
        );
    }
    let refused = probe.look(&inside, &Probe::Port { port: 22 }).await.unwrap_err();
    assert_eq!(refused.code(), "probe.no_address");
}

#[tokio::test]
async fn open_16_a_command_needs_another_probe() {
    let command = Probe::GuestCommand {
        command: vec!["true".into()],
    };
    let error = NetworkProbe::new()
        .unwrap()
        .look(&server(&["198.51.100.7"], &[]), &command)
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
}
