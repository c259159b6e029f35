//! Running a table of cases, and the few words that cases are written in.

use super::fixture::broken;
use super::{Outcome, Report};
use crate::ports::{Clock, with_deadline};
use crate::{ErrorKind, Result};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// A rule that a provider keeps, with a function that finds out whether it does.
pub struct Case<B: ?Sized> {
    /// Short, stable name.
    pub name: &'static str,
    /// Where the rule comes from: requirement id, doc of the port, or section of the measured facts.
    pub source: &'static str,
    pub(super) run: for<'a> fn(&'a B) -> BoxFuture<'a, Result<Outcome>>,
}

impl<B: ?Sized> Debug for Case<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.source)
    }
}

/// Writes a table of cases; each function is an `async fn(&Bench<'_>) -> Result<Outcome>`.
macro_rules! cases {
    ($bench:ty: $($function:path, $source:literal);* $(;)?) => {
        vec![$($crate::conformance::case::Case::<$bench> {
            name: $crate::conformance::case::last_segment(stringify!($function)),
            source: $source,
            run: |bench| ::futures::FutureExt::boxed($function(bench)),
        }),*]
    };
}
pub(super) use cases;

/// `name` of `module::name`.
pub(super) fn last_segment(path: &'static str) -> &'static str {
    path.rsplit("::").next().map_or(path, str::trim)
}

/// A bench is set up for each case and cleaned up after it, however it ended.
pub(super) trait CleanUp: Send + Sync {
    fn clean_up(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Runs the cases whose names `wanted` accepts.
pub(super) async fn run<B: CleanUp>(
    cases: Vec<Case<B>>,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    clock: &dyn Clock,
    limit: Duration,
    concurrency: usize,
    setup: impl Fn(&'static str) -> B + Sync,
) -> Report {
    let setup = &setup;
    let mut ended: Vec<_> = futures::stream::iter(cases.into_iter().filter(|c| wanted(c.name)).enumerate())
        .map(|(index, case)| async move {
            let bench = setup(case.name);
            let work = AssertUnwindSafe((case.run)(&bench)).catch_unwind();
            let work = async { work.await.unwrap_or_else(|panic| Err(broken(panic_text(&*panic)))) };
            let result = with_deadline(clock, limit, case.name, work).await;
            let clean = with_deadline(clock, limit, "clean-up", bench.clean_up()).await;
            let result = match (result, clean) {
                (Ok(_), Err(error)) => Err(error.with("after", "the case passed; its clean-up failed")),
                (result, _) => result,
            };
            (index, case.name, result.map_err(|e| e.with("rule", case.source)))
        })
        .buffer_unordered(concurrency.max(1))
        .collect()
        .await;
    ended.sort_by_key(|(index, ..)| *index);
    let mut report = Report::default();
    for (_, name, result) in ended {
        match result {
            Ok(Outcome::Passed) => report.passed.push(name),
            Ok(Outcome::Skipped(why)) => report.skipped.push((name, why)),
            Err(error) => report.failed.push((name, error)),
        }
    }
    report
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}

/// Fails the case with this message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::conformance::fixture::broken(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// Fails unless the call failed with one of these kinds.
pub(super) fn expect_error<T: Debug>(result: Result<T>, kinds: &[ErrorKind], call: &str) -> Result<()> {
    match result {
        Ok(value) => Err(broken(format!("{call} must fail with {kinds:?} but gave {value:?}"))),
        Err(error) if kinds.contains(&error.kind()) => Ok(()),
        Err(error) => Err(broken(format!(
            "{call} must fail with {kinds:?} but failed with {}",
            error.kind()
        ))
        .with_source(error)),
    }
}

/// Polls until `look` gives a value, at most for `patience`. Transient errors of `look` count as "not yet".
pub(super) async fn until<'a, T, F: Future<Output = Result<Option<T>>>>(
    clock: &dyn Clock,
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
    pause: &(dyn Fn() -> BoxFuture<'a, Result<()>> + Sync),
) -> Result<T> {
    let deadline = clock.now() + patience;
    loop {
        let last = match look().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) if error.kind().is_transient() => Some(error),
            Err(error) => return Err(error.with("while waiting for", what)),
        };
        if clock.now() > deadline {
            let error = broken(format!("{what} did not come true within {patience:?}"));
            return Err(match last {
                Some(last) => error.with_source(last),
                None => error,
            });
        }
        pause().await?;
    }
}

/// Polls a future a few times and drops it: a call that is cancelled half way.
pub(super) async fn cancel_half_way<T>(work: impl Future<Output = T>, polls: u32) {
    let mut work = std::pin::pin!(work);
    for _ in 0..polls {
        if futures::poll!(work.as_mut()).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}
