//! The file tree: closed, or the host's with the runner's own laid over it.
#![allow(unsafe_code, reason = "changing ids between fork and exec")]

use std::ffi::CStr;

use super::INSIDE_ID;
use super::entries::make;
use super::init::Prepared;
use super::mounts::{change_root, move_mount, new_file_system, open_tree, set_flags};
use super::step::{Outcome, Step, done};

/// How often the overlay is tried, and the pause between, in nanoseconds.
const OVERLAY_TRIES: u32 = 20;
const OVERLAY_PAUSE: i64 = 5_000_000;

/// What the program writes below `/tmp` lies over the host's own.
///
/// The kernel refuses with `EINVAL` to clone a lower layer whose mount changes at that moment, which it does
/// on a busy host where others mount and unmount; a little later it can be cloned.
fn overlay_of_tmp() -> Result<i32, i32> {
    let options = [(c"lowerdir", c"/tmp"), (c"upperdir", c"/proc/upper"), (c"workdir", c"/proc/work")];
    for _ in 1..OVERLAY_TRIES {
        match new_file_system(c"overlay", &options) {
            Err(libc::EINVAL) => {}
            done => return done,
        }
        let pause = libc::timespec { tv_sec: 0, tv_nsec: OVERLAY_PAUSE };
        // SAFETY: the pause is live, and what is left of it is not asked for.
        unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
    }
    new_file_system(c"overlay", &options)
}

impl Prepared<'_> {
    fn open_binds(&mut self) -> Outcome<()> {
        for (bind, tree) in self.launch.binds.iter().zip(&mut self.trees) {
            *tree = open_tree(libc::AT_FDCWD, &bind.source, 0).map_err(|errno| (Step::OpenBind, errno))?;
        }
        Ok(())
    }

    fn take_id(&self) -> Outcome<()> {
        let id = INSIDE_ID;
        // SAFETY: no pointers. The raw calls change this process alone.
        unsafe {
            done(Step::TakeId, libc::syscall(libc::SYS_setresgid, id, id, id))?;
            done(Step::TakeId, libc::syscall(libc::SYS_setresuid, id, id, id)).map(drop)
        }
    }

    /// A tmpfs, attached at `place`, filled with the entries; its descriptor.
    fn filled_tmpfs(&self, place: &CStr) -> Outcome<i32> {
        let root = new_file_system(c"tmpfs", &[(c"size", &self.launch.tmpfs_bytes), (c"mode", c"0755")])
            .map_err(|errno| (Step::MakeFs, errno))?;
        for entry in &self.launch.entries {
            make(root, entry)?;
        }
        move_mount(root, libc::AT_FDCWD, place).map_err(|errno| (Step::Attach, errno))?;
        self.add_terminals(root)?;
        Ok(root)
    }

    /// Pseudo-terminals of this run's own, numbered from 0.
    fn add_terminals(&self, root: i32) -> Outcome<()> {
        let terminals = new_file_system(c"devpts", &[(c"ptmxmode", c"0666"), (c"mode", c"0620")])
            .map_err(|errno| (Step::MakeFs, errno))?;
        move_mount(terminals, root, c"dev/pts").map_err(|errno| (Step::Attach, errno))
    }

    fn attach_binds(&self, root: i32) -> Outcome<()> {
        for (bind, tree) in self.launch.binds.iter().zip(&self.trees) {
            let mut flags = libc::MOUNT_ATTR_NOSUID;
            if !bind.device {
                flags |= libc::MOUNT_ATTR_NODEV;
            }
            if !bind.writable {
                flags |= libc::MOUNT_ATTR_RDONLY;
            }
            set_flags(*tree, flags, false).map_err(|errno| (Step::Bind, errno))?;
            move_mount(*tree, root, &bind.path).map_err(|errno| (Step::Bind, errno))?;
        }
        Ok(())
    }

    pub(super) fn closed_root(&mut self) -> Outcome<()> {
        self.open_binds()?;
        self.take_id()?;
        let root = self.filled_tmpfs(c"/proc")?;
        let no_dev = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        for path in &self.launch.writable {
            let tree = open_tree(root, path, 0).map_err(|errno| (Step::CloseRoot, errno))?;
            set_flags(tree, no_dev, false).map_err(|errno| (Step::CloseRoot, errno))?;
            move_mount(tree, root, path).map_err(|errno| (Step::CloseRoot, errno))?;
        }
        self.attach_binds(root)?;
        set_flags(root, no_dev | libc::MOUNT_ATTR_RDONLY, false).map_err(|errno| (Step::CloseRoot, errno))?;
        change_root(root)
    }

    pub(super) fn host_root(&mut self) -> Outcome<()> {
        self.open_binds()?;
        let root = open_tree(libc::AT_FDCWD, c"/", libc::AT_RECURSIVE as u32)
            .map_err(|errno| (Step::Attach, errno))?;
        self.take_id()?;
        let scratch = self.filled_tmpfs(c"/proc")?;
        let overlay = overlay_of_tmp().map_err(|errno| (Step::MakeFs, errno))?;
        self.attach_binds(scratch)?;
        let closed = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_RDONLY;
        set_flags(root, closed, true).map_err(|errno| (Step::CloseRoot, errno))?;
        move_mount(root, libc::AT_FDCWD, c"/dev").map_err(|errno| (Step::Attach, errno))?;
        for place in [c"dev", c"proc", c"sys"] {
            let tree = open_tree(scratch, place, libc::AT_RECURSIVE as u32)
                .map_err(|errno| (Step::Attach, errno))?;
            match move_mount(tree, root, place) {
                Ok(()) | Err(libc::ENOENT) => {}
                Err(errno) => return Err((Step::Attach, errno)),
            }
        }
        for place in &self.launch.hidden {
            let tree = open_tree(scratch, c"empty", 0).map_err(|errno| (Step::Attach, errno))?;
            match move_mount(tree, root, place) {
                Ok(()) | Err(libc::ENOENT | libc::ENOTDIR) => {}
                Err(errno) => return Err((Step::Attach, errno)),
            }
        }
        move_mount(overlay, root, c"tmp").map_err(|errno| (Step::Attach, errno))?;
        change_root(root)
    }
}
