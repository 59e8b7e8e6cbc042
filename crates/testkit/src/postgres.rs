//! A PostgreSQL cluster of its own, reached over a unix socket only.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::service::{Missing, START_LIMIT, Service, find_program, folder, wait_until};

const HOW: &str = "the Debian package `postgresql` (15 or newer) brings them";

/// A running cluster; it is stopped and removed on drop.
pub struct Postgres {
    service: Mutex<Option<Service>>,
    programs: PathBuf,
    folder: tempfile::TempDir,
    user: Option<(u32, u32)>,
    durable: bool,
    databases: AtomicU32,
}

impl Postgres {
    /// A cluster that does not wait for the disk: for tests that only kill the client.
    pub fn start() -> Result<Self, Missing> {
        Self::start_with(false)
    }

    /// A cluster that may be killed itself: every commit is on the disk.
    pub fn start_durable() -> Result<Self, Missing> {
        Self::start_with(true)
    }

    fn start_with(durable: bool) -> Result<Self, Missing> {
        let missing = |what: &str| Missing { detail: format!("`{what}` is not installed: {HOW}") };
        let initdb = find_program("initdb", &installed()).ok_or_else(|| missing("initdb"))?;
        let programs = initdb.canonicalize().map_err(|_| missing("initdb"))?;
        let programs = programs.parent().ok_or_else(|| missing("initdb"))?.to_owned();
        for name in ["postgres", "psql"] {
            programs.join(name).is_file().then_some(()).ok_or_else(|| missing(name))?;
        }
        let folder = folder("postgresql");
        // PostgreSQL refuses to run as root.
        let am_root = folder.path().metadata().expect("the folder was made just now").uid() == 0;
        let user = am_root.then(|| service_user().unwrap_or((65_534, 65_534)));
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid))
                .expect("root may give folders away");
        }
        let databases = AtomicU32::new(0);
        let cluster = Self { service: Mutex::new(None), programs, folder, user, durable, databases };
        cluster.initialise();
        cluster.run();
        Ok(cluster)
    }

    fn initialise(&self) {
        let data = self.data();
        let program = self.programs.join("initdb");
        let fixed =
            ["--auth=trust", "--username=assay", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"];
        let mut command = match self.user {
            None => Command::new(program),
            Some((uid, gid)) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
                command.arg(program);
                command
            }
        };
        let made = command.args(fixed).arg(data).current_dir("/").output().expect("`initdb` starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self) {
        let durable = if self.durable { "on" } else { "off" };
        let options = [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", self.folder.path().display()),
            format!("fsync={durable}"),
            format!("synchronous_commit={durable}"),
            "max_connections=100".to_owned(),
            "shared_buffers=32MB".to_owned(),
        ];
        let mut args = vec!["-D".to_owned(), self.data().display().to_string()];
        for option in options {
            args.extend(["-c".to_owned(), option]);
        }
        let log = self.folder.path().join("log");
        // QUIT is PostgreSQL's immediate shutdown: it leaves no shared memory behind.
        let service = Service::start(&self.programs.join("postgres"), &args, self.user, "QUIT", &log);
        let up = wait_until(START_LIMIT, || {
            !service.is_running() || self.psql("postgres", "SELECT 1").status.success()
        });
        assert!(
            up && service.is_running(),
            "PostgreSQL: {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        *self.service.lock().expect("no test panics in here") = Some(service);
    }

    fn psql(&self, database: &str, sql: &str) -> Output {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-U", "assay", "-d", database, "-c", sql, "-h"]).arg(self.folder.path());
        command.output().expect("`psql` starts")
    }

    /// The address of a new, empty database.
    pub fn new_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = self.psql("postgres", &format!("CREATE DATABASE {name}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        format!("postgres://assay@localhost/{name}?host={}", self.folder.path().display())
    }

    /// Kills the server: no goodbye to its clients.
    pub fn kill(&self) {
        let service = self.service.lock().expect("no test panics in here").take();
        let service = service.expect("the server runs");
        service.signal("KILL");
        let ended = wait_until(START_LIMIT, || !service.is_running());
        assert!(ended, "the server ends");
    }

    /// Starts the server again after [`Postgres::kill`].
    pub fn start_again(&self) {
        self.run();
    }
}

/// Where Debian keeps the server's programs, newest first.
fn installed() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

fn service_user() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
