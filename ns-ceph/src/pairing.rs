//! Becoming peers: one side makes an offer (Ceph: a bootstrap token, which holds the key of a user made for it), the other
//! imports it; that makes both sides peers of each other.
//!
//! The token reaches the command through standard input and is in no argument, file or message. Making one creates a Ceph
//! user and therefore needs the configured administrator; nothing else here does on every release.

use crate::command::{Effect, Input};
use crate::config::PoolRef;
use crate::outcome::INVALID;
use crate::provider::Ceph;
use crate::rbd::{As, args};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ns_core::provider::PairingOffer;
use ns_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What is looked at in a token; the key is left alone.
#[derive(Deserialize)]
pub(crate) struct TokenContent {
    fsid: String,
}

impl Ceph {
    pub(crate) async fn make_offer(&self) -> Result<PairingOffer> {
        let site = &self.config().site_name;
        self.enable_pools().await?;
        let mut token = Vec::new();
        for pool in self.whole_pools() {
            // The same token for every pool: user and address are the cluster's.
            let call = args![
                "mirror",
                "pool",
                "peer",
                "bootstrap",
                "create",
                "--site-name",
                site,
                &pool
            ];
            let done = self.rbd.run(As::Admin, Effect::Change, call, None).await?;
            if done.code == Some(13) && self.config().admin.is_none() {
                return Err(done
                    .error()
                    .with_remedy("name a user that may create Ceph users in the configuration (admin)"));
            }
            token = done.ok()?;
        }
        let token = String::from_utf8_lossy(&token).trim().to_owned();
        read_token(&token)?;
        Ok(PairingOffer {
            site_name: site.clone(),
            secret: SecretString::from(token),
        })
    }

    pub(crate) async fn accept_offer(&self, offer: &PairingOffer) -> Result<()> {
        let token = offer.secret.expose_secret().trim();
        let content = read_token(token)?;
        if content.fsid == self.fsid().await? {
            return Err(rejected("ceph.pairing_self", "the offer was made by this very cluster"));
        }
        let site = &self.config().site_name;
        if offer.site_name == *site {
            return Err(rejected("ceph.pairing_name", "both sides have the same site name"));
        }
        self.enable_pools().await?;
        for pool in self.whole_pools() {
            self.check_peers(&pool, &offer.site_name).await?;
            let call = args![
                "mirror",
                "pool",
                "peer",
                "bootstrap",
                "import",
                "--site-name",
                site,
                "--direction",
                "rx-tx",
                &pool,
                "-"
            ];
            let input = Some(Input(token.as_bytes().to_vec()));
            let done = self.rbd.run(As::Admin, Effect::Change, call, input).await?;
            if done.code == Some(INVALID) {
                // A second peer is declined like an unreadable offer; which it was is seen from the peers.
                self.check_peers(&pool, &offer.site_name).await?;
            }
            done.ok()?;
            let peers = self.rbd.pool_info(&PoolRef::new(&pool)).await?.peers;
            if !peers.iter().any(|p| p.site_name == offer.site_name) {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "ceph.not_paired",
                    "the peer is not there after pairing",
                )
                .with("pool", &pool));
            }
        }
        Ok(())
    }

    async fn check_peers(&self, pool: &str, site: &str) -> Result<()> {
        let peers = self.rbd.pool_info(&PoolRef::new(pool)).await?.peers;
        match peers.iter().find(|p| p.site_name != site) {
            None => Ok(()),
            Some(other) => Err(
                Error::new(ErrorKind::Conflict, "ceph.other_peer", "the pool has another peer")
                    .with("pool", pool)
                    .with("peer", &other.site_name)
                    .with_remedy("remove that peer first"),
            ),
        }
    }

    /// Mirroring on for the pools, image by image; again is nothing.
    async fn enable_pools(&self) -> Result<()> {
        let site = &self.config().site_name;
        for pool in &self.whole_pools() {
            let call = args!["mirror", "pool", "enable", pool, "image", "--site-name", site];
            self.rbd.run(As::Admin, Effect::Change, call, None).await?.ok()?;
        }
        for pool in self.config().pools.iter().filter(|p| p.namespace.is_some()) {
            let call = args!["mirror", "pool", "enable", pool.to_string(), "image"];
            self.rbd.run(As::Admin, Effect::Change, call, None).await?.ok()?;
        }
        Ok(())
    }

    /// Peers belong to pools, not to namespaces.
    fn whole_pools(&self) -> BTreeSet<String> {
        self.config().pools.iter().map(|p| p.pool.clone()).collect()
    }

    pub(crate) async fn fsid(&self) -> Result<String> {
        self.rbd.ceph(args!["fsid"]).await
    }
}

pub(crate) fn read_token(token: &str) -> Result<TokenContent> {
    // The cause is dropped: it could quote the token.
    let json = STANDARD
        .decode(token)
        .map_err(|_| rejected("ceph.pairing_offer", "the offer cannot be read"))?;
    serde_json::from_slice(&json).map_err(|_| rejected("ceph.pairing_offer", "the offer cannot be read"))
}

fn rejected(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Rejected, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_without_being_told() {
        let token = STANDARD.encode(
            r#"{"fsid":"a0293cbc","client_id":"rbd-mirror-peer","key":"AQBsX8xnAAAAABAAlFq2s8o5XkqmFyB1Zp3oHA==","mon_host":"x"}"#,
        );
        assert_eq!(read_token(&token).unwrap().fsid, "a0293cbc");
        for broken in ["", "garbage!", &token[4..], &STANDARD.encode("{}")] {
            let error = read_token(broken).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(broken.is_empty() || !format!("{error:?}").contains(broken));
        }
    }
}
