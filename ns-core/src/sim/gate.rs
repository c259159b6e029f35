//! The way of every provider call into the world: latency, faults, the condition of the site, the record.

use super::faults::{Call, Effect, Part, Stale};
use super::world::{Condition, SimWorld, World};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use secrecy::SecretString;
use std::fmt::Display;
use std::time::Duration;

/// The entrance to one half of a site.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) world: SimWorld,
    pub(crate) site: usize,
    pub(crate) part: Part,
    /// What it shows to be let in.
    pub(crate) password: Option<SecretString>,
}

impl Gate {
    /// Makes a call: half of its latency, then `work` in one indivisible moment, then the other half. Dropped before that
    /// moment it did nothing, dropped after it the work is done.
    pub(crate) async fn call<T: Send>(
        &self,
        verb: &'static str,
        target: impl Display + Send,
        takes: Duration,
        work: impl FnOnce(&mut World, Timestamp) -> Result<T> + Send,
    ) -> Result<T> {
        self.look(verb, target, takes, |world, now, _| work(world, now)).await
    }

    /// The same for a look, which may have to answer from what was true before.
    pub(crate) async fn look<T: Send>(
        &self,
        verb: &'static str,
        target: impl Display + Send,
        takes: Duration,
        work: impl FnOnce(&mut World, Timestamp, Option<&Stale>) -> Result<T> + Send,
    ) -> Result<T> {
        let (index, verdict) = self.world.with(|world, at| {
            let site = world.sites[self.site].name.clone();
            let calls = &mut world.faults.calls;
            calls.push(Call {
                at,
                site,
                part: self.part,
                verb,
                target: target.to_string(),
                outcome: None,
            });
            let index = calls.len() - 1;
            (index, world.judge(self.site, self.part, verb))
        });
        let stale = verdict.stale;
        let work = |world: &mut World, now: Timestamp| work(world, now, stale.as_deref());
        let result = self.suffer(verb, takes, verdict.effect, work).await;
        let outcome = result.as_ref().map(|_| ()).map_err(Error::kind);
        if let Some(call) = self.world.lock().faults.calls.get_mut(index) {
            call.outcome = Some(outcome);
        }
        result
    }

    async fn suffer<T: Send>(
        &self,
        verb: &str,
        takes: Duration,
        effect: Option<Effect>,
        work: impl FnOnce(&mut World, Timestamp) -> Result<T> + Send,
    ) -> Result<T> {
        let (limit, unreachable) = self
            .world
            .with(|w, _| (w.tuning.request_limit, w.tuning.storage_timeout));
        let clock = &self.world.clock;
        let takes = match effect {
            Some(Effect::Delay(more)) => takes + more,
            _ => takes,
        };
        let lost = || {
            Error::new(
                ErrorKind::Timeout,
                "sim.lost",
                format!("no answer to {verb} within {limit:?}"),
            )
            .with_remedy("look whether it was done")
        };
        if let Some(Effect::Error(kind)) = &effect {
            clock.sleep(takes / 2).await;
            return Err(Error::new(
                *kind,
                "sim.injected",
                format!("{verb} failed as a test wants it"),
            ));
        }
        if !self.reachable() {
            clock.sleep(unreachable).await;
            return Err(self.unavailable());
        }
        match effect {
            Some(Effect::Hang) => return std::future::pending().await,
            Some(Effect::AcceptedNeverDone) => {
                clock.sleep(limit).await;
                return Err(lost());
            }
            _ => {}
        }
        clock.sleep(takes / 2).await;
        let done = self.world.with(|world, now| {
            let access = &world.sites[self.site].access;
            let known = access.lets_in(self.part, self.password.as_ref());
            self.is_up(world).then(|| match known {
                true => work(world, now),
                false => Err(Error::new(
                    ErrorKind::Unauthenticated,
                    "sim.unauthenticated",
                    "the request requires authentication",
                )),
            })
        });
        let Some(result) = done else {
            clock.sleep(unreachable).await;
            return Err(self.unavailable());
        };
        match effect {
            Some(Effect::DoneThenHang) => return std::future::pending().await,
            Some(Effect::TimeoutButDone) => {
                clock.sleep(limit).await;
                return Err(lost());
            }
            _ => {}
        }
        clock.sleep(takes - takes / 2).await;
        if self.reachable() { result } else { Err(lost()) }
    }

    /// A look that is part of a call that has begun already.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&World, Timestamp) -> Result<T>) -> Result<T> {
        let seen = self
            .world
            .with(|world, now| self.is_up(world).then(|| look(world, now)));
        seen.unwrap_or_else(|| Err(self.unavailable()))
    }

    fn reachable(&self) -> bool {
        self.world.with(|world, _| self.is_up(world))
    }

    fn is_up(&self, world: &World) -> bool {
        world.sites[self.site].condition == Condition::Up && !world.sites[self.site].silent.contains(&self.part)
    }

    fn unavailable(&self) -> Error {
        let site = self.world.with(|world, _| world.sites[self.site].name.clone());
        Error::new(
            ErrorKind::Unavailable,
            "sim.unreachable",
            format!("the {:?} of site {site} does not answer", self.part),
        )
    }
}
