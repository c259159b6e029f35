//! Which running processes belong to a state folder. Knows records and `/proc`; sends no signal.
//!
//! A process is ours when its record still fits (id, start time and boot), when it is in the session of a recorded
//! one, when it carries [`MARK`] in its environment, when it is a daemon whose arguments name the state folder, or
//! when its parent is ours.
use super::{
    Site,
    process::Record,
    procfs::{self, Stat},
};
use anyhow::Result;
use std::{collections::HashMap, path::Path};

/// The environment variable every process of the lab carries: `GROUP:SITE:NAME:STATE FOLDER`.
pub(super) const MARK: &str = "NEVERSTOP_LAB_PROCESS";

/// A running process of the lab.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    /// Process id.
    pub(super) pid: u32,
    /// Start time in clock ticks since boot.
    pub(super) start: u64,
    /// Its session.
    pub(super) session: u32,
    /// The site it goes down with.
    pub(super) site: Option<Site>,
    /// Neither recorded nor marked: known by its arguments only.
    pub(super) stray: bool,
}

impl Ours {
    /// Whether it goes down with the site, and, when asked for, is of the session.
    pub(super) fn is_of(&self, site: Site, session: Option<u32>) -> bool {
        self.site == Some(site) && session.is_none_or(|session| self.session == session)
    }
}

/// Every running process of the state folder `root`, whose records of this boot are `records`.
pub(super) fn find(root: &Path, records: &[Record]) -> Result<Vec<Ours>> {
    let all = procfs::all()?;
    let mut ours: HashMap<u32, Ours> = HashMap::new();
    for stat in all.values().filter(|stat| !stat.zombie) {
        ours.extend(claim(stat, root, records, &all).map(|found| (stat.pid, found)));
    }
    // children of ours are ours; repeated until nothing is added
    loop {
        let child = |stat: &Stat| {
            let parent = ours.get(&stat.parent)?;
            Some((
                stat.pid,
                Ours {
                    pid: stat.pid,
                    start: stat.start,
                    session: stat.session,
                    ..*parent
                },
            ))
        };
        let new = all
            .values()
            .filter(|stat| !stat.zombie && !ours.contains_key(&stat.pid));
        let more: Vec<(u32, Ours)> = new.filter_map(child).collect();
        if more.is_empty() {
            break;
        }
        ours.extend(more);
    }
    // never ourselves nor those who called us
    let mut caller = std::process::id();
    while let Some(stat) = all.get(&caller) {
        ours.remove(&caller);
        caller = stat.parent;
    }
    Ok(ours.into_values().collect())
}

/// The process as ours, when it is ours by itself and not only by its parent.
fn claim(stat: &Stat, root: &Path, records: &[Record], all: &HashMap<u32, Stat>) -> Option<Ours> {
    let (pid, start, session) = (stat.pid, stat.start, stat.session);
    let found = |site, stray| {
        Some(Ours {
            pid,
            start,
            session,
            site,
            stray,
        })
    };
    let of_session = |record: &&Record| {
        // the session's first process may be gone; a later process with its id would have another start time
        let leader = all.get(&record.pid).is_none_or(|leader| leader.start == record.start);
        record.pid == session && leader && start >= record.start
    };
    if let Some(record) = records.iter().find(of_session) {
        return found(record.site, false);
    }
    if let Some(mark) = procfs::variable(pid, MARK) {
        let fields: Vec<&str> = mark.splitn(4, ':').collect();
        let [_, letter, _, folder] = fields[..] else {
            return None;
        };
        let site = Site::BOTH.into_iter().find(|site| site.letter() == letter);
        return if Path::new(folder) == root {
            found(site, false)
        } else {
            None
        };
    }
    // daemons that cleared their environment, such as a guest's emulator, and orphaned one-off commands; not a pager
    // with one of our logs open
    let named = stat.parent == 1 && mentions(&procfs::arguments(pid), &root.to_string_lossy());
    if named { found(None, true) } else { None }
}

/// Whether `path` stands in `text` as itself or as the beginning of a longer path below it.
pub(super) fn mentions(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let next = text[at + path.len()..].chars().next();
        next.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::process::Group;

    #[test]
    fn a_folder_with_a_longer_name_is_not_ours() {
        assert!(mentions("qemu -chardev /var/lib/lab/x.sock", "/var/lib/lab"));
        assert!(mentions("d --dir=/var/lib/lab", "/var/lib/lab"));
        assert!(!mentions("d --dir=/var/lib/lab-2/x", "/var/lib/lab"));
    }

    fn record(pid: u32, start: u64) -> Record {
        let (name, boot) = ("x".to_owned(), String::new());
        Record {
            name,
            site: Some(Site::A),
            group: Group::Ceph,
            pid,
            start,
            boot,
            argv: Vec::new(),
        }
    }

    #[test]
    fn a_later_process_with_a_recorded_id_is_not_ours() {
        // no such process: neither environment nor arguments can be read, only record and session count
        let pid = u32::MAX;
        let stat = Stat {
            pid,
            parent: 2,
            session: pid,
            start: 500,
            zombie: false,
        };
        let all = HashMap::from([(pid, stat)]);
        let claimed = |start| claim(&stat, Path::new("/lab"), &[record(pid, start)], &all).is_some();
        assert!(claimed(500));
        assert!(!claimed(400));
    }
}
