//! Against a real RabbitMQ, which this test starts for itself on an address of its own, with a throw-away authority, and
//! ends by its process: `cargo test -p ns-openstack rabbitmq -- --ignored --nocapture`. Needs Debian's `rabbitmq-server`
//! and `openssl`.

use super::super::connection::BINDING;
use super::super::error::During;
use super::*;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

const ADDRESS: &str = "127.0.9.1";
/// What a user needs to listen, and no more.
const RIGHTS: [&str; 3] = [
    r"^neverstop\.",
    r"^neverstop\.",
    r"^(neverstop\..*|nova|neutron|openstack|keystone)$",
];

/// The broker's two processes. Dropping ends them.
struct RabbitMq {
    dir: TempDir,
    running: Vec<Child>,
}

impl RabbitMq {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        authority(dir.path());
        let path = dir.path().display();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("enabled_plugins", "[].\n");
        write(
            "advanced.config",
            "[{kernel, [{inet_dist_use_interface, {127,0,9,1}}]}].\n",
        );
        write(
            "rabbitmq.conf",
            &format!(
                "listeners.tcp.default = {ADDRESS}:5672\nlisteners.ssl.default = {ADDRESS}:5671\n\
                 ssl_options.cacertfile = {path}/ca.pem\nssl_options.certfile = {path}/broker.pem\n\
                 ssl_options.keyfile = {path}/broker.key\nload_definitions = {path}/definitions.json\n\
                 log.console = true\nlog.console.level = warning\nlog.file = false\ndisk_free_limit.absolute = 50MB\n"
            ),
        );
        let user = |name: &str| json!({"name": name, "password": "pass-word", "tags": ""});
        let rights = |user: &str, [configure, write, read]: [&str; 3]| json!({"user": user, "vhost": "cloud", "configure": configure, "write": write, "read": read});
        write(
            "definitions.json",
            &json!({
                "users": [user("service"), user("listener"), user("guest-only"), user("reader")], "vhosts": [{"name": "cloud"}],
                "permissions": [rights("service", [".*"; 3]), rights("listener", RIGHTS), rights("reader", ["^$", "^$", ".*"])],
            })
            .to_string(),
        );
        Self {
            dir,
            running: Vec::new(),
        }
    }

    fn spawn(&mut self, program: &str, arguments: &[&str], port: u16) {
        let dir = self.dir.path();
        let log = std::fs::File::create(dir.join(format!("{port}.log"))).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env("HOME", dir)
            .env("LC_ALL", "C.UTF-8")
            .env("ERL_EPMD_ADDRESS", ADDRESS)
            .env("ERL_EPMD_PORT", "14369")
            .env("RABBITMQ_NODENAME", "nstest@localhost")
            .env("RABBITMQ_DIST_PORT", "25679")
            // the script then becomes the broker, instead of waiting beside it
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .env("RABBITMQ_CONF_ENV_FILE", dir.join("none"))
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", dir.join("feature_flags"))
            .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", dir.join("log"))
            .env("RABBITMQ_PID_FILE", dir.join("pid"))
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+sbwt none +sbwtdcpu none +sbwtdio none",
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.push(child);
        let began = Instant::now();
        while TcpStream::connect((ADDRESS, port)).is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join(format!("{port}.log"))).unwrap();
            assert!(
                began.elapsed() < Duration::from_secs(90),
                "{program} does not start: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns when both ports answer.
    fn start(&mut self) {
        if self.running.is_empty() {
            self.spawn("/usr/bin/epmd", &["-address", ADDRESS], 14369);
        }
        self.spawn("/usr/lib/rabbitmq/bin/rabbitmq-server", &[], 5671);
    }

    fn kill(&mut self) {
        let mut broker = self.running.pop().unwrap();
        broker.kill().unwrap();
        broker.wait().unwrap();
    }

    fn config(&self, user: &str) -> NotificationConfig {
        let mut config = NotificationConfig::new(ADDRESS, user, "pass-word".to_owned().into());
        config.vhost = "cloud".into();
        config.ca_file = Some(self.dir.path().join("ca.pem"));
        config
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        for mut child in self.running.drain(..).rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An authority, and the broker's certificate from it.
fn authority(dir: &Path) {
    let extensions = format!("subjectAltName=IP:{ADDRESS}\n");
    std::fs::write(dir.join("extensions"), extensions).unwrap();
    for line in [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=broker -keyout broker.key -out broker.csr",
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out broker.pem",
    ] {
        let done = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

fn broker(config: NotificationConfig) -> Broker {
    let auth = crate::Auth::ApplicationCredential {
        id: "i".into(),
        secret: "s".to_owned().into(),
    };
    let mut cloud = OpenStackConfig::new("https://cloud.example", auth).unwrap();
    config.validate().unwrap();
    cloud.notifications = Some(config);
    Broker::new(&cloud).unwrap().unwrap()
}

async fn error(config: NotificationConfig) -> Error {
    match broker(config).notices().await {
        Ok(_) => panic!("it listens"),
        Err(e) => e,
    }
}

/// A service of the cloud.
struct Service(Connection);

impl Service {
    async fn start(rabbit: &RabbitMq) -> Self {
        Self(broker(rabbit.config("service")).connection().await.unwrap().0)
    }

    /// As oslo does it before it publishes.
    async fn declare(&mut self, exchange: &str) {
        let declare = Method::new(40, 10)
            .u16(0)
            .short(exchange)
            .short("topic")
            .u8(0)
            .table(&[]);
        self.0.say(&declare.on(BINDING)).await.unwrap();
        self.0.done(During::Binding).await.unwrap();
    }

    async fn publish(&mut self, exchange: &str, body: &[u8]) {
        let publish = Method::new(60, 40)
            .u16(0)
            .short(exchange)
            .short("notifications.info")
            .u8(0);
        let mut bytes = publish.on(BINDING);
        bytes.extend(wire::content(BINDING, body, 4096));
        self.0.say(&bytes).await.unwrap();
    }
}

async fn next(notices: &mut BoxStream<'static, Result<Notice>>) -> Result<Notice> {
    let next = timeout(Duration::from_secs(60), notices.next()).await;
    next.expect("something comes").expect("the stream goes on")
}

fn instance(id: &str) -> Vec<u8> {
    notification(id, "compute.instance.power_off.end", &json!({"instance_id": "i"}))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts a RabbitMQ of its own"]
async fn evt_13_sec_10_with_a_real_broker() {
    let mut rabbit = RabbitMq::new();
    let began = Instant::now();
    rabbit.start();
    println!("broker started in {:?}", began.elapsed());

    // Nothing is there yet: no service has spoken.
    let checked = broker(rabbit.config("listener")).check().await.unwrap();
    assert_eq!(checked, ["nova", "neutron", "openstack", "keystone"]);
    let began = Instant::now();
    let mut notices = broker(rabbit.config("listener")).notices().await.unwrap();
    println!("listening over TLS in {:?}, with the least of rights", began.elapsed());
    let mut service = Service::start(&rabbit).await;
    let began = Instant::now();
    service.declare("nova").await;
    let kinds: Vec<_> = [next(&mut notices).await.unwrap(), next(&mut notices).await.unwrap()].into();
    assert_eq!(
        (kinds[0].kind.as_str(), &kinds[0].resource),
        ("availability_zone", &None)
    );
    println!("a new exchange was noticed after {:?}", began.elapsed());
    for _ in 2..6 {
        next(&mut notices).await.unwrap();
    }

    // Arrives, and again while it is not acknowledged.
    let began = Instant::now();
    service.publish("nova", &instance("m-1")).await;
    let notice = next(&mut notices).await.unwrap();
    println!("a notice arrived after {:?}", began.elapsed());
    assert_eq!((notice.id.as_str(), notice.kind.as_str()), ("m-1", "instance"));
    let in_use = error(rabbit.config("listener")).await;
    println!("second listener: {in_use}");
    assert_eq!(
        (in_use.kind(), in_use.code()),
        (ErrorKind::Unavailable, "notifications.in_use")
    );
    drop(notices);
    // What is said while nobody listens waits.
    service.publish("nova", &instance("m-2")).await;
    let began = Instant::now();
    let mut notices = loop {
        match broker(rabbit.config("listener")).notices().await {
            Ok(notices) => break notices,
            Err(e) => assert_eq!(e.code(), "notifications.in_use", "{e}"),
        }
    };
    assert_eq!(next(&mut notices).await.unwrap().id, "m-1", "again");
    assert_eq!(next(&mut notices).await.unwrap().id, "m-2");
    println!("after coming back, with what was missed: {:?}", began.elapsed());

    // A table that parsers which go down into tables die of, and what is no notification.
    let mut deep = Vec::new();
    for _ in 0..5000 {
        deep = [&[0, b'F'][..], &u32::try_from(deep.len()).unwrap().to_be_bytes(), &deep].concat();
    }
    let publish = Method::new(60, 40)
        .u16(0)
        .short("nova")
        .short("notifications.info")
        .u8(0);
    let header = [
        &[0, 60, 0, 0][..],
        &0_u64.to_be_bytes(),
        &[0x20, 0],
        &u32::try_from(deep.len()).unwrap().to_be_bytes(),
        &deep,
    ]
    .concat();
    let header = [
        &[2][..],
        &BINDING.to_be_bytes(),
        &u32::try_from(header.len()).unwrap().to_be_bytes(),
        &header,
        &[0xCE],
    ]
    .concat();
    service.0.say(&publish.on(BINDING)).await.unwrap();
    service.0.say(&header).await.unwrap();
    service.publish("nova", b"no json").await;
    service.publish("nova", &instance("m-3")).await;
    assert_eq!(next(&mut notices).await.unwrap().id, "m-3");

    // Many at once.
    const MANY: usize = 5000;
    let began = Instant::now();
    for n in 0..MANY {
        service.publish("nova", &instance(&format!("n-{n}"))).await;
    }
    for n in 0..MANY {
        assert_eq!(next(&mut notices).await.unwrap().id, format!("n-{n}"));
    }
    println!("{MANY} messages published and heard in {:?}", began.elapsed());

    refusals(&rabbit, &mut service).await;

    // The broker dies over a message.
    service.publish("nova", &instance("m-4")).await;
    assert_eq!(next(&mut notices).await.unwrap().id, "m-4");
    // It writes to its disk several times a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    rabbit.kill();
    let gone = next(&mut notices).await.unwrap_err();
    println!("broker killed, the stream ended after {:?}: {gone}", began.elapsed());
    assert_eq!(gone.kind(), ErrorKind::Unavailable);
    assert!(notices.next().await.is_none());
    let away = error(rabbit.config("listener")).await;
    assert_eq!(
        (away.kind(), away.code()),
        (ErrorKind::Unavailable, "notifications.unreachable")
    );
    rabbit.start();
    let mut notices = broker(rabbit.config("listener")).notices().await.unwrap();
    assert_eq!(next(&mut notices).await.unwrap().id, "m-4", "kept by the queue");
    let checked = broker(rabbit.config("listener")).check().await.unwrap();
    assert_eq!(checked.len(), 4, "the exchanges died with the broker");
    let mut service = Service::start(&rabbit).await;
    service.declare("nova").await;
    for _ in 0..6 {
        assert_eq!(next(&mut notices).await.unwrap().resource, None);
    }
    service.publish("nova", &instance("m-5")).await;
    assert_eq!(next(&mut notices).await.unwrap().id, "m-5");
}

async fn refusals(rabbit: &RabbitMq, service: &mut Service) {
    type Change = fn(&mut NotificationConfig);
    let wrong: [(&str, Change, ErrorKind, &str); 9] = [
        (
            "listener",
            |c| c.password = "s3cr3t-word".to_owned().into(),
            ErrorKind::Unauthenticated,
            "notifications.credentials",
        ),
        (
            "nobody",
            |_| (),
            ErrorKind::Unauthenticated,
            "notifications.credentials",
        ),
        ("guest-only", |_| (), ErrorKind::Denied, "notifications.vhost"),
        (
            "listener",
            |c| c.vhost = "other".into(),
            ErrorKind::Denied,
            "notifications.vhost",
        ),
        ("reader", |_| (), ErrorKind::Denied, "notifications.denied"),
        (
            "listener",
            |c| c.exchanges = vec!["glance".into()],
            ErrorKind::Denied,
            "notifications.denied",
        ),
        (
            "listener",
            |c| c.ca_file = None,
            ErrorKind::Rejected,
            "notifications.certificate",
        ),
        (
            "listener",
            |c| c.port = Some(5672),
            ErrorKind::Rejected,
            "notifications.no_tls",
        ),
        (
            "listener",
            |c| (c.tls, c.allow_plain, c.port) = (false, true, Some(5671)),
            ErrorKind::Rejected,
            "notifications.not_amqp",
        ),
    ];
    service.declare("glance").await;
    for (user, change, kind, code) in wrong {
        let mut config = rabbit.config(user);
        config.queue_prefix = "neverstop.other".into();
        change(&mut config);
        let began = Instant::now();
        let error = error(config).await;
        println!("{:?}: {error}", began.elapsed());
        assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
        assert!(!format!("{error:?}").contains("s3cr3t-word"));
    }
    let declare = Method::new(50, 10).u16(0).short("theirs.notices").u8(0).table(&[]);
    service.0.say(&declare.on(BINDING)).await.unwrap();
    service.0.done(During::Queue).await.unwrap();
    let mut config = rabbit.config("service");
    config.queue_prefix = "theirs".into();
    let error = error(config).await;
    println!("{error}");
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, "notifications.queue")
    );
    let mut plain = rabbit.config("listener");
    (plain.tls, plain.allow_plain) = (false, true);
    plain.queue_prefix = "neverstop.plain".into();
    broker(plain).notices().await.map(drop).unwrap();
}
