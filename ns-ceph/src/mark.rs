//! What is in a [`Mark`], and the stamp that a shipment leaves on the image.
//!
//! Snapshot mode: the id of the primary's mirror snapshot; the replica's copy names it. Journal mode: a shipment is
//! proved by a stamp (image metadata, which travels through the journal in order) that was written behind a barrier (a
//! snapshot, for which replay waits until all earlier writes are done); a demotion by the position in the primary's
//! journal at which it happened.

use crate::facts::Snap;
use crate::journal::Position;
use jiff::Timestamp;
use ns_core::provider::Mark;
use ns_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Image metadata key of the stamp.
pub(crate) const STAMP_KEY: &str = "neverstop-mark";

/// The content of a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// The replication identity of the image.
    pub(crate) image: String,
    /// The id of the image on the side that made the mark.
    pub(crate) origin: String,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub(crate) enum What {
    /// A mirror snapshot of the primary.
    Snapshot { id: u64, snapshot: Option<String> },
    /// The snapshot that a demotion made.
    SnapshotDemotion { id: u64 },
    /// A stamp in the journal.
    Journal { sequence: u64, snapshot: Option<String> },
    /// The position of a demotion.
    JournalDemotion { at: Position },
}

impl Proof {
    pub(crate) fn to_mark(&self) -> Result<Mark> {
        let text = serde_json::to_string(self);
        text.map(Mark::new)
            .map_err(|e| Error::new(ErrorKind::Internal, "ceph.mark", "no mark").with_source(e))
    }

    /// Reads a mark and checks that it is of this image.
    pub(crate) fn of(mark: &Mark, image: &str) -> Result<Self> {
        let proof: Self = serde_json::from_str(mark.as_str()).map_err(|e| {
            Error::new(ErrorKind::Invalid, "ceph.mark", "not a mark of this provider")
                .with_field("mark")
                .with_source(e)
        })?;
        if proof.image == image {
            return Ok(proof);
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "ceph.mark_foreign",
            "the mark belongs to another image",
        )
        .with_field("mark")
        .with("image", image)
        .with("mark_image", &proof.image))
    }
}

/// What the newest shipment wrote on the image. It travels as metadata, which a replica may take over earlier than the data
/// that it speaks of: by itself it proves nothing in snapshot mode, nor in journal mode when `first_copy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Rises with every shipment of an image.
    pub(crate) sequence: u64,
    /// Id of the image that was primary: stamps of another primary, or of one thrown away since, prove nothing.
    pub(crate) origin: String,
    /// When the shipment began: every write before it is where the stamp is proved to be.
    pub(crate) at: Timestamp,
    /// Journal mode: a first copy takes metadata over at its end, later than the snapshot that it copies; a stamp made in
    /// between is then ahead of the data. Such a stamp counts only together with its barrier, a marker snapshot that is
    /// left on the image until the next shipment.
    #[serde(default)]
    pub(crate) first_copy: bool,
    /// Snapshot mode: the primary's newest snapshot at that time. A complete copy of a later one holds all before `at`.
    #[serde(default)]
    pub(crate) after: Option<u64>,
    /// The same of the shipment before, for a replica that has this stamp and not yet its data.
    #[serde(default)]
    pub(crate) earlier: Option<(u64, Timestamp)>,
}

impl Stamp {
    /// The stamp after `last`. Sequences follow the clock, so that they also rise over a change of sides.
    pub(crate) fn next(last: Option<&Self>, origin: &str, at: Timestamp) -> Self {
        let clock = u64::try_from(at.as_microsecond()).unwrap_or(0);
        let sequence = last.map_or(clock, |l| clock.max(l.sequence + 1));
        Self {
            sequence,
            origin: origin.to_owned(),
            at,
            first_copy: false,
            after: None,
            // Ids of another primary's snapshots cannot be compared.
            earlier: last.filter(|l| l.origin == origin).and_then(|l| Some((l.after?, l.at))),
        }
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::new(ErrorKind::Internal, "ceph.stamp", "no stamp").with_source(e))
    }

    /// None for anything but a stamp: whatever is under the key then proves nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|s: &Self| s.sequence < u64::MAX)
    }

    /// Snapshot mode, of a stamp found on a replica of another image: up to when all writes are in the copy of the
    /// primary's snapshot `complete`, as far as this stamp can tell.
    pub(crate) fn covered_by(&self, complete: u64) -> Option<Timestamp> {
        let this = self.after.map(|after| (after, self.at));
        let mut shipments = this.into_iter().chain(self.earlier);
        shipments.find(|(after, _)| complete > *after).map(|(_, at)| at)
    }

    /// The name of the marker snapshot of this stamp.
    pub(crate) fn marker(&self) -> String {
        format!("{MARKER_PREFIX}{:020}", self.sequence)
    }

    /// Whether this stamp, found on a replica together with the snapshots there, proves the shipment `sequence` of
    /// `origin`.
    pub(crate) fn proves(&self, sequence: u64, origin: &str, snaps: &[Snap]) -> bool {
        self.origin == origin
            && self.sequence >= sequence
            && (!self.first_copy || snaps.iter().filter_map(marker_sequence).any(|s| s >= sequence))
    }
}

