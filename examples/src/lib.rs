//! What the example programs share: showing what would be done, and a job's progress, as lines of text.

pub mod week;

use anyhow::{Result, bail};
use futures::StreamExt;
use ns_core::Session;
use ns_core::journal::{Event, TaskResult};
use ns_core::model::{JobId, JobState, JobSummary, ResultCode};
use ns_core::planning::StepEffect;
use ns_core::session::Explanation;

/// Follows a job from its beginning until it needs somebody or has finished, and prints what happens to it.
///
/// # Errors
/// Those of the engine.
pub async fn follow(session: &Session, job: &JobId) -> Result<JobSummary> {
    follow_from(session, job, 0).await
}

/// As [`follow`], from a position of the journal on: what was shown before is not shown again.
///
/// # Errors
/// Those of the engine.
pub async fn follow_from(session: &Session, job: &JobId, position: u64) -> Result<JobSummary> {
    let jobs = session.jobs();
    let mut entries = jobs.watch(job, position);
    let settled = jobs.wait(job);
    tokio::pin!(settled);
    let summary = loop {
        tokio::select! {
            biased;
            Some(entry) = entries.next() => print(&entry?.event),
            summary = &mut settled => break summary?,
        }
    };
    println!("  {} {}", summary.state, summary.result.map_or("", ResultCode::as_str));
    Ok(summary)
}

/// As [`follow`], and fails unless the job succeeded.
///
/// # Errors
/// Those of the engine, or when the job's result is not success; its failed tasks are named then.
pub async fn must_succeed(session: &Session, job: &JobId) -> Result<JobSummary> {
    let summary = follow(session, job).await?;
    if summary.result != Some(ResultCode::Success) || summary.state == JobState::ClearFailed {
        let view = session.jobs().view(job).await?;
        let errors: Vec<String> = view
            .tasks
            .iter()
            .filter_map(|(key, task)| task.error.as_ref().map(|e| format!("{key}: {} {}", e.code, e.message)))
            .collect();
        bail!(
            "job {job} ended as {:?} in {}: {}",
            summary.result,
            summary.state,
            errors.join("; ")
        );
    }
    Ok(summary)
}

/// Prints what would be done, how long it would take and what would be lost, before anybody says yes.
pub fn show(told: &Explanation) {
    let count = |effect| told.steps.iter().filter(|s| s.effect == effect).count();
    println!(
        "  {}: {} things are created, {} changed, {} deleted",
        told.kind,
        count(StepEffect::Creates),
        count(StepEffect::Changes),
        count(StepEffect::Deletes)
    );
    for step in &told.steps {
        println!("    {step}");
    }
    for fact in &told.evidence {
        println!("  {fact}");
    }
    for loss in &told.loss {
        let unknown = || "how much is not known".to_owned();
        let since = loss.lost_seconds.map_or_else(unknown, |s| format!("the last {s} s"));
        let bytes = loss.lost_bytes.map_or(String::new(), |b| format!(", {b} bytes"));
        println!("  volume {} would lack writes: {since}{bytes}", loss.volume_id);
    }
    let duration = &told.duration;
    match (&duration.total, duration.critical_path.as_slice()) {
        (Some(total), [.., last]) => println!(
            "  expected to take {total}, {} tasks up to {last}",
            duration.critical_path.len()
        ),
        (Some(_), []) => {}
        (None, _) => println!(
            "  how long it takes is not known: no {} so far",
            duration.unknown.join(", ")
        ),
    }
    for refusal in &told.refusals {
        println!(
            "  refused now, {}: {}; {}",
            refusal.code,
            refusal.message,
            refusal.remedy.as_deref().unwrap_or("-")
        );
    }
}

fn print(event: &Event) {
    match event {
        Event::Transition { from, to, .. } => println!("  {from} -> {to}"),
        Event::Planned { phase, graph, .. } => println!("  planned {phase:?}: {} tasks", graph.tasks.len()),
        Event::Progress { task, percent, message } => {
            let percent = percent.map_or(String::new(), |p| format!(" {p} %"));
            println!("  {task}: {message}{percent}");
        }
        Event::Outcome {
            task,
            result: TaskResult::Done { .. },
            ..
        } => println!("  done  {task}"),
        Event::Outcome {
            task,
            result: TaskResult::Retry { error, .. },
            ..
        } => println!("  again {task}: {}", error.message),
        Event::Outcome {
            task,
            result: TaskResult::Failed { error },
            ..
        } => println!("  FAILED {task}: {}", error.message),
        Event::Skipped { task, because } => println!("  skipped {task}: {because}"),
        Event::Decided {
            kind,
            operator,
            reason,
            facts,
            ..
        } => {
            println!("  decided by {operator}: {kind:?} ({reason})");
            facts.iter().for_each(|fact| println!("    {fact}"));
        }
        Event::Noted { message, .. } => println!("  note: {message}"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use ns_core::model::{Query, ResultCode};
    use ns_core::ports::SystemClock;
    use ns_core::sim::{SimWorld, Tuning};
    use std::time::Duration;

    /// The README's example.
    mod readme {
        include!("../readme.rs");

        pub(super) async fn example(store: &Path, sites: [Providers; 2], instances: Vec<CloudId>) -> Result<()> {
            let [seoul, busan] = sites;
            rehearse(store, seoul, busan, instances).await
        }
    }

    #[test]
    fn the_readme_shows_the_example_that_is_tested() {
        assert!(include_str!("../../README.md").contains(include_str!("../readme.rs")));
    }

    /// It opens its own store and uses the machine's clock, so the simulated clouds are made fast instead.
    #[tokio::test]
    async fn the_readmes_example_does_what_it_says() -> anyhow::Result<()> {
        let world = SimWorld::new(std::sync::Arc::new(SystemClock), 1);
        let soon = Duration::from_millis(1);
        world.tune(|tuning| {
            *tuning = Tuning {
                storage_read: soon,
                storage_write: soon,
                storage_round: soon,
                cloud_read: soon,
                cloud_write: soon,
                server_create: soon,
                server_stop: soon,
                mirror_poll: soon,
                copy_base: soon,
                discover: soon,
                heartbeat: soon,
                bytes_per_second: u64::MAX,
                ..Tuning::default()
            }
        });
        let sample = world.sample_group(1)?;
        let sites = ["a", "b"].map(|site| ns_core::Providers {
            cloud: world.cloud(site),
            storage: world.storage(site),
        });
        let store = std::env::temp_dir().join(format!("neverstop-readme-{}.db", std::process::id()));
        readme::example(&store, sites, sample.server_ids()).await?;
        let engine =
            ns_core::Engine::builder(std::sync::Arc::new(ns_core::store::SqliteStore::open(&store)?)).build()?;
        let reports = engine
            .session(ns_core::Actor::admin("reader"))
            .reports()
            .list(&Query::default())
            .await?;
        let results: Vec<_> = reports.items.iter().map(|r| r.facts.job.result).collect();
        assert_eq!(results, [Some(ResultCode::Success)], "one drill, with its report");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(format!("{}{suffix}", store.display())).ok();
        }
        Ok(())
    }
}
