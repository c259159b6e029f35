use super::*;
use crate::testing::{HOME, cloud, on, sent};
use wiremock::MockServer;
use wiremock::matchers::path;
use wiremock::{Mock, ResponseTemplate};

const READS: [&str; 5] = [
    "/identity/v3/projects",
    "/compute/v2.1/os-hypervisors",
    "/compute/v2.1/os-availability-zone/detail",
    "/compute/v2.1/servers",
    "/compute/v2.1/os-services",
];

async fn answers(server: &MockServer, compute: &str) {
    for at in READS {
        on(server, "GET", at, 200, json!({})).await;
    }
    for at in ["scheduler-stats/get_pools", "os-services"] {
        on(server, "GET", &format!("/volume/v3/{HOME}/{at}"), 200, json!({})).await;
    }
    let page = json!({"version": {"id": "v2.1", "version": compute, "min_version": "2.1"}});
    on(server, "GET", "/compute/v2.1/", 200, page).await;
    let page =
        json!({"versions": [{"id": "v2.0", "version": ""}, {"id": "v3.0", "version": "3.70", "min_version": "3.0"}]});
    on(server, "GET", "/volume/v3/", 200, page).await;
    on(
        server,
        "GET",
        "/placement/",
        200,
        json!({"versions": [{"id": "v1.0", "max_version": "1.39"}]}),
    )
    .await;
    let nowhere = json!({"badRequest": {"code": 400, "message": "Host 'neverstop-check@none#none' not found"}});
    on(
        server,
        "POST",
        &format!("/volume/v3/{HOME}/os-volume-manage"),
        400,
        nowhere,
    )
    .await;
}

#[tokio::test]
async fn cl_02_a_good_cloud() {
    let (server, session) = cloud().await;
    answers(&server, "2.93").await;
    let report = check(&session).await.unwrap();
    assert_eq!(
        (report.missing_rights.len(), report.excess_rights.len()),
        (0, 0),
        "{report:?}"
    );
    assert_eq!(report.user, "admin in project admin");
    let versions: Vec<_> = report.services.iter().map(|(s, v)| format!("{s} {v}")).collect();
    assert_eq!(
        versions,
        [
            "identity 3.0",
            "compute 2.93",
            "placement 1.39",
            "network 2.0",
            "volume 3.70"
        ]
    );
    assert_eq!(report.warnings.len(), 1, "plain http: {report:?}");
    // A revoked token works on elsewhere for minutes (lab facts §5): every check logs in again.
    let logins = || sent(&server, "POST", "/identity/v3/auth/tokens");
    let before = logins().await.len();
    check(&session).await.unwrap();
    assert!(logins().await.len() > before);
}

/// A service that is away is noticed.
#[tokio::test]
async fn cl_11_a_probe_asks_every_service_and_nothing_else() {
    let (server, session) = cloud().await;
    answers(&server, "2.90").await;
    on(&server, "GET", "/network/v2.0/", 200, json!({"versions": []})).await;
    probe(&session).await.unwrap();
    for at in ["/compute/v2.1/", "/volume/v3/", "/network/v2.0/", "/placement/"] {
        assert!(!sent(&server, "GET", at).await.is_empty(), "{at}");
    }
    assert!(
        sent(&server, "GET", READS[0]).await.is_empty(),
        "rights are not tried again and again"
    );
    let (server, session) = cloud().await;
    answers(&server, "2.90").await;
    on(&server, "GET", "/network/v2.0/", 503, json!({})).await;
    assert!(probe(&session).await.unwrap_err().kind().is_transient());
}

