use super::*;
use crate::testing::{HOME, cloud, config, log_in, on, once, sent};
use serde_json::json;
use std::time::{Duration, Instant};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const TOKENS: &str = "/identity/v3/auth/tokens";

fn get(session: &Session) -> Call<'_> {
    session.get(Service::Compute, &["servers"])
}

#[tokio::test]
async fn one_log_in_serves_many_callers() {
    let (server, session) = cloud().await;
    on(&server, "GET", "/compute/v2.1/servers", 200, json!({"servers": []})).await;
    let calls = (0..8).map(|_| get(&session).done());
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(sent(&server, "POST", TOKENS).await.len(), 1);
}

/// Lab facts §5: a token may end at any time; the call is made again with a new one, once.
#[tokio::test]
async fn new_token_after_401() {
    let server = MockServer::start().await;
    let session = Session::new(config(&server)).unwrap();
    let first = ResponseTemplate::new(201)
        .insert_header("x-subject-token", "tok-old")
        .set_body_json(crate::auth::tests::token_body(&server.uri(), HOME));
    Mock::given(path(TOKENS))
        .respond_with(first)
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    log_in(&server, "tok-new").await;
    let refused = json!({"error": {"code": 401, "message": "The request you have made requires authentication."}});
    Mock::given(header("x-auth-token", "tok-old"))
        .respond_with(ResponseTemplate::new(401).set_body_json(refused))
        .mount(&server)
        .await;
    Mock::given(header("x-auth-token", "tok-new"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"servers": []})))
        .mount(&server)
        .await;
    let calls = (0..4).map(|_| get(&session).done());
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(
        sent(&server, "POST", TOKENS).await.len(),
        2,
        "four callers with a stale token log in once"
    );
}

#[tokio::test]
async fn refused_twice_is_unauthenticated() {
    let (server, session) = cloud().await;
    on(
        &server,
        "GET",
        "/compute/v2.1/servers",
        401,
        json!({"error": {"code": 401, "message": "no"}}),
    )
    .await;
    let error = get(&session).done().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(sent(&server, "GET", "/compute/v2.1/servers").await.len(), 2);
}

/// Lab facts §5, keystone down: a service that has never seen the token answers 401 (Glance) or 503. It is not our
/// password that is wrong.
#[tokio::test]
async fn dead_identity_service_is_unavailable() {
    let server = MockServer::start().await;
    let identity = MockServer::builder().start().await;
    log_in_at(&identity, &server).await;
    let mut c = config(&server);
    c.auth_url = format!("{}/identity/v3", identity.uri()).parse().unwrap();
    let session = Session::new(c).unwrap();
    session.grant(&Scope::Home).await.unwrap();
    on(&server, "GET", "/compute/v2.1/servers", 401, json!({})).await;
    drop(identity);
    let error = get(&session).done().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

async fn log_in_at(identity: &MockServer, services: &MockServer) {
    let answer = ResponseTemplate::new(201)
        .insert_header("x-subject-token", "t")
        .set_body_json(crate::auth::tests::token_body(&services.uri(), HOME));
    Mock::given(path(TOKENS)).respond_with(answer).mount(identity).await;
}

#[tokio::test]
async fn wrong_password_is_unauthenticated_and_not_told() {
    let server = MockServer::start().await;
    let session = Session::new(config(&server)).unwrap();
    let body = json!({"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}});
    on(&server, "POST", TOKENS, 401, body).await;
    let error = get(&session).done().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?} {session:?}").contains("pass-word"));
    assert_eq!(
        sent(&server, "POST", TOKENS).await.len(),
        1,
        "a wrong password is not tried again: accounts get locked"
    );
}

/// Keystone answers a missing role in a project like a wrong password (lab facts §5, all four alike).
#[tokio::test]
async fn no_role_in_a_tenant_is_denied() {
    let (server, session) = cloud().await;
    let scope = json!({"auth": {"scope": {"project": {"id": "t9"}}}});
    Mock::given(path(TOKENS))
        .and(wiremock::matchers::body_partial_json(scope))
        .respond_with(ResponseTemplate::new(401).set_body_json(json!({"error": {"code": 401, "message": "no"}})))
        .with_priority(1)
        .mount(&server)
        .await;
    let call = get(&session).scope(&Scope::Tenant("t9".into()));
    let error = call.done().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "identity.no_role"));
}

#[tokio::test]
async fn each_tenant_has_its_own_token_and_volume_address() {
    let (server, session) = cloud().await;
    on(&server, "GET", "/volume/v3/t1/volumes", 200, json!({})).await;
    on(&server, "GET", &format!("/volume/v3/{HOME}/volumes"), 200, json!({})).await;
    session
        .get(Service::Volume, &["volumes"])
        .scope(&Scope::Tenant("t1".into()))
        .done()
        .await
        .unwrap();
    session.get(Service::Volume, &["volumes"]).done().await.unwrap();
}

