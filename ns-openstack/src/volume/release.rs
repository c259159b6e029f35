//! Release: the cloud forgets a volume and its image stays as it is.

use super::{act, settle, show};
use crate::error::Service::Volume;
use crate::paging::{Item, List, Paging};
use crate::poll::Poll;
use crate::session::Session;
use ns_core::model::CloudId;
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

/// Lets go of a volume: the cloud forgets it, the image stays as it is.
pub(crate) async fn release(session: &Session, volume: &CloudId) -> Result<()> {
    let id = volume.as_str();
    let timing = &session.config.timing;
    let mut poll = Poll::new(timing);
    let (mut asked, mut settled) = (false, false);
    while let Some(record) = show(session, id).await? {
        let refused = |code: &str, message: &str| {
            Error::new(ErrorKind::Conflict, format!("volume.{code}"), message)
                .with("volume", id)
                .with("status", &record.status)
        };
        match record.status.as_str() {
            "reserved" if !settled => {
                settle(session, id).await?;
                settled = true;
                continue;
            }
            // On its way from or to a server: soon it is one or the other.
            "detaching" | "attaching" | "reserved" if poll.elapsed() < timing.detach_patience => {}
            _ if !record.attachments.is_empty() => {
                return Err(refused("attached", "the volume is attached to a server"));
            }
            "in-use" | "detaching" | "attaching" | "reserved" | "maintenance" => {
                return Err(refused("in_use", "the volume is in use"));
            }
            "available" | "error" | "error_restoring" | "error_extending" | "error_managing" => {
                if asked && record.status.starts_with("error") && poll.elapsed() >= timing.detach_patience {
                    let message = "the volume service could not let go of the volume";
                    return Err(Error::new(ErrorKind::Rejected, "volume.unmanage", message)
                        .with("volume", id)
                        .with("status", &record.status));
                }
                if has_snapshots(session, id).await? {
                    return Err(refused("snapshots", "the volume has snapshots in the cloud"));
                }
                match act(session, id, json!({"os-unmanage": {}})).await {
                    Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                    answer => answer.map_err(|e| e.with("volume", id))?,
                }
                asked = true;
            }
            // Left over from an attempt to delete or to let go of an image that is a replica now: no work is under way.
            "error_deleting" | "error_unmanaging" => {
                act(session, id, json!({"os-reset_status": {"status": "available"}})).await?;
            }
            // creating, unmanaging, deleting, retyping ..: it will end in one of the above, or be gone.
            _ => {}
        }
        poll.pause().await;
    }
    Ok(())
}

async fn has_snapshots(session: &Session, id: &str) -> Result<bool> {
    #[derive(Deserialize)]
    struct Snapshot {
        id: String,
    }
    impl Item for Snapshot {
        fn marker(&self) -> &str {
            &self.id
        }
    }
    let list = List::new(Volume, &["snapshots"], "snapshots")
        .with("all_tenants", "True")
        .with("volume_id", id);
    let found: Vec<Snapshot> = list.paging(Paging::Whole).all(session).await?;
    Ok(!found.is_empty())
}
