//! What a notification of OpenStack means: from the bytes of one message to the hints it gives. Here: the envelope that
//! oslo.messaging puts around every message; per service next door: its events. Pure: no I/O, no clock, and nothing that a
//! message may hold makes it fail otherwise than by [`Malformed`].
//!
//! An operation tells of itself with `.start` and `.end`; only the end counts. A `.start` is listened to where no end may
//! follow: an image that cannot be adopted leaves a broken volume and says no more. What tells of a failure (priority
//! `ERROR`) gives a hint to the thing that failed. What is not known is no mistake: services tell of much that recovery
//! does not need.

mod compute;
mod identity;
mod network;
mod volume;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ns_core::model::{CloudId, ResourceKind};
use ns_core::provider::{Happened, Notice};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// From so many things of one kind in one message on, the kind is read anew instead of each.
const EACH: usize = 50;
/// Longest id that is believed, in bytes.
const ID_MAX: usize = 255;

/// Why a message cannot be understood. Nothing of the message is kept: some hold what is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Not JSON at all.
    Json,
    /// JSON, but no message of oslo's: the id, the kind of event or the time is missing or of another type.
    Form,
    /// The time is none.
    Time,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "it is not JSON",
            Self::Form => "it has not the form of a notification",
            Self::Time => "its time is none",
        })
    }
}

/// Version 2 of oslo's envelope: the message is a text in it.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "oslo.message")]
    message: String,
}

#[derive(Deserialize)]
struct Message {
    message_id: String,
    event_type: String,
    timestamp: String,
    #[serde(default)]
    priority: String,
    #[serde(default)]
    payload: Value,
}

/// One thing that a message hints at.
type Hint = (Happened, ResourceKind, Option<CloudId>);

/// What the body of one message says; nothing when it is of no interest (EVT-02 … EVT-11, EVT-13).
///
/// A message that hints at several things gives each notice an id of its own: the message's for the first, with a number
/// behind it for the others.
pub(crate) fn read(body: &[u8]) -> Result<Vec<Notice>, Malformed> {
    let outer: Value = serde_json::from_slice(body).map_err(|_| Malformed::Json)?;
    let message = match Envelope::deserialize(&outer) {
        Ok(envelope) => serde_json::from_str(&envelope.message).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => Malformed::Form,
            _ => Malformed::Json,
        })?,
        // The driver `messaging`, without the 2 behind it, sends the message bare.
        Err(_) => Message::deserialize(outer).map_err(|_| Malformed::Form)?,
    };
    notices(&message)
}

fn notices(message: &Message) -> Result<Vec<Notice>, Malformed> {
    // Every notice of the message has a copy of it.
    if message.message_id.is_empty() || message.message_id.len() > ID_MAX {
        return Err(Malformed::Form);
    }
    let at = time(&message.timestamp).ok_or(Malformed::Time)?;
    let mut found: Vec<Hint> = Vec::new();
    for hint in hints(message) {
        if !found.contains(&hint) {
            found.push(hint);
        }
    }
    let notice = |(nth, (happened, kind, resource)): (usize, Hint)| Notice {
        id: match nth {
            0 => message.message_id.clone(),
            nth => format!("{}.{nth}", message.message_id),
        },
        at,
        happened,
        kind,
        resource,
    };
    Ok(found.into_iter().enumerate().map(notice).collect())
}

fn hints(message: &Message) -> Vec<Hint> {
    let (event, payload) = (message.event_type.as_str(), &message.payload);
    if message.priority.eq_ignore_ascii_case("error") || event.ends_with(".error") {
        return failed(payload);
    }
    if event.ends_with(".start") && event != volume::MANAGE_START {
        return Vec::new();
    }
    let event = event.strip_suffix(".end").unwrap_or(event);
    let Some((family, what)) = event.split_once('.') else {
        return Vec::new();
    };
    match family {
        "identity" => identity::hints(what, payload),
        "network" | "subnet" | "router" | "floatingip" | "port" | "security_group" | "security_group_rule" => {
            network::hints(family, what, payload)
        }
        "compute" | "instance" | "aggregate" | "service" | "flavor" | "keypair" | "servergroup" | "server_group" => {
            compute::hints(family, what, payload)
        }
        "volume" | "snapshot" | "volume_type" | "volume_type_extra_specs" => volume::hints(family, what, payload),
        _ => Vec::new(),
    }
}

/// What an operation that failed was about. Nova names such an event after the function that failed and puts that
/// function's arguments into it; there is no list of them.
fn failed(payload: &Value) -> Vec<Hint> {
    use ResourceKind::{Instance, Volume, VolumeSnapshot};
    const PLACES: [(ResourceKind, &[&str]); 9] = [
        (Instance, &["instance_id"]),
        (Instance, &["nova_object.data", "uuid"]),
        (Instance, &["nova_object.data", "instance_uuid"]),
        (Instance, &["args", "instance", "uuid"]),
        (Instance, &["request_spec", "instance_properties", "uuid"]),
        (Volume, &["volume_id"]),
        (Volume, &["nova_object.data", "volume_id"]),
        (Volume, &["request_spec", "volume_id"]),
        (VolumeSnapshot, &["snapshot_id"]),
    ];
    let at = |(kind, path): &(ResourceKind, &[&str])| Some((Happened::Changed, *kind, Some(id(payload, path)?)));
    PLACES.iter().filter_map(at).collect()
}

/// Which kinds the messages of an exchange are about, by the name it usually has: when nobody knows what was said there,
/// these are to be read anew. Of an exchange that is not known, every kind.
pub(super) fn kinds(exchange: &str) -> &'static [ResourceKind] {
    use ResourceKind as Kind;
    match exchange {
        "keystone" => &[Kind::Tenant],
        "neutron" => &[
            Kind::Network,
            Kind::Subnet,
            Kind::Router,
            Kind::FloatingIp,
            Kind::Port,
            Kind::SecurityGroup,
        ],
        "nova" => &[
            Kind::AvailabilityZone,
            Kind::Hypervisor,
            Kind::Flavor,
            Kind::Keypair,
            Kind::ServerGroup,
            Kind::Instance,
        ],
        "cinder" => &[Kind::VolumeType, Kind::Volume, Kind::VolumeSnapshot],
        _ => Kind::ALL,
    }
}

/// What the last word of an event says, where it says just that.
fn change(word: &str) -> Option<Happened> {
    match word {
        "create" | "created" | "import" => Some(Happened::Added),
        "update" | "updated" => Some(Happened::Changed),
        "delete" | "deleted" => Some(Happened::Removed),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str()
}

/// The id at this place, unless it cannot be one.
fn id(value: &Value, path: &[&str]) -> Option<CloudId> {
    let id = text(value, path)?;
    let good = !id.is_empty() && id.len() <= ID_MAX && id != "." && id != ".." && !id.chars().any(char::is_control);
    good.then(|| id.into())
}

/// Oslo writes Python's `str` of a time in UTC: a blank in the middle, and no zone.
fn time(text: &str) -> Option<Timestamp> {
    let zoned = || text.parse::<Timestamp>().ok();
    let bare = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    zoned().or_else(bare)
}

#[cfg(test)]
mod tests;
