//! A pretended cloud for tests: a log-in that works, and answers in the form of the lab's traces.

use crate::auth::tests::token_body;
use crate::config::{Auth, Domain, OpenStackConfig, Project, Timing};
use crate::session::Session;
use serde_json::Value;
use std::time::Duration;
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The project that the pretended user works in.
pub(crate) const HOME: &str = "p-home";

/// The body of an answer of the real service (`testdata/`, taken from the lab's traces).
pub(crate) fn recorded(name: &str) -> Value {
    let file = format!("{}/testdata/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&file).expect(&file)).unwrap()
}

pub(crate) fn config(server: &MockServer) -> OpenStackConfig {
    let auth = Auth::Password {
        username: "admin".into(),
        user_domain: Domain::default(),
        project: Project::Name("admin".into(), Domain::default()),
        password: "pass-word".to_owned().into(),
    };
    let mut config = OpenStackConfig::new(&format!("{}/identity", server.uri()), auth).unwrap();
    config.allow_http = true;
    config.region = Some("RegionOne".into());
    config.page_size = 2;
    config.timing = Timing {
        connect: Duration::from_millis(500),
        read: Duration::from_millis(800),
        change: Duration::from_millis(800),
        poll_first: Duration::from_millis(5),
        poll_max: Duration::from_millis(20),
        error_patience: Duration::from_millis(150),
        detach_patience: Duration::from_millis(150),
        reservation_patience: Duration::from_millis(60),
        retry_after_max: Duration::from_secs(2),
    };
    config
}

/// A cloud that lets the user in, at home and in every tenant.
pub(crate) async fn cloud() -> (MockServer, Session) {
    let server = MockServer::start().await;
    log_in(&server, "tok-1").await;
    let session = Session::new(config(&server)).unwrap();
    (server, session)
}

pub(crate) async fn log_in(server: &MockServer, token: &str) {
    let answer = |project: &str| {
        ResponseTemplate::new(201)
            .insert_header("x-subject-token", token)
            .set_body_json(token_body(&server.uri(), project))
    };
    for tenant in ["t1", "t2"] {
        let scope = serde_json::json!({"auth": {"scope": {"project": {"id": tenant}}}});
        Mock::given(method("POST"))
            .and(path("/identity/v3/auth/tokens"))
            .and(body_partial_json(scope))
            .respond_with(answer(tenant))
            .with_priority(2)
            .mount(server)
            .await;
    }
    Mock::given(method("POST"))
        .and(path("/identity/v3/auth/tokens"))
        .respond_with(answer(HOME))
        .with_priority(3)
        .mount(server)
        .await;
}

/// Answers a question.
pub(crate) async fn on(server: &MockServer, verb: &str, at: &str, status: u16, body: Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Answers a question once, before what was mounted for good.
pub(crate) async fn once(server: &MockServer, verb: &str, at: &str, status: u16, body: Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .up_to_n_times(1)
        .with_priority(1)
        .mount(server)
        .await;
}

/// What was sent to this place: the bodies, in order.
pub(crate) async fn sent(server: &MockServer, verb: &str, at: &str) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let of_place = requests
        .iter()
        .filter(|r| r.method.as_str() == verb && r.url.path() == at);
    of_place
        .map(|r| serde_json::from_slice(&r.body).unwrap_or(Value::Null))
        .collect()
}

/// Answers one after the other; the last one stays.
pub(crate) async fn in_turn(server: &MockServer, verb: &str, at: &str, bodies: &[Value]) {
    let (last, first) = bodies.split_last().unwrap();
    for body in first {
        once(server, verb, at, 200, body.clone()).await;
    }
    on(server, verb, at, 200, last.clone()).await;
}

/// `404`, as services say it.
pub(crate) async fn gone(server: &MockServer, at: &str) {
    let body = serde_json::json!({"itemNotFound": {"code": 404, "message": "It could not be found."}});
    on(server, "GET", at, 404, body).await;
}

/// What was asked to be deleted.
pub(crate) async fn deleted(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let deletions = requests.iter().filter(|r| r.method.as_str() == "DELETE");
    deletions.map(|r| r.url.path().to_owned()).collect()
}

/// A token.
pub(crate) fn token(what: &str) -> ns_core::provider::Token {
    ns_core::provider::Token::of(&ns_core::model::JobId::new("job"), &ns_core::model::TaskKey::new(what))
}
