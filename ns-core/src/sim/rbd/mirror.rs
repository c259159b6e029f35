//! Replication: what reaches the other side, and when. Nothing runs in the background; whoever looks at the world first
//! has everything done that was due until then.
//!
//! A side pulls from its peer while the peer's log extends its own. Snapshot mode copies from mirror snapshot to mirror
//! snapshot, journal mode entry by entry with a lag. Between two looks nothing changes but by these rules, because
//! everybody who changes something looks first.

use super::image::{Copy, Counter, Image, Images, Key, Mirror, MirrorSnap, Posted};
use super::log::{Log, What};
use crate::model::ReplicationMode;
use crate::sim::tuning::Tuning;
use jiff::Timestamp;
use std::time::Duration;

/// One direction of replication: `there` is read, `here` is written.
pub(crate) struct Link<'w> {
    pub(crate) there: &'w Images,
    pub(crate) here: &'w mut Images,
    /// Since when both sides and the mirror daemon here have been up.
    pub(crate) since: Timestamp,
    pub(crate) tuning: &'w Tuning,
    pub(crate) counter: &'w mut Counter,
}

impl<'w> Link<'w> {
    /// Does everything that is due; whether there was nothing, and nothing will be due as long as nobody changes anything.
    pub(crate) fn advance(&mut self, now: Timestamp) -> bool {
        let missing = self
            .there
            .mirrored
            .iter()
            .filter(|(id, _)| !self.here.mirrored.contains_key(*id));
        let missing: Vec<_> = missing.map(|(_, key)| *key).collect();
        let mut rests = missing.is_empty();
        for key in missing {
            self.make_replica(key, now);
        }
        for key in self.here.mirrored.values().copied().collect::<Vec<_>>() {
            rests &= self.pull(key, now);
        }
        rests
    }

    /// The image on the other side with the same global id.
    fn source(&self, key: Key) -> Option<(&'w Image, &'w Mirror)> {
        let id = &self.here.by_key.get(&key)?.mirror.as_ref()?.global_id;
        mirrored(self.there, *self.there.mirrored.get(id)?)
    }

    fn make_replica(&mut self, other: Key, now: Timestamp) {
        let Some((image, mirror)) = mirrored(self.there, other) else {
            return;
        };
        let remake = self.here.remake.get(&mirror.global_id).copied();
        let due = remake
            .unwrap_or(mirror.enabled_at + self.tuning.discover)
            .max(self.since);
        if !mirror.primary || due > now || self.here.taken(&image.place) {
            return;
        }
        self.here.remake.remove(&mirror.global_id);
        let replica = Image {
            place: image.place.clone(),
            log: Log::default(),
            parent: None,
            mirror: Some(Mirror::new(mirror.global_id.clone(), mirror.mode, false, due)),
            watchers: 0,
            trashed: false,
        };
        let key = self.counter.next();
        self.here.insert(key, replica);
    }

    /// As [`advance`](Self::advance), for one image.
    fn pull(&mut self, key: Key, now: Timestamp) -> bool {
        let Some((source, from)) = self.source(key) else {
            self.follow_removal(key, now);
            return false;
        };
        if self.resync(from.primary, key, now) {
            return false;
        }
        let mut rests = true;
        loop {
            let Some(image) = self.here.by_key.get_mut(&key) else {
                return false;
            };
            let Some(mirror) = image.mirror.as_mut().filter(|m| !m.primary) else {
                return rests;
            };
            if let Some(copy) = &mirror.copy {
                let (to, data_at, ends) = (copy.to, copy.data_at, copy.ends.max(self.since));
                if source.log.len() < to || !source.log.extends(&image.log) {
                    mirror.copy = None;
                    return false;
                }
                if ends > now {
                    return false;
                }
                rests = false;
                mirror.copied = Some((ends, data_at));
                mirror.copy = None;
                self.take(source, key, to);
                continue;
            }
            if !source.log.extends(&image.log) {
                return rests;
            }
            rests &= image.log.len() > 0 && waits_for_nothing(source, from, image);
            let Some(copy) = next_copy(self.tuning, self.since, source, from, image, now) else {
                break;
            };
            if let Some(mirror) = &mut image.mirror {
                mirror.copy = Some(copy);
            }
        }
        if from.mode == ReplicationMode::Journal {
            let due = |at: Timestamp| at + self.tuning.journal_lag <= now;
            let to = source.log.entries.iter().take_while(|e| due(e.at)).count();
            let image = self.here.by_key.get(&key);
            if image.is_some_and(|i| i.log.len() > 0 && i.log.len() < to) {
                self.take(source, key, to);
            }
        }
        rests
    }

