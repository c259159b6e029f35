//! Waiting, while several parts of a cloud come up at once: each wait ends early when a process it depends on has
//! ended, or when another part has failed. Says on standard output what is done, with the seconds since the beginning.
use crate::lab::{command::wait_until, process::Supervisor, state::State};
use anyhow::{Error, Result, anyhow};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

/// Far beyond what it takes on an idle machine (two minutes): builds and tests may take most of its cores.
const DEADLINE: Duration = Duration::from_secs(600);

/// One start of the clouds.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    supervisor: Supervisor<'a>,
    begun: Instant,
    failed: AtomicBool,
}

impl<'a> Progress<'a> {
    /// Begins now.
    pub(crate) fn new(state: &'a State) -> Self {
        Self {
            supervisor: Supervisor::new(state),
            begun: Instant::now(),
            failed: AtomicBool::new(false),
        }
    }

    /// The supervisor of the lab.
    pub(crate) fn supervisor(&self) -> &Supervisor<'a> {
        &self.supervisor
    }

    /// Prints what has been reached.
    pub(crate) fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    /// Waits until `done` says `Some`. An error of `done` means "not yet".
    ///
    /// # Errors
    /// The deadline passed, a process named in `needs` ended, or another part of this start failed.
    pub(crate) fn wait<T>(&self, what: &str, needs: &[&str], mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        wait_until(what, DEADLINE, || {
            if self.failed.load(Ordering::Relaxed) {
                return Ok(Some(Err(anyhow!("{what}: given up, another part failed"))));
            }
            if let Some(error) = needs.iter().find_map(|name| self.supervisor.must_live(name).err()) {
                return Ok(Some(Err(error)));
            }
            Ok(done()?.map(Ok))
        })?
    }

    /// Runs the parts at once and returns the first error that made one of them fail.
    pub(crate) fn together<'scope, 'env>(&'env self, parts: Vec<Part<'env>>) -> Result<()>
    where
        'env: 'scope,
    {
        thread::scope(|scope| {
            let running: Vec<ScopedJoinHandle<'_, Result<()>>> = parts
                .into_iter()
                .map(|part| scope.spawn(move || part().inspect_err(|_| self.failed.store(true, Ordering::Relaxed))))
                .collect();
            let mut first: Option<Error> = None;
            for handle in running {
                if let Err(error) = handle
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a part of the start panicked")))
                {
                    // the others only gave up because of the first
                    let gave_up = format!("{error:#}").contains("given up, another part failed");
                    if first.is_none() || !gave_up {
                        first = Some(match first.take() {
                            Some(old) if !format!("{old:#}").contains("given up") => old,
                            _ => error,
                        });
                    }
                }
            }
            first.map_or(Ok(()), Err)
        })
    }
}

/// A part of a start.
pub(crate) type Part<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;
