//! The words behind a command.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// Options and their values, read from front to back.
pub struct Words<'w> {
    words: std::slice::Iter<'w, &'w str>,
    option: &'w str,
}

impl<'w> Words<'w> {
    pub fn new(words: &'w [&'w str]) -> Self {
        Self { words: words.iter(), option: "" }
    }

    /// The next option.
    pub fn option(&mut self) -> Option<&'w str> {
        self.option = self.words.next()?;
        Some(self.option)
    }

    /// The value of the option that was read last.
    pub fn value(&mut self) -> Result<&'w str> {
        self.words.next().copied().with_context(|| format!("{} needs a value", self.option))
    }

    /// A value with commas between its parts.
    pub fn list(&mut self) -> Result<Vec<String>> {
        Ok(self.value()?.split(',').map(str::to_owned).collect())
    }

    pub fn number<T: FromStr>(&mut self) -> Result<T> {
        let value = self.value()?;
        value.parse().ok().with_context(|| format!("{} takes a number, not `{value}`", self.option))
    }

    pub fn path(&mut self) -> Result<PathBuf> {
        Ok(std::path::absolute(self.value()?)?)
    }

    /// The refusal of the option that was read last.
    pub fn unknown<T>(&self) -> Result<T> {
        bail!("`{}` is no option of this command", self.option)
    }
}

/// Refuses names that are not among the known ones.
pub fn known<'k>(names: &[String], known: impl Iterator<Item = &'k str>) -> Result<()> {
    let known: Vec<&str> = known.collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => bail!("`{name}` is none of {}", known.join(", ")),
        None => Ok(()),
    }
}

/// Where `--json` is all that may be said: whether it was.
pub fn only_json(words: &[&str]) -> Result<bool> {
    match words {
        [] => Ok(false),
        ["--json"] => Ok(true),
        [other, ..] => bail!("`{other}` is no option of this command"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_knows_are_refused() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(known(&names("a,b"), ["a", "b", "c"].into_iter()).is_ok());
        assert!(known(&names("a,typo"), ["a", "b"].into_iter()).is_err());
    }
}
