//! Mail through an independent mail server (the crate `mailin`) on the loopback.
#![allow(clippy::unwrap_used, missing_docs)]

mod kit;

use kit::{Tls, message, tls};
use mailin::response::{INVALID_CREDENTIALS, NO_MAILBOX, OK};
use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder};
use ns_core::ErrorKind;
use ns_core::ports::Sink;
use ns_notify::{Security, Smtp, SmtpConfig};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What the server was given.
#[derive(Debug, Clone, Default)]
struct Received {
    from: String,
    to: Vec<String>,
    user: Option<String>,
    data: Vec<u8>,
}

#[derive(Clone, Default)]
struct Mailbox {
    now: Received,
    kept: Arc<Mutex<Vec<Received>>>,
}

impl Handler for Mailbox {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        self.now.from = from.to_owned();
        OK
    }
    fn rcpt(&mut self, to: &str) -> Response {
        if to.starts_with("nobody") {
            return NO_MAILBOX;
        }
        if to.starts_with("later") {
            return Response::custom(451, "try again later".to_owned());
        }
        self.now.to.push(to.to_owned());
        OK
    }
    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.now.data.extend_from_slice(line);
        Ok(())
    }
    fn data_end(&mut self) -> Response {
        self.kept.lock().unwrap().push(std::mem::take(&mut self.now));
        OK
    }
    fn auth_plain(&mut self, _: &str, user: &str, password: &str) -> Response {
        self.auth_login(user, password)
    }
    fn auth_login(&mut self, user: &str, password: &str) -> Response {
        if password != "horse-17" {
            return INVALID_CREDENTIALS;
        }
        self.now.user = Some(user.to_owned());
        mailin::response::AUTH_OK
    }
}

/// Speaks until the client leaves or wants TLS; whether it wants TLS.
async fn speak(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>, session: &mut Session<Mailbox>) -> bool {
    let mut line = Vec::new();
    loop {
        line.clear();
        if !matches!(stream.read_until(b'\n', &mut line).await, Ok(n) if n > 0) {
            return false;
        }
        let answer = session.process(&line);
        if answer.action != Action::NoReply {
            stream.write_all(&answer.buffer().unwrap()).await.unwrap();
            stream.flush().await.unwrap();
        }
        match answer.action {
            Action::Close => return false,
            Action::UpgradeTls => return true,
            Action::Reply | Action::NoReply => {}
        }
    }
}

/// A mail server; its port, and what it keeps.
async fn serve(security: Security, tls: Option<&Tls>) -> (u16, Arc<Mutex<Vec<Received>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mailbox = Mailbox::default();
    let (kept, acceptor) = (mailbox.kept.clone(), tls.map(|t| t.acceptor.clone()));
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let mut builder = SessionBuilder::new("loopback");
            if acceptor.is_some() && security == Security::StartTls {
                builder.enable_start_tls();
            }
            if acceptor.is_some() {
                builder.enable_auth(AuthMechanism::Plain);
            }
            let mut session = builder.build(peer.ip(), mailbox.clone());
            let greeting = session.greeting().buffer().unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if security == Security::Tls {
                    let Ok(stream) = acceptor.unwrap().accept(stream).await else {
                        return;
                    };
                    let mut stream = BufReader::new(stream);
                    session.tls_active();
                    stream.write_all(&greeting).await.unwrap();
                    speak(&mut stream, &mut session).await;
                    return;
                }
                let mut stream = BufReader::new(stream);
                stream.write_all(&greeting).await.unwrap();
                if speak(&mut stream, &mut session).await {
                    let Ok(stream) = acceptor.unwrap().accept(stream.into_inner()).await else {
                        return;
                    };
                    session.tls_active();
                    speak(&mut BufReader::new(stream), &mut session).await;
                }
            });
        }
    });
    (port, kept)
}

fn config(security: Security, port: u16) -> SmtpConfig {
    SmtpConfig::new("localhost", security, "neverstop@example.org")
        .port(port)
        .timeout(Duration::from_secs(10))
}

fn login(config: SmtpConfig, password: &str) -> SmtpConfig {
    config.login("neverstop", password.to_owned().into())
}

