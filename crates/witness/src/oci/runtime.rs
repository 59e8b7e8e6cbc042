//! A capsule as an OCI runtime bundle (runtime specification 1.1): `config.json` and `rootfs`.
//!
//! It gives isolation only. Time, randomness, threads and addresses are the machine's, so that such a run
//! is no replay; the annotation `org.stella-ops.assay.isolation-only` says so to whoever reads it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::layout::{OciError, copy_checked};
use crate::capsule::{Capsule, FileKind};
use crate::source::FileSource;

/// The specification that `config.json` follows.
const OCI_VERSION: &str = "1.0.2";

/// Writes `config.json`, `rootfs` and, where the capsule has one, `stdin` into `folder`, which is made and
/// may not exist.
///
/// # Errors
/// The capsule breaks a rule, the folder is there, or bytes cannot be read, are wrong, or cannot be written.
pub fn write_runtime_bundle(
    capsule: &Capsule,
    source: &dyn FileSource,
    folder: &Path,
) -> Result<(), OciError> {
    capsule.validate()?;
    fs::create_dir(folder).map_err(OciError::io("the folder"))?;
    let root = folder.join("rootfs");
    for place in ["", "dev", "proc", "sys", "tmp", "run"] {
        fs::create_dir_all(root.join(place)).map_err(OciError::io("rootfs"))?;
    }
    // Sorted by path, and what lies under a link was refused: no write leaves the root.
    for file in &capsule.files {
        let path = inside(&root, &file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(OciError::io(&file.path))?;
        }
        match &file.kind {
            FileKind::Directory => fs::create_dir_all(&path).map_err(OciError::io(&file.path))?,
            FileKind::Symlink { target } => symlink(target, &path).map_err(OciError::io(&file.path))?,
            FileKind::Regular { digest, size, executable, .. } => {
                let mut from = File::open(source.path(digest).map_err(OciError::io(&file.path))?)
                    .map_err(OciError::io(&file.path))?;
                let mut to = File::create_new(&path).map_err(OciError::io(&file.path))?;
                copy_checked(&mut from, &mut to, digest, *size, &file.path)?;
                let mode = if *executable { 0o555 } else { 0o444 };
                to.set_permissions(Permissions::from_mode(mode)).map_err(OciError::io(&file.path))?;
            }
        }
    }
    // Resolved inside the capsule, so that no link leads out.
    let directory = capsule.resolve(&capsule.working_directory).unwrap_or_default();
    fs::create_dir_all(inside(&root, &directory)).map_err(OciError::io("rootfs"))?;
    if let Some(blob) = capsule.stdin {
        let mut from = File::open(source.path(&blob.digest).map_err(OciError::io("stdin"))?)
            .map_err(OciError::io("stdin"))?;
        let mut to = File::create_new(folder.join("stdin")).map_err(OciError::io("stdin"))?;
        copy_checked(&mut from, &mut to, &blob.digest, blob.size, "stdin")?;
    }
    let config =
        serde_json::to_vec_pretty(&config(capsule)).expect("a configuration holds strings and numbers");
    fs::write(folder.join("config.json"), config).map_err(OciError::io("config.json"))
}

/// An absolute path of the capsule below `root`.
fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// No capability, no network, its own namespaces, a read-only root, limits as the capsule has them.
fn config(capsule: &Capsule) -> Value {
    let environment: Vec<String> =
        capsule.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let limit = |kind: &str, most: u64| json!({ "type": kind, "hard": most, "soft": most });
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": capsule.command,
            "env": environment,
            "cwd": capsule.working_directory,
            "noNewPrivileges": true,
            "capabilities": { "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [] },
            "rlimits": [
                limit("RLIMIT_NOFILE", capsule.limits.open_files.into()),
                limit("RLIMIT_FSIZE", capsule.limits.file_bytes),
                limit("RLIMIT_CPU", capsule.limits.cpu_micros.div_ceil(1_000_000)),
                limit("RLIMIT_CORE", 0),
            ],
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "witness",
        "mounts": mounts(),
        "linux": {
            "namespaces": namespaces,
            "resources": { "memory": { "limit": capsule.limits.memory_bytes }, "pids": { "limit": capsule.limits.processes } },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
        "annotations": {
            "org.stella-ops.assay.witness": super::witness_id(capsule).to_string(),
            "org.stella-ops.assay.isolation-only":
                "time, randomness, threads and addresses are real: this run is no replay and gives no verdict",
        },
    })
}

fn mounts() -> Value {
    let quiet = ["nosuid", "noexec", "nodev"];
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc", "options": quiet },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"] },
        { "destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": quiet },
    ])
}
