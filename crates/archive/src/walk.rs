//! The walk itself.

use std::io::{Cursor, Read};

use crate::budget::{Budget, Limits};
use crate::{ArchiveError, ar, xz};

/// The containers that are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// An `ar` archive: a static library, a Debian package.
    Ar,
    /// An `ar` archive without its files.
    ThinAr,
    /// A tar archive.
    Tar,
    /// A zip archive: a wheel, a jar, a war.
    Zip,
    /// One gzip stream.
    Gzip,
    /// One xz stream.
    Xz,
    /// One zstd stream.
    Zstd,
}

impl Container {
    fn name(self) -> &'static str {
        match self {
            Self::Ar | Self::ThinAr => "ar archive",
            Self::Tar => "tar archive",
            Self::Zip => "zip archive",
            Self::Gzip => "gzip stream",
            Self::Xz => "xz stream",
            Self::Zstd => "zstd stream",
        }
    }
}

/// Names a container by its magic.
pub fn recognise(data: &[u8]) -> Option<Container> {
    match data {
        data if data.starts_with(ar::MAGIC) => Some(Container::Ar),
        data if data.starts_with(ar::THIN_MAGIC) => Some(Container::ThinAr),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Container::Zip),
        [0x1f, 0x8b, 8, ..] => Some(Container::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Container::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Container::Zstd),
        data if data.get(257..262) == Some(b"ustar") => Some(Container::Tar),
        _ => None,
    }
}

/// What a walk did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// How many files were handed out.
    pub files: usize,
    /// Entries that look like containers and could not be read as such, or only in part.
    pub warnings: Vec<String>,
}

/// Most warnings that are kept.
const MAX_WARNINGS: usize = 1_000;
/// Longest path that is kept, in bytes; the rest is cut.
const MAX_PATH_BYTES: usize = 4_096;

/// Hands out every file in `data`, or `data` itself where it is no container. A path names the containers
/// that a file lies in, with `!/` between: `package.deb!/data.tar.xz!/usr/lib/libshapes.so`.
///
/// # Errors
/// [`ArchiveError`]: a limit, a thin archive, or an outermost container that cannot be read.
pub fn walk(
    name: &str,
    data: &[u8],
    limits: &Limits,
    visit: &mut dyn FnMut(&str, &[u8]),
) -> Result<Walked, ArchiveError> {
    let mut walker = Walker { budget: Budget::new(*limits), walked: Walked::default(), visit };
    walker.file(name, data, 0)?;
    Ok(walker.walked)
}

struct Walker<'visit> {
    budget: Budget,
    walked: Walked,
    visit: &'visit mut dyn FnMut(&str, &[u8]),
}

/// A limit that ends the walk, or damage that ends only one container.
enum Stop {
    Refused(ArchiveError),
    Damaged(String),
}

impl From<ArchiveError> for Stop {
    fn from(error: ArchiveError) -> Self {
        Self::Refused(error)
    }
}

impl From<Result<ArchiveError, std::io::Error>> for Stop {
    fn from(error: Result<ArchiveError, std::io::Error>) -> Self {
        match error {
            Ok(refused) => Self::Refused(refused),
            Err(error) => Self::Damaged(error.to_string()),
        }
    }
}

fn damaged(error: impl std::fmt::Display) -> Stop {
    Stop::Damaged(error.to_string())
}

fn inner(path: &str, name: &str) -> String {
    let mut joined = format!("{path}!/{}", name.trim_start_matches("./").trim_start_matches('/'));
    if joined.len() > MAX_PATH_BYTES {
        let cut = (0..=MAX_PATH_BYTES).rev().find(|&at| joined.is_char_boundary(at)).unwrap_or(0);
        joined.truncate(cut);
    }
    joined
}

