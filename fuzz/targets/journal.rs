//! A job's journal as a store holds it: lines whose chain is proved, and entries that are folded and asked what comes next.
#![no_main]

use jiff::Timestamp;
use ns_core::journal::{Chain, Entry, JobView, PhaseKind, verify};
use ns_core::model::JobId;
use ns_core::store::JournalLine;
use std::collections::BTreeSet;

fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let job = JobId::new("id000005");
    let lines: Vec<JournalLine> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if let Ok((entries, _)) = verify(&job, &lines) {
        fold(&job, &entries);
    }
    // A hash is not guessed: what the entries say is looked at as if each were the next one of this job.
    let bodies = lines.iter().map(|line| line.body.as_str()).chain(text.lines());
    let entries = bodies.filter_map(|body| serde_json::from_str::<Entry>(body).ok());
    let entries: Vec<Entry> = (1..)
        .zip(entries)
        .map(|(position, entry)| Entry {
            job: job.clone(),
            position,
            ..entry
        })
        .collect();
    let mut chain = Chain::new(job.clone());
    let sealed: Vec<_> = entries
        .iter()
        .map(|entry| chain.seal(entry).expect("the next entry"))
        .collect();
    let (opened, hash) = verify(&job, &sealed).expect("what was sealed opens");
    assert_eq!(
        (&opened, hash.as_str()),
        (&entries, chain.hash()),
        "an entry is read as it was written"
    );
    fold(&job, &opened);
}

fn fold(job: &JobId, entries: &[Entry]) {
    let Ok(view) = JobView::fold(job, entries) else {
        return;
    };
    let due = view.due(&BTreeSet::new(), 8, Timestamp::UNIX_EPOCH);
    for task in due.ready {
        let _ = view.resolve(&task.action);
    }
    let _ = (view.summary(), view.evaluate(), view.phase_end(false));
    let _ = view.remaining(&[PhaseKind::Run, PhaseKind::Retry], None);
    let _ = view.phase().map(|phase| phase.graph.in_order().map(drop));
    if let Some(frozen) = &view.frozen {
        let _ = view.plan_confirm(frozen, &view.recovered(), "decision");
    }
}

ns_fuzz::target!(read);
