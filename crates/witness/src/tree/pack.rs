//! A directory as one canonical tar archive.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::{TreeError, TreeKind, walk};
use crate::capsule::{MAX_FILE_BYTES, MAX_TOTAL_BYTES};

/// Writes a directory as a tar archive that depends on names, contents, links and the executable bit
/// only: entries sorted below `tree/`, no owner, time 0, mode 0644 or 0755.
///
/// # Errors
/// Something that is no file, directory or link, too much of it, or what cannot be read or written.
pub fn pack(directory: &Path, to: &mut dyn Write) -> Result<(), TreeError> {
    let mut builder = tar::Builder::new(to);
    let mut total = 0u64;
    for entry in walk(directory)? {
        let name = format!("tree/{}", entry.path);
        let failed = || TreeError::io(&entry.path);
        match entry.kind {
            TreeKind::Directory => {
                let mut header = header(tar::EntryType::Directory, 0o755, 0);
                builder.append_data(&mut header, format!("{name}/"), std::io::empty()).map_err(failed())?;
            }
            TreeKind::Symlink { target } => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                builder.append_link(&mut header, &name, &target).map_err(failed())?;
            }
            TreeKind::Regular { file, executable } => {
                let mut file = File::open(file).map_err(failed())?;
                let size = file.metadata().map_err(failed())?.len();
                total = total.saturating_add(size);
                if size > MAX_FILE_BYTES || total > MAX_TOTAL_BYTES {
                    return Err(TreeError::TooMuch { what: "bytes" });
                }
                let mode = if executable { 0o755 } else { 0o644 };
                let mut header = header(tar::EntryType::Regular, mode, size);
                builder.append_data(&mut header, &name, &mut file).map_err(failed())?;
            }
        }
    }
    builder.finish().map_err(TreeError::io("the archive"))
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}