impl Walker<'_> {
    fn file(&mut self, path: &str, data: &[u8], depth: usize) -> Result<(), ArchiveError> {
        let Some(container) = recognise(data) else {
            self.hand_out(path, data);
            return Ok(());
        };
        if depth >= self.budget.limits.depth {
            return Err(ArchiveError::TooDeep { path: path.to_owned(), limit: self.budget.limits.depth });
        }
        let before = self.walked.files;
        let result = match container {
            Container::Ar => self.ar(path, data, depth),
            Container::ThinAr => Err(ArchiveError::ThinArchive { path: path.to_owned() }.into()),
            Container::Tar => self.tar(path, data, depth),
            Container::Zip => self.zip(path, data, depth),
            Container::Gzip | Container::Xz | Container::Zstd => self.stream(path, data, container, depth),
        };
        match result {
            Ok(()) => Ok(()),
            Err(Stop::Refused(ArchiveError::ThinArchive { .. })) if depth > 0 => {
                self.warn(format!("{path}: a thin archive, which holds no files"));
                Ok(())
            }
            Err(Stop::Refused(error)) => Err(error),
            Err(Stop::Damaged(detail)) if depth == 0 => {
                Err(ArchiveError::Malformed { path: path.to_owned(), format: container.name(), detail })
            }
            Err(Stop::Damaged(detail)) => {
                self.warn(format!("{path}: {}: {detail}", container.name()));
                if self.walked.files == before {
                    self.hand_out(path, data);
                }
                Ok(())
            }
        }
    }

    fn hand_out(&mut self, path: &str, data: &[u8]) {
        self.walked.files += 1;
        (self.visit)(path, data);
    }

    fn warn(&mut self, warning: String) {
        if self.walked.warnings.len() < MAX_WARNINGS {
            self.walked.warnings.push(warning);
        }
    }

    fn ar(&mut self, path: &str, data: &[u8], depth: usize) -> Result<(), Stop> {
        let members = ar::members(data).map_err(Stop::Damaged)?;
        for (name, body) in members {
            let path = inner(path, &name);
            self.budget.entry(&path)?;
            self.file(&path, body, depth + 1)?;
        }
        Ok(())
    }

    fn tar(&mut self, path: &str, data: &[u8], depth: usize) -> Result<(), Stop> {
        let mut archive = tar::Archive::new(data);
        for entry in archive.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            self.budget.entry(path)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = inner(path, &String::from_utf8_lossy(&entry.path_bytes()));
            // A sparse entry may be larger than all the archive, which the ratio then notices.
            let bytes = self.budget.read(&path, &mut entry, data.len() as u64)?;
            self.file(&path, &bytes, depth + 1)?;
        }
        Ok(())
    }

    fn zip(&mut self, path: &str, data: &[u8], depth: usize) -> Result<(), Stop> {
        let mut archive = zip::ZipArchive::new(Cursor::new(data)).map_err(damaged)?;
        for index in 0..archive.len() {
            self.budget.entry(path)?;
            let mut entry = match archive.by_index(index) {
                Ok(entry) => entry,
                Err(error) => {
                    self.warn(format!("{path}: entry {index}: {error}"));
                    continue;
                }
            };
            if !entry.is_file() {
                continue;
            }
            let name = entry.name().map(|name| name.into_owned()).map_err(damaged)?;
            let path = inner(path, &name);
            let compressed = entry.compressed_size().min(data.len() as u64);
            let bytes = self.budget.read(&path, &mut entry, compressed);
            drop(entry);
            match bytes.map_err(Stop::from) {
                Ok(bytes) => self.file(&path, &bytes, depth + 1)?,
                Err(Stop::Damaged(detail)) => self.warn(format!("{path}: {detail}")),
                Err(refused) => return Err(refused),
            }
        }
        Ok(())
    }

    fn stream(&mut self, path: &str, data: &[u8], container: Container, depth: usize) -> Result<(), Stop> {
        let mut reader: Box<dyn Read + '_> = match container {
            Container::Gzip => Box::new(flate2::read::MultiGzDecoder::new(data)),
            Container::Xz => Box::new(self.xz(path, data)?),
            _ => Box::new(ruzstd::decoding::StreamingDecoder::new(data).map_err(damaged)?),
        };
        let bytes = self.budget.read(path, &mut *reader, data.len() as u64)?;
        drop(reader);
        self.budget.entry(path)?;
        let inside = inner(path, stem(path));
        // A stream around a tar is one step for people: `data.tar.xz!/usr`, not twice its name.
        let label = if recognise(&bytes) == Some(Container::Tar) { path } else { &inside };
        Ok(self.file(label, &bytes, depth + 1)?)
    }

    fn xz<'data>(&self, path: &str, data: &'data [u8]) -> Result<lzma_rust2::XzReader<&'data [u8]>, Stop> {
        let found = xz::dictionary_bytes(data).ok_or_else(|| damaged("its index cannot be read"))?;
        let limit = self.budget.limits.memory_bytes;
        if found > limit {
            return Err(ArchiveError::MemoryTooLarge { path: path.to_owned(), found, limit }.into());
        }
        Ok(lzma_rust2::XzReader::new(data, false))
    }
}

/// The name without the suffix of its compression.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
