//! What the fuzz targets call (`cargo xtask fuzz`): what a command printed, or a peer or an image holds, is read, and asked
//! all that the provider asks of it. Whatever the bytes are, nothing here may panic.

use crate::facts::{self, Child, ImageUse, Info, MirrorStatus, PoolInfo, PoolStatus, Snap, Usage, parse};
use crate::journal::{Journal, directory};
use crate::mark::{Proof, Stamp, marker_sequence};
use crate::outcome::words;
use crate::pairing::read_token;
use crate::schedule::schedules;
use crate::spec::ImageSpec;
use jiff::Timestamp;
use ns_core::provider::{Mark, Role};
use std::collections::BTreeMap;

/// Answers in JSON, and what this provider itself left in JSON.
pub fn json(bytes: &[u8]) {
    if let Ok(info) = parse::<Info>("fuzz", bytes) {
        let _ = (info.is_promoting(), info.mode(), info.global_id());
        let _ = info.parent.map(|parent| parent.spec());
    }
    let snaps: Vec<Snap> = parse("fuzz", bytes).unwrap_or_default();
    points(&snaps);
    if let Ok(one) = parse("fuzz", bytes) {
        status(&one);
    }
    if let Ok(pool) = parse::<PoolStatus>("fuzz", bytes) {
        pool.images.iter().for_each(status);
    }
    let _ = parse::<Usage>("fuzz", bytes).map(|usage| usage.free("volumes"));
    let _ = (parse::<PoolInfo>("fuzz", bytes), parse::<ImageUse>("fuzz", bytes));
    let _ = (parse::<Vec<Child>>("fuzz", bytes), parse::<Vec<String>>("fuzz", bytes));
    let _ = parse::<BTreeMap<String, String>>("fuzz", bytes);
    let _ = schedules(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = Proof::of(&Mark::new(text.as_ref()), "image");
    if let Some(stamp) = Stamp::parse(&text) {
        let again = stamp.to_text().ok().and_then(|text| Stamp::parse(&text));
        assert_eq!(again.as_ref(), Some(&stamp), "a stamp is read as it was written");
        let next = Stamp::next(Some(&stamp), &stamp.origin, stamp.at);
        assert!(next.sequence > stamp.sequence, "sequences rise");
        let _ = (
            stamp.marker(),
            stamp.covered_by(u64::MAX),
            stamp.proves(1, "image", &snaps),
        );
    }
}

fn points(snaps: &[Snap]) {
    for snap in snaps {
        let _ = (snap.time(), snap.is_protected(), snap.is_shown(), marker_sequence(snap));
    }
    let points = facts::mirror_points(snaps);
    let _ = (facts::newest_copy(&points), facts::complete_of(&points));
    let _ = (
        facts::has_a_copy(&points),
        facts::ending(&points),
        facts::is_unfollowed(&points),
    );
    let _ = [Role::Primary, Role::Secondary].map(|role| facts::last_demotion(&points, role));
}

fn status(status: &MirrorStatus) {
    let _ = (status.reported_at(), status.peer_stopped_since(Timestamp::UNIX_EPOCH));
    let _ = (status.is_split_brain(), status.replaying().bytes_behind());
    assert!(
        status.copy_percent().is_none_or(|percent| percent <= 100),
        "a part of a whole"
    );
}

/// Answers in text: the keys of objects, a failed command's words, an offer to become peers, the name of an image.
pub fn text(bytes: &[u8]) {
    if let Ok(journal) = Journal::parse(bytes) {
        let _ = (
            journal.last_demotion("peer"),
            journal.is_demoted(),
            journal.is_unfollowed(),
        );
        let _ = (journal.has_replayed(), journal.peers_complete(), journal.is_copied());
    }
    let _ = directory(bytes);
    let _ = words(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = read_token(&text);
    if let Ok(spec) = text.parse::<ImageSpec>() {
        assert_eq!(
            spec.to_string().parse().ok(),
            Some(spec),
            "a name is read as it was written"
        );
    }
}