    /// Appends what is new, and lets the name follow.
    fn take(&mut self, source: &Image, key: Key, to: usize) {
        let Some(image) = self.here.by_key.get_mut(&key) else {
            return;
        };
        let known = image.log.len();
        if known == 0 {
            image.log.base.clone_from(&source.log.base);
        }
        image.log.entries.extend_from_slice(&source.log.entries[known..to]);
        let renamed = image.log.entries[known..].iter().rev().find_map(|e| match &e.what {
            What::Renamed { name } => Some(name.clone()),
            _ => None,
        });
        if let Some(name) = renamed {
            let mut place = image.place.clone();
            place.name.clone_from(&name);
            if !self.here.taken(&place) {
                self.here.rename(key, &name);
            }
        }
    }

    /// A resync throws the image away, and much later makes it again. `true` while one is wanted.
    fn resync(&mut self, peer_is_primary: bool, key: Key, now: Timestamp) -> bool {
        let mirror = self.here.by_key.get(&key).and_then(|i| i.mirror.as_ref());
        let Some((mirror, wanted)) = mirror.and_then(|m| Some((m, m.resync?))) else {
            return false;
        };
        let away = (wanted + self.tuning.resync_removes).max(self.since);
        if peer_is_primary && away <= now {
            let id = mirror.global_id.clone();
            self.here.remove(key);
            self.here.remake.insert(id, away + self.tuning.resync_remakes);
        }
        true
    }

    /// The replica of a removed primary goes too, whoever asked for the removal; but not where this side's own last act
    /// was a demotion: it did not follow that primary yet.
    fn follow_removal(&mut self, key: Key, now: Timestamp) {
        let Some((image, mirror)) = mirrored(self.here, key) else {
            return;
        };
        let gone = self.there.gone.get(&mirror.global_id);
        let due = gone.is_some_and(|at| (*at + self.tuning.delete_lag).max(self.since) <= now);
        if due && !mirror.primary && image.log.demoted() != Some(true) {
            self.here.remove(key);
        }
    }

    /// Posts again what was posted last.
    pub(crate) fn post_again(&mut self, at: Timestamp) {
        let mirrors = self.here.by_key.values_mut().filter_map(|i| i.mirror.as_mut());
        for posted in mirrors.filter_map(|m| m.posted.as_mut()) {
            posted.at = at;
        }
    }

    /// What the daemon here posts about each image.
    pub(crate) fn post(&mut self, at: Timestamp) {
        for key in self.here.mirrored.values().copied().collect::<Vec<_>>() {
            let source = self.source(key);
            let Some(image) = self.here.by_key.get_mut(&key) else {
                continue;
            };
            let Some(mirror) = &image.mirror else {
                continue;
            };
            let (state, description) = describe(image, mirror, source, at);
            let behind = source.map(|(s, _)| s.log.len().saturating_sub(image.log.len()) as u64);
            let follows = source.filter(|(s, _)| !mirror.primary && s.log.extends(&image.log));
            let bytes_behind = follows.map(|(s, _)| s.log.weight(image.log.len(), s.log.len()));
            let entries_behind = behind.filter(|_| mirror.mode == ReplicationMode::Journal);
            if let Some(mirror) = &mut image.mirror {
                mirror.posted = Some(Posted {
                    state: state.to_owned(),
                    description,
                    at,
                    initial: !mirror.primary && image.log.len() == 0,
                    percent: mirror.copy.as_ref().map(|c| c.percent(at)),
                    entries_behind,
                    bytes_behind,
                });
            }
        }
    }
}

