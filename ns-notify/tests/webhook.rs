//! Webhooks against a TLS endpoint on the loopback whose certificate comes from an authority of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod kit;

use jiff::Timestamp;
use kit::{Tls, message, tls};
use ns_core::ErrorKind;
use ns_core::ports::Sink;
use ns_notify::{EVENT_HEADER, SIGNATURE_HEADER, Webhook, WebhookConfig, verify};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A request as it came: its first line, headers and body.
type Request = (String, BTreeMap<String, String>, Vec<u8>);

fn key() -> SecretString {
    "0123456789abcdef0123456789abcdef".to_owned().into()
}

/// An endpoint that answers every request with a status and more header lines.
async fn serve(tls: &Tls, status: &'static str, more: &'static str) -> (u16, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let kept = Arc::<Mutex<Vec<Request>>>::default();
    let (acceptor, keep) = (tls.acceptor.clone(), kept.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut stream = BufReader::new(stream);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                match line.trim_end() {
                    "" => break,
                    line => lines.push(line.to_owned()),
                }
            }
            let headers: BTreeMap<_, _> = (lines.iter().skip(1))
                .filter_map(|l| l.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            keep.lock().unwrap().push((lines[0].clone(), headers, body));
            let answer = format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
        }
    });
    (port, kept)
}

fn hook(tls: &Tls) -> Webhook {
    let config = WebhookConfig::new(key(), ["localhost"]).ca_file(tls.ca.path());
    Webhook::new(config.timeout(Duration::from_secs(10))).unwrap()
}

/// OPEN-43, issue "Done when" 6: the receiver knows sender, time and content.
#[tokio::test]
async fn open_43_a_message_is_posted_and_signed() {
    let tls = tls("localhost");
    let (port, kept) = serve(&tls, "204 No Content", "").await;
    let message = message(&format!("https://localhost:{port}/in?team=db"));
    hook(&tls).deliver(&message).await.unwrap();
    let (line, headers, body) = kept.lock().unwrap().remove(0);
    assert_eq!(line, "POST /in?team=db HTTP/1.1");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers[EVENT_HEADER], message.event_id.as_str());
    let signature = &headers[SIGNATURE_HEADER];
    let (now, tolerance) = (Timestamp::now(), Duration::from_secs(300));
    assert!(verify(&key(), signature, &body, now, tolerance));
    let other: SecretString = "fedcba9876543210fedcba9876543210".to_owned().into();
    assert!(!verify(&other, signature, &body, now, tolerance));
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["event_id"], message.event_id.as_str());
    assert_eq!(
        (told["code"].as_str(), told["severity"].as_str()),
        (Some("job.failed"), Some("error"))
    );
    assert_eq!(told["parameters"]["group"], "결제");
    assert_eq!(told["text"], message.text);
    assert_eq!(told["about"]["group"], "g1");
    assert!(told.get("address").is_none());
}

#[tokio::test]
async fn open_43_what_goes_wrong() {
    let tls = tls("localhost");
    for (status, more, kind, code) in [
        ("503 Service Unavailable", "", ErrorKind::Unavailable, "webhook.status"),
        ("410 Gone", "", ErrorKind::Rejected, "webhook.rejected"),
        ("401 Unauthorized", "", ErrorKind::Denied, "webhook.denied"),
        // A redirect is not followed, wherever it leads.
        (
            "307 Temporary Redirect",
            "location: /again\r\n",
            ErrorKind::Rejected,
            "webhook.redirect",
        ),
    ] {
        let (port, kept) = serve(&tls, status, more).await;
        let message = message(&format!("https://localhost:{port}/token-17"));
        let error = hook(&tls).deliver(&message).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{error:?}");
        assert_eq!(kept.lock().unwrap().len(), 1);
    }
}

/// Who cannot show a certificate of the authority gets nothing.
#[tokio::test]
async fn open_43_a_stranger_gets_nothing() {
    let (theirs, ours) = (tls("localhost"), tls("localhost"));
    let (port, kept) = serve(&theirs, "200 OK", "").await;
    let message = message(&format!("https://localhost:{port}/token-17"));
    let error = hook(&ours).deliver(&message).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "webhook.unavailable"),
        "{error:?}"
    );
    assert!(
        !format!("{error:?}").contains("token-17"),
        "the address is not repeated"
    );
    assert!(kept.lock().unwrap().is_empty());
}

#[tokio::test]
async fn open_43_a_receiver_that_hangs() {
    let tls = tls("localhost");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = WebhookConfig::new(key(), ["localhost"]).ca_file(tls.ca.path());
    let hook = Webhook::new(config.timeout(Duration::from_millis(200))).unwrap();
    let error = hook
        .deliver(&message(&format!("https://localhost:{port}/")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Timeout, "webhook.timeout"),
        "{error:?}"
    );
}
