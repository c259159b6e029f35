//! Who owned a journal-mode image, from the records in its journal's header object: the only proof in journal mode that a
//! demotion has been replicated (mirror status is up to 30 s old and speaks of health).
//!
//! A journal is cut into tags. A tag names its owner (nothing: this site; `<orphan>`: nobody, after a demotion; else the
//! mirror uuid of the primary that the events come from) and where the tag before it ended, in the journal of the site it
//! came from. Measured: a demotion on A after A's entry (tag 3, entry 1) makes a tag there owned by `<orphan>` with
//! predecessor `('', 3, 1)`; once B has replayed it, B's newest tag is owned by `<orphan>` with predecessor
//! `(A's mirror uuid, 3, 1)`. The records are read with `rados listomapvals`; layout as in Ceph's `librbd/journal/Types`
//! and `cls/journal/cls_journal_types`, unchanged since Jewel.

use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

const ORPHAN: &str = "<orphan>";
/// What the values of one object may have together, in bytes: the directory of a million images has a third of it.
const MOST_VALUES: usize = 64 << 20;

/// Where a journal stood: the last entry of a tag. Meaningful only together with the site whose journal it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    /// Whether there was any entry.
    pub(crate) valid: bool,
    pub(crate) tag: u64,
    pub(crate) entry: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    id: u64,
    owner: String,
    from: String,
    position: Position,
}

/// The header of an image's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journal {
    /// Oldest first.
    tags: Vec<Tag>,
    /// By mirror uuid.
    peers: BTreeMap<String, Peer>,
}

/// A peer that reads this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Peer {
    /// Whether its first copy is complete.
    complete: bool,
    /// The newest tag of which it has replayed anything.
    tag: Option<u64>,
}

/// A demotion found in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Demotion {
    /// Demoted on this site, not a replica of the peer's demotion.
    pub(crate) own: bool,
    /// Where the demoted primary stood, in its own journal.
    pub(crate) at: Position,
}

impl Journal {
    /// Reads what `rados listomapvals` prints of a journal's header object.
    pub(crate) fn parse(listing: &[u8]) -> Result<Self> {
        let values = omap(listing)?;
        let mut tags = Vec::new();
        let mut peers = BTreeMap::new();
        for (key, value) in &values {
            if key.starts_with("tag_") {
                tags.push(tag(value).ok_or_else(|| unreadable("a journal tag"))?);
            }
            let Some(uuid) = key.strip_prefix("client_").filter(|u| !u.is_empty()) else {
                continue;
            };
            if let Some(peer) = peer(value).ok_or_else(|| unreadable("a journal client"))? {
                peers.insert(uuid.to_owned(), peer);
            }
        }
        tags.sort_by_key(|t| t.id);
        if tags.is_empty() {
            return Err(unreadable("a journal without tags"));
        }
        Ok(Self { tags, peers })
    }

    /// The demotion with which this side's data ends, if it does. Looks past what this side wrote as primary since, so that
    /// a promoted image still tells what it was promoted from. `peer` is the peer's mirror uuid.
    pub(crate) fn last_demotion(&self, peer: &str) -> Option<Demotion> {
        let last = self.tags.iter().rev().find(|t| !t.owner.is_empty())?;
        let at = last.position;
        // After a demotion here, replaying the peer's copy of it adds a tag that names this very site.
        (last.owner == ORPHAN).then(|| Demotion {
            own: last.from.is_empty() || last.from != peer,
            at,
        })
    }

    /// Whether the newest tag says that nobody is primary.
    pub(crate) fn is_demoted(&self) -> bool {
        self.tags.last().is_some_and(|t| t.owner == ORPHAN)
    }

    /// Whether this replica has begun to replay, which it does only once its first copy is complete: the tag made with
    /// the image is then no longer the only one.
    pub(crate) fn has_replayed(&self) -> bool {
        self.tags.last().is_some_and(|t| t.id > 0)
    }

    /// On a primary: whether there is a peer and all have completed their first copy.
    pub(crate) fn peers_complete(&self) -> bool {
        !self.peers.is_empty() && self.peers.values().all(|p| p.complete)
    }

    /// On a primary: whether a peer has begun its first copy and not completed it.
    pub(crate) fn is_copied(&self) -> bool {
        self.peers.values().any(|p| !p.complete)
    }

    /// On a primary: whether it was promoted after a demotion and a peer has not replayed anything since (see
    /// [`crate::facts::is_unfollowed`], where the same is said of snapshot mode).
    pub(crate) fn is_unfollowed(&self) -> bool {
        let Some(hand_over) = self.tags.iter().rposition(|t| !t.owner.is_empty()) else {
            return false;
        };
        let Some(promoted) = self
            .tags
            .get(hand_over + 1)
            .filter(|_| self.tags[hand_over].owner == ORPHAN)
        else {
            return false;
        };
        self.peers.values().any(|p| p.tag.is_none_or(|tag| tag < promoted.id))
    }
}