#[tokio::test]
async fn cl_02_missing_rights_are_told_and_are_no_error() {
    let (server, session) = cloud().await;
    let denied = json!({"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}});
    let at = format!("/volume/v3/{HOME}/os-volume-manage");
    for at in [READS[1], at.as_str()] {
        let answer = ResponseTemplate::new(403).set_body_json(&denied);
        Mock::given(path(at))
            .respond_with(answer)
            .with_priority(1)
            .mount(&server)
            .await;
    }
    answers(&server, "2.93").await;
    let report = check(&session).await.unwrap();
    assert_eq!(
        report.missing_rights,
        ["compute: list hypervisors", "volume: manage and unmanage"]
    );
}

/// What a new project may hold is told by the services' defaults; what is without limit, or not told, is none.
#[tokio::test]
async fn plan_12_quota_of_a_new_project() {
    let (server, session) = cloud().await;
    answers(&server, "2.93").await;
    let compute = json!({"quota_set": {"id": HOME, "instances": 10, "cores": 20, "ram": -1}});
    let at = format!("/compute/v2.1/os-quota-sets/{HOME}/defaults");
    on(&server, "GET", &at, 200, compute).await;
    let volume = json!({"quota_set": {"volumes": 10, "gigabytes": 1000, "volumes_ceph": 3}});
    on(
        &server,
        "GET",
        &format!("/volume/v3/{HOME}/os-quota-sets/{HOME}/defaults"),
        200,
        volume,
    )
    .await;
    // The network service does not let us ask.
    let denied = ResponseTemplate::new(403).set_body_json(json!({"NeutronError": {"type": "PolicyNotAuthorized",
        "message": "rule:get_quota is disallowed by policy", "detail": ""}}));
    Mock::given(path(format!("/network/v2.0/quotas/{HOME}/default")))
        .respond_with(denied)
        .with_priority(1)
        .mount(&server)
        .await;
    let expected = TenantQuota {
        instances: Some(10),
        vcpus: Some(20),
        volumes: Some(10),
        volume_gib: Some(1000),
        ..TenantQuota::default()
    };
    assert_eq!(check(&session).await.unwrap().new_tenant, expected);
}

#[tokio::test]
async fn old_services_and_broken_ones() {
    let (server, session) = cloud().await;
    answers(&server, "2.60").await;
    let report = check(&session).await.unwrap();
    assert!(
        report
            .warnings
            .iter()
            .any(|w| w.contains("compute 2.60 is older than 2.74")),
        "{report:?}"
    );
    let (server, session) = cloud().await;
    let down = ResponseTemplate::new(503).set_body_string("The Keystone service is temporarily unavailable.");
    Mock::given(path(READS[1]))
        .respond_with(down)
        .with_priority(1)
        .mount(&server)
        .await;
    answers(&server, "2.93").await;
    assert_eq!(check(&session).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let (_server, session) = cloud().await;
    let elsewhere = crate::config::OpenStackConfig {
        region: Some("Mars".into()),
        ..session.config
    };
    let error = check(&Session::new(elsewhere).unwrap()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, "catalog.missing"));
}

#[test]
fn sec_09_roles_beyond_need() {
    let mut body = crate::auth::tests::token_body("http://c", "p");
    body["token"]["roles"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "x", "name": "load-balancer_admin"}));
    let grant = Grant::read("t".to_owned().into(), body.to_string().as_bytes()).unwrap();
    assert_eq!(excess(&grant), ["role load-balancer_admin"]);
}

/// Field and remedy are named, and the check was all that happened: nothing but questions, the log-in and the question
/// whether volumes may be managed.
#[track_caller]
fn refused(error: &ns_core::Error, kind: ErrorKind, code: &str, field: &str) {
    assert_eq!(
        (error.kind(), error.code(), error.field()),
        (kind, code, Some(field)),
        "{error:?}"
    );
    assert!(error.remedy().is_some_and(|r| !r.is_empty()), "{error}");
    assert!(!format!("{error:?}").contains("pass-word"), "{error:?}");
}

async fn nothing_touched(server: &MockServer) {
    for request in server.received_requests().await.unwrap() {
        let question = request.method.as_str() == "GET"
            || request.url.path().ends_with("/auth/tokens")
            || request.url.path().ends_with("/os-volume-manage");
        assert!(question, "{} {}", request.method, request.url);
    }
}

const TOKENS: &str = "/identity/v3/auth/tokens";

/// Keystone says the same of a wrong password, an unknown user or project, and a user without a role in it.
#[tokio::test]
async fn cl_02_wrong_credentials_or_no_role() {
    let server = MockServer::start().await;
    let session = Session::new(crate::testing::config(&server)).unwrap();
    let body = json!({"error": {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}});
    on(&server, "POST", TOKENS, 401, body).await;
    let error = check(&session).await.unwrap_err();
    refused(
        &error,
        ErrorKind::Unauthenticated,
        "identity.unauthenticated",
        "credentials",
    );
    assert!(error.remedy().unwrap().contains("role"));
    assert_eq!(
        server.received_requests().await.unwrap().len(),
        1,
        "asked once: accounts get locked"
    );
}

