//! Reservations that nobody will use. Nova reserves a server's volumes before it knows whether it will make the server; a
//! request that comes to nothing (two of them raced for the volumes, the API died) can leave a reservation by a server that
//! never was, and the volume stays `reserved` for ever.

use super::show;
use crate::error::Service::{Compute, Volume};
use crate::paging::{Item, List};
use crate::poll::Poll;
use crate::session::Session;
use ns_core::provider::TOKEN_KEY;
use ns_core::{ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

/// First microversion that lists attachments and deletes one by its id.
const ATTACHMENTS: &str = "3.27";

#[derive(Debug, Deserialize)]
struct Attachment {
    id: String,
    #[serde(default)]
    status: String,
    instance: Option<String>,
}

impl Item for Attachment {
    fn marker(&self) -> &str {
        &self.id
    }
}

/// Waits until a volume of ours is reserved no more. A reservation is lifted when there has been no server behind it for
/// `reservation_patience`: until then it may be of a request that is still under way. A server that is there keeps its
/// reservation, and the wait ends.
pub(crate) async fn settle(session: &Session, volume: &str) -> Result<()> {
    let mut poll = Poll::new(&session.config.timing);
    loop {
        let Some(record) = show(session, volume).await? else {
            return Ok(());
        };
        if record.status != "reserved" || !record.metadata.contains_key(TOKEN_KEY) {
            return Ok(());
        }
        let abandoned = abandoned(session, volume).await?;
        if abandoned.is_empty() {
            return Ok(());
        }
        if poll.elapsed() >= session.config.timing.reservation_patience {
            for attachment in &abandoned {
                tracing::info!(
                    volume,
                    attachment,
                    "a reservation by a server that does not exist is lifted"
                );
                let call = session
                    .delete(Volume, &["attachments", attachment])
                    .version(ATTACHMENTS);
                match call.done().await {
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    answer => answer?,
                }
            }
            return Ok(());
        }
        poll.pause().await;
    }
}

/// The reservations of a volume by servers that do not exist.
async fn abandoned(session: &Session, volume: &str) -> Result<Vec<String>> {
    let list = List::new(Volume, &["attachments"], "attachments")
        .version(ATTACHMENTS)
        .with("all_tenants", "True")
        .with("volume_id", volume);
    let reservations: Vec<Attachment> = list.all(session).await?;
    let mut abandoned = Vec::new();
    for reservation in reservations.into_iter().filter(|a| a.status == "reserved") {
        let Some(server) = &reservation.instance else {
            continue;
        };
        let found: Option<Value> = session.get(Compute, &["servers", server]).found().await?;
        if found.is_none() {
            abandoned.push(reservation.id);
        }
    }
    Ok(abandoned)
}
