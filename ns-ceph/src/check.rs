//! The connection check: who answers, which pools can replicate, which rights are missing, what to tell the operator.
//!
//! Too few rights rarely fail: with `mon 'profile rbd'` alone the site's name silently becomes the fsid and the daemons'
//! health unknown. So rights are judged by what comes back.

use crate::config::PoolRef;
use crate::facts::{PoolInfo, PoolStatus, Usage, parse};
use crate::outcome::{INVALID, NOT_FOUND};
use crate::provider::Ceph;
use crate::rbd::args;
use futures::future::{join, join_all};
use ns_core::provider::StorageReport;
use ns_core::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

const MON: &str = "mon 'profile rbd-mirror, allow r'";
const OSD: &str = "osd 'profile rbd'";
const DELETE_DELAY: &str = "rbd_mirroring_delete_delay";
const MGR: &str = "mgr 'profile rbd'";

impl Ceph {
    pub(crate) async fn check_connection(&self) -> Result<StorageReport> {
        // First, and alone: whatever it says of a dead cluster is the answer.
        let fsid = self.fsid().await?;
        let mut report = StorageReport {
            storage_id: fsid.clone(),
            site_name: self.config().site_name.clone(),
            pools: vec![],
            free_bytes: BTreeMap::new(),
            peers: vec![],
            replication_healthy: true,
            missing_rights: vec![],
            warnings: vec![],
        };
        let (mut peers, mut daemons) = (BTreeSet::new(), BTreeSet::new());
        let pools = &self.config().pools;
        let found = join_all(
            pools
                .iter()
                .map(|pool| join(self.rbd.pool_info(pool), self.rbd.pool_status(pool))),
        )
        .await;
        // Peers and the site's name are the pool's; a namespace tells neither.
        let whole = |pool: &PoolRef| {
            let pool = PoolRef::new(&pool.pool);
            async move { self.rbd.pool_info(&pool).await }
        };
        let mut wholes = join_all(pools.iter().map(whole)).await.into_iter();
        for (pool, (info, status)) in pools.iter().zip(found) {
            let whole = wholes.next().and_then(Result::ok);
            match (info, status) {
                (Ok(info), Ok(Some(status))) if info.mode != "disabled" => {
                    report.pools.push(pool.to_string());
                    self.judge_pool(pool, whole.as_ref().unwrap_or(&info), &status, &fsid, &mut report);
                    peers.extend(whole.into_iter().flat_map(|w| w.peers).map(|p| p.site_name));
                    daemons.extend(status.daemons.into_iter().map(|d| d.client_id));
                }
                (Ok(_), Ok(_)) => {
                    report.replication_healthy = false;
                    report.warnings.push(format!("pool {pool} does not mirror yet"));
                }
                (Err(error), _) | (_, Err(error)) => judge_error(pool, error, &mut report)?,
            }
        }
        report.peers = peers.into_iter().filter(|p| !p.is_empty()).collect();
        self.probe_rights(&mut report).await?;
        self.probe_delete_delay(&daemons, &mut report).await?;
        self.measure(&mut report).await?;
        report.missing_rights.sort();
        report.missing_rights.dedup();
        Ok(report)
    }

    fn judge_pool(&self, pool: &PoolRef, info: &PoolInfo, status: &PoolStatus, fsid: &str, report: &mut StorageReport) {
        let configured = &self.config().site_name;
        if info.site_name == fsid && configured != fsid && !info.peers.is_empty() {
            report.missing_rights.push(MON.to_owned());
        } else if !info.site_name.is_empty() && info.site_name != *configured && info.site_name != fsid {
            report
                .warnings
                .push(format!("the cluster calls itself {}, not {configured}", info.site_name));
        }
        if info.mode == "pool" {
            report.warnings.push(format!(
                "pool {pool} mirrors every journaled image by itself (mode pool)"
            ));
        }
        if info.peers.is_empty() {
            report.warnings.push(format!("pool {pool} has no peer"));
        }
        let health = &status.summary.daemon_health;
        if health != "OK" {
            report.replication_healthy = false;
            // Up to 30 s after pairing this is how it looks.
            report
                .warnings
                .push(format!("pool {pool}: the mirror daemon's health is {health}"));
        }
    }

    /// Rights that only show when they are used.
    async fn probe_rights(&self, report: &mut StorageReport) -> Result<()> {
        let Some(pool) = self.config().pools.first() else {
            return Ok(());
        };
        let schedules = args![
            "mirror",
            "snapshot",
            "schedule",
            "ls",
            "--pool",
            &pool.pool,
            "--recursive"
        ];
        match self.rbd.read(schedules).await?.ok_or_none(&[NOT_FOUND, INVALID]) {
            Err(error) if error.kind() == ErrorKind::Denied => report.missing_rights.push(MGR.to_owned()),
            result => drop(result?),
        }
        Ok(())
    }

    /// How much room is left in the pools.
    async fn measure(&self, report: &mut StorageReport) -> Result<()> {
        let usage: Usage = match self.rbd.ceph(args!["df", "detail", "--format", "json"]).await {
            Err(error) if error.kind() == ErrorKind::Denied => {
                report.missing_rights.push(MON.to_owned());
                return Ok(());
            }
            said => parse("df", said?.as_bytes())?,
        };
        // A namespace has the room of its pool.
        let known = self
            .config()
            .pools
            .iter()
            .filter_map(|pool| Some((pool.to_string(), usage.free(&pool.pool)?)));
        report.free_bytes = known.collect();
        Ok(())
    }

    /// How long this side keeps a copy whose source was deleted: by default no time at all, whoever deleted it. Also tells
    /// whether the user may read the cluster's settings, which the daemons' health needs as well.
    async fn probe_delete_delay(&self, daemons: &BTreeSet<String>, report: &mut StorageReport) -> Result<()> {
        let mut who: Vec<_> = daemons.iter().map(|d| format!("client.rbd-mirror.{d}")).collect();
        if who.is_empty() {
            who.push("client.rbd-mirror".to_owned());
        }
        let mut shortest: Option<u64> = None;
        for daemon in who {
            let delay = match self.rbd.ceph(args!["config", "get", &daemon, DELETE_DELAY]).await {
                Err(error) if error.kind() == ErrorKind::Denied => {
                    report.missing_rights.push(MON.to_owned());
                    return Ok(());
                }
                result => result?.parse().unwrap_or(0),
            };
            shortest = Some(shortest.map_or(delay, |s| s.min(delay)));
        }
        if shortest == Some(0) {
            // A daemon's own configuration file is not seen from here.
            report.warnings.push(format!(
                "{DELETE_DELAY} is 0 in the cluster's settings: a copy here is deleted seconds after its source, whoever \
                 deletes it"
            ));
        }
        Ok(())
    }
}

fn judge_error(pool: &PoolRef, error: Error, report: &mut StorageReport) -> Result<()> {
    report.replication_healthy = false;
    match error.kind() {
        ErrorKind::Denied => report.missing_rights.push(OSD.to_owned()),
        ErrorKind::NotFound => report.warnings.push(format!("pool {pool} does not exist")),
        _ => return Err(error.with("pool", pool)),
    }
    Ok(())
}
