//! Ids and keys, given out as the kernel does (`ipc/util.c`).

use std::collections::BTreeMap;

use crate::sys::child::INSIDE_ID;

/// The key under which nothing is found again.
const IPC_PRIVATE: i32 = 0;
const IPC_CREAT: i32 = 0o1000;
const IPC_EXCL: i32 = 0o2000;
/// Ids are a sequence number above an index.
const SEQUENCE_SHIFT: i32 = 15;
/// How many indexes are used before one is used again.
const MIN_CYCLE: usize = 64;

/// One set or queue.
pub(super) struct Entry<T> {
    pub key: i32,
    pub mode: u32,
    /// When it was made or changed, in seconds of the run's own clock.
    pub changed: u64,
    pub value: T,
}

/// All of one kind.
pub(super) struct Registry<T> {
    entries: BTreeMap<i32, Entry<T>>,
    last: i32,
    sequence: i32,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), last: -1, sequence: 0 }
    }
}

/// What asking for a key gives.
pub(super) enum Got {
    /// It is there.
    Found(i32),
    /// It is to be made.
    New,
}

impl<T> Registry<T> {
    /// What `semget` and `msgget` say to a key, before anything is made.
    pub(super) fn get(&self, key: i32, flags: i32) -> Result<Got, i32> {
        let known = self.entries.iter().find(|(_, entry)| key != IPC_PRIVATE && entry.key == key);
        match known {
            None if key != IPC_PRIVATE && flags & IPC_CREAT == 0 => Err(libc::ENOENT),
            None => Ok(Got::New),
            Some(_) if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL => Err(libc::EEXIST),
            // Everybody here is the owner.
            Some((_, entry)) if flags as u32 & !entry.mode & 0o700 != 0 => Err(libc::EACCES),
            Some((id, _)) => Ok(Got::Found(*id)),
        }
    }

    /// Makes a new one; its id.
    pub(super) fn add(&mut self, key: i32, flags: i32, changed: u64, value: T) -> Result<i32, i32> {
        if self.entries.len() >= super::MAX_IDS {
            return Err(libc::ENOSPC);
        }
        let most = (self.entries.len() * 3 / 2).max(MIN_CYCLE) as i32;
        let free = |index: &i32| !self.entries.keys().any(|id| id & ((1 << SEQUENCE_SHIFT) - 1) == *index);
        let index = (self.last + 1..most).chain(0..most).find(free).ok_or(libc::ENOSPC)?;
        if index <= self.last {
            self.sequence += 1;
        }
        self.last = index;
        let id = self.sequence << SEQUENCE_SHIFT | index;
        self.entries.insert(id, Entry { key, mode: flags as u32 & 0o777, changed, value });
        Ok(id)
    }

    pub(super) fn find(&self, id: i32) -> Option<&Entry<T>> {
        self.entries.get(&id)
    }

    /// The entry, where its mode lets the owner do this (4 to read, 2 to write).
    pub(super) fn allowed(&mut self, id: i32, access: u32) -> Result<&mut Entry<T>, i32> {
        let entry = self.entries.get_mut(&id).ok_or(libc::EINVAL)?;
        if entry.mode >> 6 & access == access { Ok(entry) } else { Err(libc::EACCES) }
    }

    pub(super) fn change(&mut self, id: i32, mode: u32, now: u64) -> Result<&mut Entry<T>, i32> {
        let entry = self.entries.get_mut(&id).ok_or(libc::EINVAL)?;
        entry.mode = mode & 0o777;
        entry.changed = now;
        Ok(entry)
    }

    pub(super) fn remove(&mut self, id: i32) -> Result<(), i32> {
        self.entries.remove(&id).map(drop).ok_or(libc::EINVAL)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.values().map(|entry| &entry.value)
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The greatest index in use, which the commands about everything return.
    pub(super) fn greatest_index(&self) -> i64 {
        let index = |id: &i32| id & ((1 << SEQUENCE_SHIFT) - 1);
        self.entries.keys().map(index).max().unwrap_or(0).into()
    }

    /// The id at an index.
    pub(super) fn at_index(&self, wanted: i32) -> Option<i32> {
        self.entries.keys().copied().find(|id| id & ((1 << SEQUENCE_SHIFT) - 1) == wanted)
    }
}

impl<T> Entry<T> {
    /// `struct ipc64_perm`.
    pub(super) fn permissions(&self, id: i32) -> [u8; 48] {
        let mut bytes = [0; 48];
        let own = INSIDE_ID.to_le_bytes();
        bytes[..4].copy_from_slice(&self.key.to_le_bytes());
        for at in [4, 8, 12, 16] {
            bytes[at..at + 4].copy_from_slice(&own);
        }
        bytes[20..24].copy_from_slice(&self.mode.to_le_bytes());
        bytes[24..26].copy_from_slice(&((id >> SEQUENCE_SHIFT) as u16).to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_used_again_only_after_a_cycle() {
        let mut registry = Registry::default();
        let mut make = || {
            let id = registry.add(0, 0o600, 0, ()).unwrap();
            registry.remove(id).unwrap();
            id
        };
        let first: Vec<i32> = (0..65).map(|_| make()).collect();
        assert_eq!(first[..64], (0..64).collect::<Vec<i32>>());
        // The index begins again, and the sequence number tells the new one from the old.
        assert_eq!(first[64], 1 << SEQUENCE_SHIFT);
    }
}