/// NTF-10, issue "Done when" 6: over STARTTLS and over TLS, with a login, and twice by one name.
#[tokio::test]
async fn ntf_10_mail_is_delivered_over_tls() {
    for security in [Security::StartTls, Security::Tls] {
        let tls = tls("localhost");
        let (port, kept) = serve(security, Some(&tls)).await;
        let smtp = Smtp::new(login(config(security, port), "horse-17").ca_file(tls.ca.path())).unwrap();
        for _ in 0..2 {
            smtp.deliver(&message("mina@example.org")).await.unwrap();
        }
        let kept = kept.lock().unwrap().clone();
        assert_eq!(kept.len(), 2, "{security:?}");
        assert_eq!(
            (kept[0].from.as_str(), kept[0].to.as_slice()),
            ("neverstop@example.org", &["mina@example.org".to_owned()][..])
        );
        assert_eq!(kept[0].user.as_deref(), Some("neverstop"));
        let text = String::from_utf8(kept[0].data.clone()).unwrap();
        for line in [
            "Message-ID: <00000000000000000007.s1@example.org>",
            "Auto-Submitted: auto-generated",
            "Date: Sat, 31 Jan 2026 08:00:00",
            "To: mina@example.org",
            "Subject: [NeverStop error]",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let id = |mail: &Received| {
            let text = String::from_utf8(mail.data.clone()).unwrap();
            text.lines().find(|l| l.starts_with("Message-ID")).unwrap().to_owned()
        };
        assert_eq!(id(&kept[0]), id(&kept[1]));
    }
}

/// Without TLS only where that was said, and then without a login.
#[tokio::test]
async fn ntf_10_plain_text_only_where_it_is_allowed() {
    let (port, kept) = serve(Security::PlainText, None).await;
    let smtp = Smtp::new(config(Security::PlainText, port)).unwrap();
    smtp.deliver(&message("mina@example.org")).await.unwrap();
    assert_eq!(kept.lock().unwrap().len(), 1);
    // The server offers no TLS: nothing is sent.
    let smtp = Smtp::new(login(config(Security::StartTls, port), "horse-17")).unwrap();
    let error = smtp.deliver(&message("mina@example.org")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(kept.lock().unwrap().len(), 1);
}

/// What the server says decides whether it is tried again; nothing of the password shows.
#[tokio::test]
async fn ntf_10_what_goes_wrong() {
    let ours = tls("localhost");
    let (port, kept) = serve(Security::StartTls, Some(&ours)).await;
    let trusted = |password: &str| {
        let config = login(config(Security::StartTls, port), password).ca_file(ours.ca.path());
        Smtp::new(config).unwrap()
    };
    let stranger = tls("localhost");
    let mistrusting = login(config(Security::StartTls, port), "horse-17").ca_file(stranger.ca.path());
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for (smtp, to, kind, code) in [
        (
            trusted("horse-17"),
            "nobody@example.org",
            ErrorKind::Rejected,
            "smtp.rejected",
        ),
        (
            trusted("horse-17"),
            "later@example.org",
            ErrorKind::Unavailable,
            "smtp.unavailable",
        ),
        (
            trusted("cow-4"),
            "mina@example.org",
            ErrorKind::Unauthenticated,
            "smtp.login",
        ),
        (
            Smtp::new(mistrusting).unwrap(),
            "mina@example.org",
            ErrorKind::Unavailable,
            "smtp.unavailable",
        ),
        (
            Smtp::new(config(Security::PlainText, closed)).unwrap(),
            "mina@example.org",
            ErrorKind::Unavailable,
            "smtp.unavailable",
        ),
    ] {
        let error = smtp.deliver(&message(to)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{error:?}");
        assert!(error.remedy().is_some());
        let shown = format!("{error:?} {smtp:?}");
        assert!(!shown.contains("horse") && !shown.contains("cow"), "{shown}");
    }
    assert!(kept.lock().unwrap().is_empty());
}

/// A server that says nothing does not hold the sink for ever.
#[tokio::test]
async fn ntf_10_a_server_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move { listener.accept().await.map(|(s, _)| std::mem::forget(s)) });
    let config = config(Security::PlainText, port).timeout(Duration::from_millis(200));
    let error = Smtp::new(config)
        .unwrap()
        .deliver(&message("mina@example.org"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Timeout, "smtp.timeout"),
        "{error:?}"
    );
    silent.await.unwrap().unwrap();
}