/// Ids and names from a pool's directory object (`name_NAME` holds the id).
pub(crate) fn directory(listing: &[u8]) -> Result<BTreeMap<String, String>> {
    let ids = omap(listing)?.into_iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("name_")?;
        Some((Bytes(&value).string()?, name.to_owned()))
    });
    Ok(ids.collect())
}

fn unreadable(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "ceph.unreadable", format!("{what} cannot be read"))
}

/// The keys and values of a `rados listomapvals` listing: per key its name, a line with the length, a hexadecimal dump in
/// which runs of zero lines are left out.
fn omap(listing: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let text = String::from_utf8_lossy(listing);
    let mut values = BTreeMap::new();
    let mut lines = text.lines().peekable();
    let mut room = MOST_VALUES;
    while let Some(key) = lines.next() {
        if key.is_empty() {
            continue;
        }
        let length = lines
            .next()
            .and_then(|l| l.strip_prefix("value (")?.split(' ').next()?.parse::<usize>().ok());
        let length = length
            .filter(|n| *n < 1 << 20)
            .ok_or_else(|| unreadable("an object's keys"))?;
        // A few characters can announce a value of a megabyte of zeros, and so can each of the next.
        room = room
            .checked_sub(length)
            .ok_or_else(|| unreadable("an object of this size"))?;
        let mut value = vec![0; length];
        while let Some(line) = lines.next_if(|l| !l.is_empty()) {
            dump_line(line, &mut value).ok_or_else(|| unreadable("an object's values"))?;
        }
        values.insert(key.to_owned(), value);
    }
    Ok(values)
}

fn dump_line(line: &str, value: &mut [u8]) -> Option<()> {
    if line == "*" {
        return Some(());
    }
    let offset = usize::from_str_radix(line.get(..8)?, 16).ok()?;
    let bytes = line.get(8..).unwrap_or("").split('|').next()?;
    for (i, byte) in bytes.split_ascii_whitespace().enumerate() {
        *value.get_mut(offset + i)? = u8::from_str_radix(byte, 16).ok()?;
    }
    Some(())
}

/// Reads Ceph's encoding: little endian, lengths of 32 bits, versioned structures with their length in front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }
    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
    fn block(&mut self) -> Option<Self> {
        let n = self.u32()? as usize;
        self.take(n).map(Bytes)
    }
    /// A structure: version, oldest version that can read it, length.
    fn structure(&mut self) -> Option<Self> {
        self.take(2)?;
        self.block()
    }
    fn string(&mut self) -> Option<String> {
        String::from_utf8(self.block()?.0.to_vec()).ok()
    }
}

fn tag(value: &[u8]) -> Option<Tag> {
    let mut record = Bytes(value).structure()?;
    let (id, _class) = (record.u64()?, record.u64()?);
    let mut data = record.block()?;
    Some(Tag {
        id,
        owner: data.string()?,
        from: data.string()?,
        position: Position {
            valid: data.u8()? != 0,
            tag: data.u64()?,
            entry: data.u64()?,
        },
    })
}

