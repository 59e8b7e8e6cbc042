//! How a program is built, and building it: objects of unchanged sources are kept by their content.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::programs::{Language, Program};

/// Everything that decides a build.
#[derive(Clone, Debug, Hash)]
pub struct Recipe {
    compiler: &'static str,
    pub flags: Vec<String>,
    pub link: Vec<String>,
    /// Name and text, in link order.
    pub sources: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    /// The folder, below the worker's own, that it is compiled in.
    pub place: String,
    /// Whether the sources are as they were written, so that their objects are worth keeping.
    pub kept: bool,
}

const RUSTC: &str = "rustc";

impl Recipe {
    pub fn of(program: &Program) -> Result<Self> {
        let read = |files: &[&str]| {
            files.iter().map(|file| Ok(((*file).to_owned(), program.text(file)?))).collect::<Result<Vec<_>>>()
        };
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (compiler, mut link) = match program.language {
            Language::C => ("gcc", owned(&[])),
            Language::Cxx => ("g++", owned(&[])),
            Language::ClangC => ("clang", owned(&["-fuse-ld=lld"])),
            Language::ClangCxx => ("clang++", owned(&["-fuse-ld=lld"])),
            Language::Rust => (RUSTC, owned(&[])),
        };
        link.extend(owned(program.link));
        let mut flags = owned(program.flags);
        if compiler == RUSTC {
            flags.extend(owned(&["-Cdebuginfo=1", "-Ccodegen-units=1", "--cap-lints=allow"]));
        }
        Ok(Self {
            compiler,
            flags,
            link,
            sources: read(program.files)?,
            headers: read(program.headers)?,
            place: "source".to_owned(),
            kept: true,
        })
    }

    /// The loader of a library: a program with one source.
    pub fn of_loader(program: &Program, loader: &str, library: &Path) -> Result<Self> {
        let mut recipe = Self::of(program)?;
        recipe.sources = vec![(loader.to_owned(), program.text(loader)?)];
        recipe.link = vec![library.display().to_string(), "-Wl,-rpath,$ORIGIN".to_owned()];
        Ok(recipe)
    }

    pub fn is_rust(&self) -> bool {
        self.compiler == RUSTC
    }
}

/// A folder to build in; one worker has it.
pub struct Workshop {
    folder: PathBuf,
    cache: PathBuf,
}

impl Workshop {
    pub fn new(home: &Path, name: &str) -> Result<Self> {
        let folder = home.join(format!("worker-{name}"));
        let cache = home.join("objects");
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(&cache)?;
        Ok(Self { folder, cache })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The program's file; none where it does not compile or link.
    pub fn build(&self, recipe: &Recipe) -> Result<Option<PathBuf>> {
        let place = self.folder.join(&recipe.place);
        std::fs::create_dir_all(&place)?;
        for (name, text) in recipe.sources.iter().chain(&recipe.headers) {
            std::fs::write(place.join(name), text)?;
        }
        let out = self.folder.join("built");
        if recipe.is_rust() {
            let mut command = Command::new(RUSTC);
            command.args(&recipe.flags).arg(&recipe.sources[0].0).arg("-o").arg(&out);
            for word in &recipe.link {
                command.arg("-C").arg(format!("link-arg={word}"));
            }
            return Ok(succeeds(&mut command, &place)?.then_some(out));
        }
        let mut objects = Vec::new();
        for (name, text) in &recipe.sources {
            match self.object(recipe, &place, name, text)? {
                Some(object) => objects.push(object),
                None => return Ok(None),
            }
        }
        let mut command = Command::new(recipe.compiler);
        command.args(&objects).args(recipe.flags.iter().filter(|flag| !flag.starts_with("-fuse-ld")));
        command.args(&recipe.link).arg("-o").arg(&out);
        Ok(succeeds(&mut command, &place)?.then_some(out))
    }

    fn object(&self, recipe: &Recipe, place: &Path, name: &str, text: &str) -> Result<Option<PathBuf>> {
        let mut hash = DefaultHasher::new();
        (recipe.compiler, &recipe.flags, name, text, &recipe.place, &recipe.headers).hash(&mut hash);
        let kept = self.cache.join(format!("{:016x}.o", hash.finish()));
        if kept.exists() {
            return Ok(Some(kept));
        }
        let object = place.join(format!("{name}.o"));
        let mut command = Command::new(recipe.compiler);
        command.args(["-w", "-c", name, "-o"]).arg(&object).args(&recipe.flags);
        if !succeeds(&mut command, place)? {
            return Ok(None);
        }
        if !recipe.kept {
            return Ok(Some(object));
        }
        // Another worker may do the same: a rename is whole or not at all.
        let beside = self.folder.join("kept.o");
        std::fs::copy(&object, &beside)?;
        std::fs::rename(&beside, &kept)?;
        Ok(Some(kept))
    }
}

fn succeeds(command: &mut Command, place: &Path) -> Result<bool> {
    command.current_dir(place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().with_context(|| format!("{command:?} did not start"))?;
    Ok(status.success())
}
