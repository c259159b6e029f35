//! What the example programs share: showing a job's progress as lines of text.

use anyhow::{Result, bail};
use futures::StreamExt;
use ns_core::Session;
use ns_core::journal::{Event, TaskResult};
use ns_core::model::{JobId, JobState, JobSummary, ResultCode};

/// Follows a job from its beginning until it needs somebody or has finished, and prints what happens to it.
///
/// # Errors
/// Those of the engine.
pub async fn follow(session: &Session, job: &JobId) -> Result<JobSummary> {
    let jobs = session.jobs();
    let mut entries = jobs.watch(job, 0);
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

fn print(event: &Event) {
    match event {
        Event::Transition { from, to, .. } => println!("  {from} -> {to}"),
        Event::Planned { phase, graph } => println!("  planned {phase:?}: {} tasks", graph.tasks.len()),
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