/// Prefix of marker snapshots.
const MARKER_PREFIX: &str = ".neverstop-mark.";

/// The sequence of a marker snapshot; none for any other snapshot.
pub(crate) fn marker_sequence(snap: &Snap) -> Option<u64> {
    snap.is_user()
        .then(|| snap.name.strip_prefix(MARKER_PREFIX)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proof(what: What) -> Proof {
        Proof {
            image: "55178ca8".into(),
            origin: "15233ff8ec83".into(),
            what,
        }
    }

    #[test]
    fn marks_come_back_and_belong_to_one_image() {
        let at = Position {
            valid: true,
            tag: 3,
            entry: 1,
        };
        for what in [
            What::Snapshot {
                id: 10,
                snapshot: Some("p1".into()),
            },
            What::SnapshotDemotion { id: 11 },
            What::Journal {
                sequence: 7,
                snapshot: None,
            },
            What::JournalDemotion { at },
        ] {
            let proof = proof(what);
            let mark = proof.to_mark().unwrap();
            assert_eq!(Proof::of(&mark, "55178ca8").unwrap(), proof);
            assert_eq!(Proof::of(&mark, "other").unwrap_err().code(), "ceph.mark_foreign");
        }
        assert_eq!(Proof::of(&Mark::new("{}"), "x").unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn sequences_rise_even_when_the_clock_does_not() {
        let now: Timestamp = "2026-11-21T19:30:02Z".parse().unwrap();
        let first = Stamp::next(None, "a", now);
        let second = Stamp::next(Some(&first), "a", now);
        assert_eq!(second.sequence, first.sequence + 1);
        let earlier: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
        assert!(Stamp::next(Some(&second), "b", earlier).sequence > second.sequence);
    }

    #[test]
    fn a_stamp_of_a_first_copy_needs_its_marker() {
        let marker = |sequence: u64| -> Snap {
            let json = serde_json::json!({"id": 1, "name": format!("{MARKER_PREFIX}{sequence:020}"), "size": 1,
                "protected": "false", "timestamp": "", "namespace": {"type": "user"}});
            serde_json::from_value(json).unwrap()
        };
        let stamp = |first_copy| Stamp {
            sequence: 8,
            first_copy,
            ..Stamp::next(None, "a", Timestamp::UNIX_EPOCH)
        };
        assert!(stamp(false).proves(8, "a", &[]) && stamp(false).proves(7, "a", &[]));
        assert!(!stamp(false).proves(9, "a", &[]) && !stamp(false).proves(7, "b", &[]));
        assert!(!stamp(true).proves(8, "a", &[]) && !stamp(true).proves(8, "a", &[marker(7)]));
        assert!(stamp(true).proves(7, "a", &[marker(7)]) && stamp(true).proves(8, "a", &[marker(7), marker(8)]));
        assert_eq!(marker_sequence(&marker(8)), Some(8));
        assert_eq!(stamp(true).marker(), marker(8).name);
    }

    /// A copy takes metadata over at its end: the stamp may be of a shipment, or of several, that the copy does not hold.
    #[test]
    fn a_stamp_ahead_of_its_data_does_not_count() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let stamp = |last: Option<&Stamp>, origin: &str, after, second| Stamp {
            after: Some(after),
            ..Stamp::next(last, origin, at(second))
        };
        let first = stamp(None, "a", 4, 100);
        let second = stamp(Some(&first), "a", 6, 200);
        let third = stamp(Some(&second), "a", 8, 300);
        let times = |s: &Stamp| [4, 5, 7, 9].map(|complete| s.covered_by(complete).map(Timestamp::as_second));
        assert_eq!(times(&first), [None, Some(100), Some(100), Some(100)]);
        assert_eq!(times(&second), [None, Some(100), Some(200), Some(200)]);
        assert_eq!(times(&third), [None, None, Some(200), Some(300)]);
        assert_eq!(times(&stamp(Some(&third), "b", 8, 400)), [None, None, None, Some(400)]);
        assert_eq!(times(&Stamp::next(None, "a", at(1))), [None; 4]);
    }

    proptest! {
        #[test]
        fn stamps_come_back(sequence in 0..u64::MAX, origin in "[0-9a-f]{1,16}", second in 0..4_000_000_000_i64,
                            first_copy: bool, after: Option<u64>, earlier: Option<u64>) {
            let at = Timestamp::from_second(second).unwrap();
            let stamp = Stamp { sequence, origin, at, first_copy, after, earlier: earlier.map(|e| (e, at)) };
            prop_assert_eq!(Stamp::parse(&stamp.to_text().unwrap()), Some(stamp));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _any = Stamp::parse(&text);
        }
    }
}
