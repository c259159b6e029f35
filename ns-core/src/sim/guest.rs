//! What a guest keeps on its disks, so that a test can say *which* data a recovered server holds: a marker, a boot counter
//! and its last heartbeat, each in a sector of its own, like the lab's guest.

use jiff::Timestamp;

const SECTOR: usize = 512;
/// Bytes that hold all of it.
pub(crate) const AREA: usize = 4 * SECTOR;
const SYSTEM: &[u8] = b"SIMGUEST";
pub(crate) const BOOTS_AT: u64 = 2 * SECTOR as u64;
pub(crate) const BEAT_AT: u64 = 3 * SECTOR as u64;

/// A guest's heartbeat: written to all its disks, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beat {
    /// In which boot.
    pub boot: u64,
    /// Counts up within a boot.
    pub seq: u64,
    /// When, in seconds since 1970.
    pub at: i64,
}

/// What is on a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestDisk {
    /// Whether there is a system to boot.
    pub system: bool,
    /// The text by which the data is recognised; empty when there is none.
    pub marker: String,
    /// How often it was booted from.
    pub boots: u64,
    /// The last heartbeat.
    pub beat: Option<Beat>,
}

fn sector(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(SECTOR, 0);
    bytes
}

impl GuestDisk {
    /// The bytes of a new disk.
    pub(crate) fn format(system: bool, marker: &str) -> Vec<u8> {
        let system = if system { SYSTEM.to_vec() } else { vec![] };
        let mut bytes = system;
        bytes.resize(SECTOR, 0);
        bytes.extend(sector(marker));
        bytes
    }

    pub(crate) fn boots_sector(boots: u64) -> Vec<u8> {
        sector(&boots.to_string())
    }

    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = |index: usize| {
            let sector = bytes.get(index * SECTOR..(index + 1) * SECTOR).unwrap_or_default();
            let end = sector.iter().position(|b| *b == 0).unwrap_or(sector.len());
            String::from_utf8_lossy(&sector[..end]).into_owned()
        };
        Self {
            system: bytes.starts_with(SYSTEM),
            marker: text(1),
            boots: text(2).parse().unwrap_or_default(),
            beat: Beat::parse(&text(3)),
        }
    }
}

impl Beat {
    pub(crate) fn new(boot: u64, seq: u64, at: Timestamp) -> Self {
        let at = at.as_second();
        Self { boot, seq, at }
    }

    pub(crate) fn sector(self) -> Vec<u8> {
        sector(&format!("{} {} {}", self.boot, self.seq, self.at))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            boot: parts.next()?.parse().ok()?,
            seq: parts.next()?.parse().ok()?,
            at: parts.next()?.parse().ok()?,
        })
    }
}