#[tokio::test]
async fn cl_02_unreachable_endpoint() {
    let server = MockServer::builder().start().await; // not from the pool: it really goes
    let session = Session::new(crate::testing::config(&server)).unwrap();
    let address = server.uri();
    drop(server);
    let error = check(&session).await.unwrap_err();
    refused(&error, ErrorKind::Unavailable, "identity.unreachable", "auth_url");
    assert!(error.to_string().contains(&address), "{error}");

    // It takes the connection and is silent.
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(201).set_delay(std::time::Duration::from_secs(30));
    Mock::given(path(TOKENS)).respond_with(slow).mount(&server).await;
    let session = Session::new(crate::testing::config(&server)).unwrap();
    let error = check(&session).await.unwrap_err();
    refused(&error, ErrorKind::Unavailable, "identity.no_answer", "auth_url");

    // Something else listens there.
    let server = MockServer::start().await;
    let session = Session::new(crate::testing::config(&server)).unwrap();
    let error = check(&session).await.unwrap_err();
    refused(&error, ErrorKind::Rejected, "identity.address", "auth_url");

    // Another service of the catalogue is away: here one that listens nowhere.
    let (server, session) = cloud().await;
    let mut body = crate::auth::tests::token_body(&server.uri(), HOME);
    for entry in body["token"]["catalog"].as_array_mut().unwrap() {
        if entry["type"] == "compute" {
            entry["endpoints"][2]["url"] = json!("http://127.0.0.1:1/v2.1");
        }
    }
    let answer = ResponseTemplate::new(201)
        .insert_header("x-subject-token", "t")
        .set_body_json(body);
    Mock::given(path(TOKENS))
        .respond_with(answer)
        .with_priority(1)
        .mount(&server)
        .await;
    answers(&server, "2.93").await;
    let error = check(&session).await.unwrap_err();
    refused(&error, ErrorKind::Unavailable, "compute.unreachable", "region");
    nothing_touched(&server).await;
}

/// What the check found; that too much of it refuses registration is the engine's (`cluster.rights`,
/// `cluster.clock_skew`).
#[tokio::test]
async fn cl_02_missing_role_and_clock_skew_are_found() {
    let (server, session) = cloud().await;
    let denied = json!({"forbidden": {"code": 403, "message": "Policy doesn't allow it to be performed."}});
    for at in READS {
        let answer = ResponseTemplate::new(403).set_body_json(&denied);
        Mock::given(path(at))
            .respond_with(answer)
            .with_priority(1)
            .mount(&server)
            .await;
    }
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(300);
    let date = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let answer = ResponseTemplate::new(201)
        .insert_header("x-subject-token", "t")
        .insert_header("date", date.as_str())
        .set_body_json(crate::auth::tests::token_body(&server.uri(), HOME));
    Mock::given(path(TOKENS))
        .respond_with(answer)
        .with_priority(1)
        .mount(&server)
        .await;
    answers(&server, "2.93").await;
    let report = check(&session).await.unwrap();
    assert_eq!(report.missing_rights.len(), READS.len(), "{report:?}");
    assert!((297..=300).contains(&report.clock_skew_seconds), "{report:?}");
    assert!(
        report.warnings.iter().any(|w| w.contains("clock differs")),
        "{report:?}"
    );
    nothing_touched(&server).await;
}

#[tokio::test]
async fn sec_10_listening_that_does_not_work_is_a_warning() {
    let (server, _) = cloud().await;
    answers(&server, "2.93").await;
    let mut config = crate::testing::config(&server);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut told = crate::NotificationConfig::new("127.0.0.1", "u", "s3cr3t-word".to_owned().into());
    (told.port, told.tls, told.allow_plain) = (Some(free.port()), false, true);
    config.notifications = Some(told);
    let report = check(&Session::new(config).unwrap()).await.unwrap();
    let said = |what: &str| report.warnings.iter().any(|warning| warning.starts_with(what));
    assert!(said("plain AMQP"), "{report:?}");
    assert!(said("notifications cannot be listened to: unavailable"), "{report:?}");
    assert!(!format!("{report:?}").contains("s3cr3t-word"));
}