fn describe(
    image: &Image,
    mirror: &Mirror,
    source: Option<(&Image, &Mirror)>,
    at: Timestamp,
) -> (&'static str, String) {
    let words = |state, text: &str| (state, text.to_owned());
    if mirror.primary {
        return words("stopped", "local image is primary");
    }
    let Some((source, from)) = source else {
        return words("unknown", "remote image does not exist");
    };
    let journal = mirror.mode == ReplicationMode::Journal;
    if image.log.len() == 0 {
        let percent = mirror.copy.as_ref().map_or(0, |c| c.percent(at));
        return match journal {
            true => ("syncing", format!("bootstrapping, IMAGE_SYNC/COPY_IMAGE {percent}%")),
            false => (
                "replaying",
                format!(r#"replaying, {{"replay_state":"syncing","syncing_percent":{percent}}}"#),
            ),
        };
    }
    if !source.log.extends(&image.log) && from.primary {
        return match journal {
            true => words("error", "split-brain detected"),
            false => words("error", "split-brain"),
        };
    }
    let behind = source.log.extends(&image.log) && source.log.len() > image.log.len();
    if from.primary || behind {
        let rest = match journal {
            true => format!(r#""entries_behind_primary":{}"#, source.log.len() - image.log.len()),
            false => format!(
                r#""replay_state":"{}""#,
                if mirror.copy.is_some() { "syncing" } else { "idle" }
            ),
        };
        return ("replaying", format!("replaying, {{{rest}}}"));
    }
    match journal {
        true => words("stopped", "stopped"),
        false => words("unknown", "remote image is not primary"),
    }
}

/// The copy that comes next, if it has begun by now.
fn next_copy(
    tuning: &Tuning,
    since: Timestamp,
    source: &Image,
    from: &Mirror,
    image: &Image,
    now: Timestamp,
) -> Option<Copy> {
    let mirror = image.mirror.as_ref()?;
    let ready = mirror.copied.map_or(mirror.enabled_at, |(end, _)| end).max(since);
    let (to, data_at, begun) = match from.mode {
        ReplicationMode::Journal if image.log.len() > 0 => return None,
        ReplicationMode::Journal => {
            let to = source.log.entries.iter().take_while(|e| e.at <= ready).count();
            (to, ready, ready)
        }
        ReplicationMode::Snapshot => {
            let snap = new_snapshot(from, image, mirror)?;
            (snap.position, snap.at, ready.max(snap.at + tuning.mirror_poll))
        }
    };
    let weight = source.log.weight(image.log.len(), to.max(image.log.len()));
    let takes = tuning.copy_base + Duration::from_secs_f64(weight as f64 / tuning.bytes_per_second.max(1) as f64);
    (begun <= now).then_some(Copy {
        to,
        data_at,
        begun,
        ends: begun + takes,
    })
}

/// The oldest mirror snapshot that was not copied yet.
fn new_snapshot<'f>(from: &'f Mirror, image: &Image, mirror: &Mirror) -> Option<&'f MirrorSnap> {
    let newest = mirror.copied.map(|(_, data_at)| data_at);
    let new = |s: &&MirrorSnap| s.position > image.log.len() || Some(s.at) > newest;
    from.snapshots.iter().find(new)
}

/// Whether a replica with its first copy has all that it can get.
fn waits_for_nothing(source: &Image, from: &Mirror, image: &Image) -> bool {
    match (from.mode, &image.mirror) {
        (ReplicationMode::Journal, _) => source.log.len() == image.log.len(),
        (ReplicationMode::Snapshot, Some(mirror)) => new_snapshot(from, image, mirror).is_none(),
        (ReplicationMode::Snapshot, None) => false,
    }
}

fn mirrored(images: &Images, key: Key) -> Option<(&Image, &Mirror)> {
    let image = images.by_key.get(&key)?;
    Some((image, image.mirror.as_ref()?))
}