#[tokio::test]
async fn errors_keep_request_id_and_call() {
    let (server, session) = cloud().await;
    let answer = ResponseTemplate::new(404)
        .insert_header("x-openstack-request-id", "req-77")
        .set_body_json(json!({"itemNotFound": {"code": 404, "message": "Instance x could not be found."}}));
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let error = session
        .get(Service::Compute, &["servers", "x"])
        .done()
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "req-77",
        "GET /servers/x",
        "Instance x could not be found.",
        "status=404",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("tok-1"));
}

#[tokio::test]
async fn retry_after_is_honoured_for_busy_services_only() {
    let (server, session) = cloud().await;
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "1");
    Mock::given(path("/compute/v2.1/servers"))
        .respond_with(busy)
        .up_to_n_times(1)
        .with_priority(1)
        .mount(&server)
        .await;
    on(&server, "GET", "/compute/v2.1/servers", 200, json!({})).await;
    let begun = Instant::now();
    get(&session).done().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    // Cinder's full quota says `Retry-After: 0` and does not pass.
    let full = ResponseTemplate::new(413)
        .insert_header("retry-after", "0")
        .set_body_json(json!({"overLimit": {"code": 413, "message": "VolumeLimitExceeded: Maximum number of volumes allowed (18) exceeded for quota 'volumes'."}}));
    let at = format!("/volume/v3/{HOME}/volumes");
    Mock::given(path(at.as_str())).respond_with(full).mount(&server).await;
    let error = session
        .post(Service::Volume, &["volumes"], json!({}))
        .done()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Quota);
    assert_eq!(sent(&server, "POST", &at).await.len(), 1);

    // Longer than we wait: the caller is told.
    let closed = ResponseTemplate::new(503).insert_header("retry-after", "3600");
    Mock::given(path("/compute/v2.1/flavors"))
        .respond_with(closed)
        .mount(&server)
        .await;
    let error = session.get(Service::Compute, &["flavors"]).done().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("retry_after_seconds=3600"));
}

/// Lab facts §5, RabbitMQ away: changes hang. A question may be asked again, of a change nobody knows.
#[tokio::test]
async fn silence_is_bounded() {
    let (server, session) = cloud().await;
    let slow = ResponseTemplate::new(200)
        .set_body_json(json!({}))
        .set_delay(Duration::from_secs(30));
    Mock::given(path("/compute/v2.1/servers"))
        .respond_with(slow)
        .mount(&server)
        .await;
    let begun = Instant::now();
    let asked = get(&session).done().await.unwrap_err();
    let changed = session
        .post(Service::Compute, &["servers"], json!({}))
        .done()
        .await
        .unwrap_err();
    assert_eq!(
        (asked.kind(), changed.kind()),
        (ErrorKind::Unavailable, ErrorKind::Timeout)
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn refused_connection_is_unavailable() {
    let server = MockServer::builder().start().await; // not from the pool: it really goes
    let session = Session::new(config(&server)).unwrap();
    drop(server);
    let error = get(&session).done().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "identity.unreachable")
    );
}

/// A server that reads a request and hangs up: once more for what may be repeated, never for a POST.
#[tokio::test]
async fn broken_connections() {
    use tokio::io::AsyncReadExt;
    let (server, session) = cloud().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let mut c = config(&server);
    c.region = None;
    drop(session);
    let mut body = crate::auth::tests::token_body(&server.uri(), HOME);
    body["token"]["catalog"] = json!([{"type": "compute", "endpoints": [{"interface": "public", "url": at, "region": "R", "region_id": "R"}]}]);
    server.reset().await;
    let answer = ResponseTemplate::new(201)
        .insert_header("x-subject-token", "t")
        .set_body_json(body);
    Mock::given(path(TOKENS)).respond_with(answer).mount(&server).await;
    let session = Session::new(c).unwrap();
    let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let rude = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let error = get(&session).done().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(count.swap(0, std::sync::atomic::Ordering::SeqCst), 2);
    let error = session
        .post(Service::Compute, &["servers"], json!({}))
        .done()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
    rude.abort();
}

#[tokio::test]
async fn microversion_header() {
    let (server, session) = cloud().await;
    Mock::given(header("openstack-api-version", "compute 2.74"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({})))
        .mount(&server)
        .await;
    get(&session).version("2.74").done().await.unwrap();
}

