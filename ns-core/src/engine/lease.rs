//! Owning a job: the lease that says which engine runs it (OPEN-24).
//!
//! A lease has a fencing token, which goes into every commit of the job: an engine that lost the lease while it slept, was
//! stopped or was cut off can write nothing any more, whatever its clock says. A keeper beside the runner renews the lease, so
//! that a runner that waits for a cloud does not lose it. What the token cannot stop is a call to a cloud: none is begun once
//! the lease has ended by this engine's clock, and one that was under way is made harmless by its own token (`provider`).

use super::Inner;
use crate::model::JobId;
use crate::ports::Clock;
use crate::store::{Lease, Write};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The lease of a job that this engine runs. Dropped without [`JobLease::give_back`] it is left to its end.
#[derive(Debug)]
pub(super) struct JobLease {
    inner: Arc<Inner>,
    name: String,
    token: u64,
    /// When it ends unless it is renewed; none when somebody else has it.
    until: watch::Receiver<Option<Timestamp>>,
    /// Dropped, or told so, the keeper stops.
    stop: watch::Sender<()>,
    keeper: JoinHandle<()>,
}

/// The name of a job's lease.
fn name(job: &JobId) -> String {
    format!("job/{job}")
}

/// Who has the lease on a job, ended or not.
pub(crate) async fn holder(inner: &Inner, job: &JobId) -> Result<Option<Lease>> {
    inner.store.holder(&name(job)).await
}

/// Whether another engine has the job now.
pub(crate) fn is_elsewhere(inner: &Inner, lease: &Lease) -> bool {
    lease.owner != inner.node && lease.until > inner.clock.now()
}

impl JobLease {
    /// Takes the lease when it is free, has ended, or was held by an earlier engine of this node's name; none when another node
    /// has it.
    pub(super) async fn take(inner: &Arc<Inner>, job: &JobId) -> Result<Option<Self>> {
        let (inner, name) = (inner.clone(), name(job));
        // An earlier engine of this name may not be quite dead: it must not share the token.
        inner.store.release_lease(&name, &inner.node).await?;
        let Some((token, until)) = renew(&inner, &name).await? else {
            return Ok(None);
        };
        let (told, until) = watch::channel(Some(until));
        let (stop, stopped) = watch::channel(());
        let keeper = inner
            .runtime
            .spawn(keep(inner.clone(), name.clone(), token, told, stopped));
        Ok(Some(Self {
            inner,
            name,
            token,
            until,
            stop,
            keeper,
        }))
    }

    /// The write that makes a commit fail once the lease is lost.
    pub(super) fn fence(&self) -> Write {
        Write::Held {
            lease: self.name.clone(),
            token: self.token,
        }
    }

    /// To see whether the lease lasts: see [`held`].
    pub(super) fn until(&self) -> watch::Receiver<Option<Timestamp>> {
        self.until.clone()
    }

    /// # Errors
    /// `Conflict` (`store.lease`) when somebody else has it.
    pub(super) fn check(&self) -> Result<()> {
        match *self.until.borrow() {
            Some(_) => Ok(()),
            None => Err(lost()),
        }
    }

    /// Ends when somebody else has it.
    pub(super) async fn lost(&mut self) {
        if self.until.wait_for(Option::is_none).await.is_err() {
            // The keeper is gone, and with it whoever could tell.
            std::future::pending::<()>().await;
        }
    }

    /// Gives it back, unless it was lost: then it is its new owner's.
    pub(super) async fn give_back(self) -> Result<()> {
        drop(self.stop);
        // Its last renewal must not come after the lease was given back. A panic in there has been told already.
        let _ = self.keeper.await;
        if self.until.borrow().is_none() {
            return Ok(());
        }
        self.inner.store.release_lease(&self.name, &self.inner.node).await
    }
}

/// Waits until a lease that is watched has not ended by this engine's clock. A store that was slow to renew it costs time
/// then, not an attempt.
///
/// # Errors
/// `Conflict` (`store.lease`) when somebody else has it, or nobody renews it any more.
async fn lasting(until: &mut watch::Receiver<Option<Timestamp>>, clock: &dyn Clock) -> Result<()> {
    match until
        .wait_for(|until| until.is_none_or(|until| clock.now() < until))
        .await
    {
        Ok(until) if until.is_some() => Ok(()),
        _ => Err(lost()),
    }
}

/// Does a task's work while the lease lasts by this engine's clock. An engine that stood still goes on with nothing before it
/// has seen that the job is still its own.
pub(super) async fn held<T>(
    mut until: watch::Receiver<Option<Timestamp>>,
    clock: &dyn Clock,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        lasting(&mut until, clock).await?;
        let step = poll_fn(|context| match *until.borrow() {
            Some(until) if clock.now() < until => work.as_mut().poll(context).map(Some),
            _ => Poll::Ready(None),
        });
        if let Some(done) = step.await {
            return done;
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Conflict, "store.lease", "another engine runs this job now")
}

async fn renew(inner: &Inner, name: &str) -> Result<Option<(u64, Timestamp)>> {
    let now = inner.clock.now();
    let until = now.saturating_add(inner.settings().lease).unwrap_or(Timestamp::MAX);
    let token = inner.store.lease(name, &inner.node, now, until).await?;
    Ok(token.map(|token| (token, until)))
}

async fn keep(
    inner: Arc<Inner>,
    name: String,
    token: u64,
    told: watch::Sender<Option<Timestamp>>,
    mut stop: watch::Receiver<()>,
) {
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = inner.clock.sleep(inner.settings().lease / 3) => {}
        }
        match renew(&inner, &name).await {
            Ok(Some((found, until))) if found == token => {
                told.send_replace(Some(until));
            }
            Ok(_) => {
                told.send_replace(None);
                return;
            }
            // The next turn comes before the lease ends, and the one after; then calls to clouds wait.
            Err(error) => tracing::warn!(lease = name, %error, "the lease could not be renewed"),
        }
    }
}
