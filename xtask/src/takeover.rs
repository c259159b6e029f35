//! `cargo xtask takeover`: a PostgreSQL of our own from the distribution's packages, in a folder of its own, on a socket in
//! it, under an unprivileged user; on it first the behaviour suite of stores, then the takeovers. Ended by its process id.
use crate::{ci, lab};
use anyhow::{Context, Result, bail};
use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The user the server runs as when we are root: it refuses root.
const NOBODY: u32 = 65534;

/// Runs the suite and `count` takeovers.
pub(crate) fn run(count: u32, seed: u64) -> Result<()> {
    let server = Server::start()?;
    let url = server.url();
    let database = [("NEVERSTOP_TEST_POSTGRES", OsStr::new(&url))];
    // For the whole workspace, as the other steps: with one package its dependencies are built anew with fewer features.
    let features = ["--locked", "--features", "ns-core/postgres,ns-tests/takeover"];
    ci::cargo(
        &[
            &["test", "--workspace"],
            &features[..],
            &["--test", "store_contract", "--", "postgres"],
        ]
        .concat(),
        &database,
    )?;
    let (count, seed) = (count.to_string(), seed.to_string());
    let asked = ["--bin", "takeover", "--", "--count", &count, "--seed", &seed];
    ci::cargo(&[&["run"], &features[..], &asked].concat(), &database)
}

/// A server, until it is dropped.
struct Server {
    folder: PathBuf,
    process: Option<Child>,
}

impl Server {
    fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = env::temp_dir().join(format!("neverstop-postgres-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let mut server = Self { folder, process: None };
        fs::set_permissions(&server.folder, fs::Permissions::from_mode(0o700))?;
        if is_root()? {
            chown(&server.folder, Some(NOBODY), Some(NOBODY))?;
        }
        let data = server.folder.join("data");
        let log = fs::File::create(server.folder.join("log"))?;
        // Whoever may enter the folder may use it: no password is needed, and nobody else can reach the socket.
        let made = unprivileged(&programs.join("initdb"))?
            .args(["--username=neverstop", "--auth=trust", "--no-sync", "--pgdata"])
            .arg(&data)
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .status()?;
        if !made.success() {
            bail!("initdb: {made}: {}", server.log());
        }
        let process = unprivileged(&programs.join("postgres"))?
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&server.folder)
            // No port on any network.
            .args(["-c", "listen_addresses=", "-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        server.process = Some(process);
        server.wait(&programs)?;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("host={} user=neverstop dbname=postgres", self.folder.display())
    }

    fn wait(&mut self, programs: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ready = Command::new(programs.join("pg_isready"))
                .args(["-q", "-h"])
                .arg(&self.folder)
                .status()?;
            if ready.success() {
                return Ok(());
            }
            if let Some(process) = &mut self.process
                && let Some(ended) = process.try_wait()?
            {
                bail!("postgres: {ended}: {}", self.log());
            }
            if Instant::now() > deadline {
                bail!("postgres does not answer: {}", self.log());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // "Immediate shutdown": nothing of it is kept. The server takes its children along, which SIGKILL would leave.
            let asked = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
            if let Err(error) = asked.map_err(anyhow::Error::from).and_then(|_| Ok(process.wait()?)) {
                eprintln!("postgres: {error:#}");
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("remove {}: {error}", self.folder.display());
        }
    }
}

/// Where the server's programs are: Debian keeps them by version, outside the path.
fn programs() -> Result<PathBuf> {
    let newest = || -> Option<PathBuf> {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.filter_map(|v| Some(v.ok()?.path().join("bin")));
        folders.filter(|bin| bin.join("postgres").exists()).max()
    };
    if newest().is_none() {
        lab::packages::install("takeover", lab::packages::POSTGRES)?;
    }
    newest().context("there is no PostgreSQL server in /usr/lib/postgresql")
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata("/proc/self").context("read /proc")?.uid() == 0)
}

/// `program` as somebody without rights.
fn unprivileged(program: &Path) -> Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    let as_nobody = [
        format!("--reuid={NOBODY}"),
        format!("--regid={NOBODY}"),
        "--clear-groups".to_owned(),
    ];
    command
        .args(as_nobody.map(OsString::from))
        .arg(program)
        .current_dir("/");
    Ok(command)
}