/// An empty id must not turn "the one" into "all", nor `..` a deletion of this into one of that.
#[tokio::test]
async fn ids_stay_in_their_place() {
    let (server, session) = cloud().await;
    on(&server, "GET", "/compute/v2.1/servers/a%2F..%2Fb", 200, json!({})).await;
    for bad in ["", ".", ".."] {
        let error = session
            .delete(Service::Compute, &["servers", bad])
            .done()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad:?}");
    }
    session
        .get(Service::Compute, &["servers", "a/../b"])
        .done()
        .await
        .unwrap();
}

#[tokio::test]
async fn malformed_answers_are_refused_without_quoting_them() {
    #[derive(Debug, serde::Deserialize)]
    struct Wanted {
        #[allow(dead_code)]
        size: u64,
    }
    let (server, session) = cloud().await;
    once(
        &server,
        "GET",
        "/compute/v2.1/servers",
        200,
        json!({"size": "adminPass"}),
    )
    .await;
    once(&server, "GET", "/compute/v2.1/servers", 200, json!({})).await;
    let error = get(&session).json::<Wanted>().await.unwrap_err();
    assert_eq!(error.code(), "compute.malformed");
    assert!(!error.to_string().contains("adminPass"), "{error}");
    let error = get(&session).json::<Wanted>().await.unwrap_err();
    assert!(error.to_string().contains("missing field"), "{error}");
}

#[tokio::test]
async fn clock_skew_from_the_date_header() {
    let at = |offset: i64| {
        let now = Timestamp::now();
        let date = (now + SignedDuration::from_secs(offset)).to_zoned(jiff::tz::TimeZone::UTC);
        let mut headers = HeaderMap::new();
        let text = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        headers.insert("date", text.parse().unwrap());
        skew(&headers, now, now)
    };
    assert_eq!(at(0), 0);
    assert!((299..=300).contains(&at(300)), "{}", at(300));
    assert!((-300..=-298).contains(&at(-300)), "{}", at(-300));
    assert_eq!(skew(&HeaderMap::new(), Timestamp::now(), Timestamp::now()), 0);
}

/// Over a real TLS connection: an authority that is not trusted is no outage.
#[tokio::test]
async fn sec_08_an_unknown_certificate_is_told_as_such() {
    let Some(tls) = tls_server() else {
        panic!("the test needs openssl")
    };
    let auth = || crate::Auth::ApplicationCredential {
        id: "i".into(),
        secret: "s".to_owned().into(),
    };
    let mut config = OpenStackConfig::new(&format!("https://127.0.0.1:{}", tls.port), auth()).unwrap();
    config.timing.read = Duration::from_millis(1500);
    let log_in = async |config: &OpenStackConfig| {
        let session = Session::new(config.clone()).unwrap();
        session.grant(&Scope::Home).await.unwrap_err()
    };
    let error = log_in(&config).await;
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, "identity.certificate"),
        "{error:?}"
    );
    config.ca_file = Some(tls.dir.path().join("ca.pem"));
    let error = log_in(&config).await;
    assert_ne!(error.code(), "identity.certificate", "trusted now: {error:?}");
    assert_ne!(error.code(), "identity.unreachable", "trusted now: {error:?}");
}

struct Tls {
    process: std::process::Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// OpenSSL's own test server with a certificate of its own making; it speaks TLS and no HTTP of ours.
fn tls_server() -> Option<Tls> {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let certificate = |args: &str| {
        let common = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
        let mut command = Command::new("openssl");
        command
            .args(common.split(' '))
            .args(args.split(' '))
            .current_dir(dir.path())
            .stderr(Stdio::null());
        command.status().ok().filter(std::process::ExitStatus::success)
    };
    certificate("-subj /CN=authority -keyout ca.key -out ca.pem")?;
    certificate(
        "-subj /CN=cloud -keyout key.pem -out cert.pem -CA ca.pem -CAkey ca.key \
         -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1",
    )?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let process = Command::new("openssl")
        .args([
            "s_server", "-quiet", "-www", "-key", "key.pem", "-cert", "cert.pem", "-accept",
        ])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "openssl does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Tls { process, port, dir })
}

#[test]
fn ca_file_must_hold_certificates() {
    let auth = crate::Auth::ApplicationCredential {
        id: "i".into(),
        secret: "s".to_owned().into(),
    };
    let mut config = OpenStackConfig::new("https://c", auth).unwrap();
    config.ca_file = Some("/does/not/exist".into());
    assert_eq!(Session::new(config.clone()).unwrap_err().code(), "config.ca_file");
    let file = tempfile::NamedTempFile::new().unwrap();
    config.ca_file = Some(file.path().into());
    assert_eq!(Session::new(config).unwrap_err().code(), "config.ca_file");
}
