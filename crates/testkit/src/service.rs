//! Processes that die with their test.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a service may take to come up.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a service may take to end before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What the machine lacks.
#[derive(Debug)]
pub struct Missing {
    /// What is needed and how it is installed.
    pub detail: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// A running process. The kernel sends it `signal` when its keeper thread ends, which is when the
/// test process does.
pub(crate) struct Service {
    pid: u32,
    signal: &'static str,
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts `program`; when this process is root, as `user`.
    pub(crate) fn start(
        program: &Path,
        args: &[String],
        user: Option<(u32, u32)>,
        signal: &'static str,
        log: &Path,
    ) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal]);
        if let Some((uid, gid)) = user {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
        }
        let output = std::fs::File::create(log).expect("the service's folder is writable");
        let errors = output.try_clone().expect("a file handle can be duplicated");
        command.arg(program).args(args).current_dir("/").stdin(Stdio::null()).stdout(output).stderr(errors);
        let (stop, stopped) = channel();
        let (started, start) = channel();
        // The death signal follows the thread that started the process, so one thread does nothing else.
        let keeper = std::thread::spawn(move || {
            let child = command.spawn().expect("`setpriv` starts (Debian package util-linux)");
            started.send(child.id()).expect("the starter waits");
            keep(child, &stopped, signal);
        });
        let pid = start.recv().expect("the keeper thread sends the process id");
        Self { pid, signal, stop: Some(stop), keeper: Some(keeper) }
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, signal: &str) {
        send(self.pid, signal);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let ended = keeper.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the process {} ({}) ends",
                self.pid,
                self.signal
            );
        }
    }
}

fn keep(mut child: Child, stopped: &Receiver<()>, signal: &str) {
    loop {
        if child.try_wait().expect("the child is ours").is_some() {
            return;
        }
        match stopped.recv_timeout(Duration::from_millis(50)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
    send(child.id(), signal);
    let ended = wait_until(STOP_LIMIT, || child.try_wait().is_ok_and(|status| status.is_some()));
    if !ended {
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
    }
}

fn send(pid: u32, signal: &str) {
    let sent = Command::new("/bin/sh")
        .args(["-c", &format!("kill -s {signal} {pid}")])
        .stderr(Stdio::null())
        .status();
    sent.expect("`sh` starts");
}

/// Ends this very process with SIGKILL: nothing is flushed, nothing is dropped.
pub fn kill_self() -> ! {
    loop {
        send(std::process::id(), "KILL");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    done()
}

/// A folder that is named after this process; those of processes that are gone are removed first.
pub(crate) fn folder(what: &str) -> tempfile::TempDir {
    let prefix = format!("assay-{what}-");
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(&prefix).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another test may remove the same folder at the same time.
            let _gone = std::fs::remove_dir_all(entry.path());
        }
    }
    tempfile::Builder::new()
        .prefix(&format!("{prefix}{}-", std::process::id()))
        .tempdir()
        .expect("the folder for temporary files is writable")
}

/// The build's target folder: the test's own program lies in it.
pub(crate) fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own program");
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map_or_else(std::env::temp_dir, Path::to_owned)
}

/// The first program of that name: in `PATH`, then in `folders`.
pub(crate) fn find_program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
