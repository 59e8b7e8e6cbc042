//! An S3 server of its own: moto, from PyPI, in a virtual environment that is kept.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::service::{Missing, START_LIMIT, Service, find_program, folder, target_folder, wait_until};

/// The version that is installed.
const MOTO: &str = "5.2.5";

/// A running server; it is stopped on drop.
pub struct S3 {
    _service: Service,
    _folder: tempfile::TempDir,
    port: u16,
    buckets: AtomicU32,
}

impl S3 {
    /// Installs the server unless it is there.
    ///
    /// # Errors
    /// What is missing on the machine.
    pub fn prepare() -> Result<(), Missing> {
        install().map(drop)
    }

    /// Starts the server, installing it first where it is not there yet.
    ///
    /// # Errors
    /// What is missing on the machine.
    pub fn start() -> Result<Self, Missing> {
        let python = install()?;
        let folder = folder("s3");
        let port = free_port();
        let args = ["-m", "moto.server", "-H", "127.0.0.1", "-p"].map(str::to_owned);
        let args: Vec<String> = args.into_iter().chain([port.to_string()]).collect();
        let log = folder.path().join("log");
        let service = Service::start(&python, &args, None, "KILL", &log);
        let up = wait_until(START_LIMIT, || {
            !service.is_running() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        assert!(up && service.is_running(), "moto: {}", std::fs::read_to_string(&log).unwrap_or_default());
        Ok(Self { _service: service, _folder: folder, port, buckets: AtomicU32::new(0) })
    }

    /// The address of a prefix in a new, empty bucket.
    pub fn new_bucket(&self) -> String {
        let name = format!("bucket{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        let answer = self.put(&name).expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        format!(
            "s3://{name}/some/prefix?endpoint=http://127.0.0.1:{}&allow_http=true&skip_signature=true&region=us-east-1",
            self.port
        )
    }

    fn put(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let host = format!("127.0.0.1:{}", self.port);
        write!(
            stream,
            "PUT /{path} HTTP/1.1\r\nHost: {host}\r\nx-amz-acl: public-read-write\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The Python that has moto. Tests run side by side, so a lock lets one of them install.
fn install() -> Result<PathBuf, Missing> {
    let home = target_folder().join("testkit");
    std::fs::create_dir_all(&home).expect("the target folder is writable");
    let lock = File::create(home.join("moto.lock")).expect("the target folder is writable");
    lock.lock().expect("the target folder takes locks");
    let environment = home.join("moto-venv");
    let (python, stamp) = (environment.join("bin/python"), environment.join("assay-installed"));
    let installed = std::fs::read_to_string(&stamp).unwrap_or_default();
    if installed.trim() == MOTO && python.exists() {
        return Ok(python);
    }
    let missing = || {
        Missing {
        detail: "`python3` with `venv` is not installed: the Debian packages `python3` and `python3-venv` bring it"
            .to_owned(),
    }
    };
    let system = find_program("python3", &[]).ok_or_else(missing)?;
    let made = Command::new(system).args(["-m", "venv", "--clear"]).arg(&environment).output();
    if !made.is_ok_and(|made| made.status.success()) {
        return Err(missing());
    }
    pip(&python)?;
    std::fs::write(&stamp, MOTO).expect("the target folder is writable");
    Ok(python)
}

fn pip(python: &Path) -> Result<(), Missing> {
    let package = format!("moto[server]=={MOTO}");
    let run = Command::new(python).args(["-m", "pip", "install", "--quiet", &package]).output();
    let run = run.map_err(|error| Missing { detail: format!("pip does not start: {error}") })?;
    if run.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&run.stderr).into_owned();
    Err(Missing { detail: format!("the PyPI package `{package}` cannot be installed:\n{errors}") })
}