/// A registered client; none when it is no mirror peer.
fn peer(value: &[u8]) -> Option<Option<Peer>> {
    const MIRROR_PEER: u32 = 1;
    const REPLAYING: u32 = 1;
    let mut client = Bytes(value).structure()?;
    client.string()?;
    let mut data = client.block()?;
    if data.0.is_empty() {
        return Some(None);
    }
    let mut data = data.structure()?;
    if data.u32()? != MIRROR_PEER {
        return Some(None);
    }
    let _image_id = data.string()?;
    let complete = data.u32()? == REPLAYING;
    let mut positions = client.structure()?;
    let mut tag = None;
    for _ in 0..positions.u32()? {
        let mut position = positions.structure()?;
        let _object = position.u64()?;
        tag = tag.max(Some(position.u64()?));
    }
    Some(Some(Peer { complete, tag }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "85d271ef-cda5-4b83-a786-44f93fca7443";
    const B: &str = "9f14e641-f210-4045-94c9-5989ddd84b5f";

    /// As printed on a primary with one peer that replays (keys that are not read left out).
    const LISTING: &str = include_str!("../testdata/journal-primary.txt");

    #[test]
    fn a_real_listing() {
        let journal = Journal::parse(LISTING.as_bytes()).unwrap();
        assert_eq!(
            journal.peers,
            BTreeMap::from([(
                A.to_owned(),
                Peer {
                    complete: true,
                    tag: None
                }
            )])
        );
        assert!(journal.peers_complete() && !journal.is_copied() && journal.has_replayed() && !journal.is_demoted());
        let last = journal.tags.last().unwrap();
        assert_eq!(
            (last.id, last.position),
            (
                2,
                Position {
                    valid: true,
                    tag: 1,
                    entry: 257
                }
            )
        );
        assert_eq!(journal.last_demotion(A), None);
        let syncing = LISTING
            .replace("36 36 64 01 00 00 00 ", "36 36 64 00 00 00 00 ")
            .replace("38 36 36 64 01 00 00 00", "38 36 36 64 00 00 00 00");
        let syncing = Journal::parse(syncing.as_bytes()).unwrap();
        assert!(!syncing.peers_complete() && syncing.is_copied());
    }

    #[test]
    fn values_that_are_only_announced_are_bounded() {
        let announced = |keys: usize| -> String {
            let each = (0..keys).map(|i| format!("key_{i}\nvalue ({} bytes) :\n\n", (1 << 20) - 1));
            each.collect()
        };
        assert_eq!(omap(announced(2).as_bytes()).unwrap().len(), 2);
        let error = omap(announced(65).as_bytes()).unwrap_err();
        assert_eq!(error.code(), "ceph.unreadable");
    }

    fn journal(tags: &[(&str, &str, u64, u64)]) -> Journal {
        let tags = tags.iter().enumerate().map(|(id, (owner, from, tag, entry))| Tag {
            id: id as u64,
            owner: (*owner).to_owned(),
            from: (*from).to_owned(),
            position: Position {
                valid: true,
                tag: *tag,
                entry: *entry,
            },
        });
        Journal {
            tags: tags.collect(),
            peers: BTreeMap::new(),
        }
    }

    #[test]
    fn demotions_as_measured() {
        let at = |tag, entry| Position {
            valid: true,
            tag,
            entry,
        };
        let a = journal(&[("", "", 1, 257), ("", "", 3, 1), (ORPHAN, "", 3, 1)]);
        assert_eq!(
            a.last_demotion(B),
            Some(Demotion {
                own: true,
                at: at(3, 1)
            })
        );
        let b_before = journal(&[(A, "", 0, 0), (A, A, 1, 257), (A, A, 2, 3)]);
        assert_eq!(b_before.last_demotion(A), None);
        let b_after = journal(&[(A, "", 0, 0), (A, A, 2, 3), (ORPHAN, A, 3, 1)]);
        assert_eq!(
            b_after.last_demotion(A),
            Some(Demotion {
                own: false,
                at: at(3, 1)
            })
        );
        assert!(b_after.is_demoted());
        // Promoted since.
        let b_primary = journal(&[(A, A, 2, 3), (ORPHAN, A, 3, 1), ("", ORPHAN, 3, 1), ("", "", 4, 0)]);
        assert_eq!(b_primary.last_demotion(A), b_after.last_demotion(A));
        assert!(!b_primary.is_demoted());
        // Own demotion, then the peer's copy of it replayed back.
        let b_demoted = journal(&[("", "", 7, 1), (ORPHAN, "", 7, 1), (ORPHAN, B, 7, 1)]);
        assert_eq!(
            b_demoted.last_demotion(A),
            Some(Demotion {
                own: true,
                at: at(7, 1)
            })
        );
        // The peer is primary again: the old demotion is history, an unforced promote would still succeed on the peer.
        let a_later = journal(&[(ORPHAN, "", 3, 1), (B, ORPHAN, 3, 1), (B, B, 4, 0)]);
        assert_eq!(a_later.last_demotion(B), None);
        assert!(!journal(&[(A, "", 0, 0)]).has_replayed());
    }

    #[test]
    fn a_peer_that_has_replayed() {
        let values = omap(include_bytes!("../testdata/journal-peer.txt")).unwrap();
        assert_eq!(
            peer(&values[&format!("client_{B}")]),
            Some(Some(Peer {
                complete: true,
                tag: Some(2)
            }))
        );
    }

    #[test]
    fn a_side_is_followed_once_its_promotion_is_replayed() {
        let with = |tags: &[(&str, &str, u64, u64)], tag: Option<u64>| {
            let peers = BTreeMap::from([(A.to_owned(), Peer { complete: true, tag })]);
            Journal { peers, ..journal(tags) }
        };
        let promoted = [(A, A, 2, 3), (ORPHAN, A, 3, 1), ("", ORPHAN, 3, 1), ("", "", 4, 0)];
        assert!(with(&promoted, None).is_unfollowed() && with(&promoted, Some(1)).is_unfollowed());
        assert!(!with(&promoted, Some(2)).is_unfollowed() && !with(&promoted, Some(3)).is_unfollowed());
        assert!(
            !with(&promoted[2..], Some(9)).is_unfollowed(),
            "older tags are pruned once all have read them"
        );
        assert!(
            !with(&[("", "", 0, 0)], None).is_unfollowed(),
            "primary from the beginning"
        );
        assert!(
            !with(&[(A, A, 2, 3), ("", "", 3, 1)], None).is_unfollowed(),
            "promoted by force"
        );
        assert!(!with(&promoted[..2], None).is_unfollowed(), "a replica");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(tag_0\n|client_x\n|value \\([0-9]{1,3} bytes\\) :\n|0000000[0-9a-f]  [0-9a-f ]{0,40}\n|\n|\\*\n|.{0,20}\n){0,12}") {
            let _any = Journal::parse(text.as_bytes());
        }

        #[test]
        fn any_record_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _any = (tag(&bytes), peer(&bytes));
        }
    }
}
