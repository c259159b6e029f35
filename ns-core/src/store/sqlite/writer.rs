//! The one thread that writes, and the queue in front of it. It knows transactions; what is written is its callers'
//! business.

use super::{closed, failed};
use crate::Result;
use rusqlite::{Connection, TransactionBehavior};
use std::io;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// How many commits may wait; who comes then waits before the queue.
const QUEUE: usize = 1024;
/// How many commits share one transaction at most, so that the first does not wait long for the last.
const GROUP: usize = 256;

/// Answers a number, which only some kinds of work need: the token of a lease.
type Work = Box<dyn FnOnce(&Connection) -> Result<u64> + Send>;

struct Job {
    work: Work,
    answer: oneshot::Sender<Result<u64>>,
}

pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("ns-store".to_owned())
            .spawn(move || work_off(connection, jobs))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` inside a transaction and answers when that is on disk. When `work` fails, nothing it did stays.
    pub(super) async fn run(&self, work: impl FnOnce(&Connection) -> Result<u64> + Send + 'static) -> Result<u64> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue
            .send(Job {
                work: Box::new(work),
                answer,
            })
            .await
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    /// Waits until what is queued is written and the file is closed: who drops the store may copy or move the file.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there has been seen by its callers as `store.closed`.
            let _ = thread.join();
        }
    }
}

fn work_off(mut connection: Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
        commit(&mut connection, &mut group);
    }
}

/// One transaction for all of `group`: each in its own savepoint, answered when the whole is on disk.
fn commit(connection: &mut Connection, group: &mut Vec<Job>) {
    let mut answers = Vec::with_capacity(group.len());
    let all = (|| {
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for Job { work, answer } in group.drain(..) {
            let savepoint = transaction.savepoint()?;
            let result = work(&savepoint);
            // Dropped uncommitted, a savepoint rolls back.
            if result.is_ok() {
                savepoint.commit()?
            } else {
                savepoint.finish()?
            }
            answers.push((answer, result));
        }
        transaction.commit()
    })();
    // Whoever has gone away does not want the answer.
    match all {
        Ok(()) => answers
            .into_iter()
            .for_each(|(answer, result)| drop(answer.send(result))),
        Err(error) => {
            let error = failed("commit", error).to_record();
            let unasked = group.drain(..).map(|job| job.answer);
            // A refusal of its own stands; what would have been written has not been.
            for (answer, result) in answers {
                let _ = answer.send(result.and_then(|_| Err(error.clone().into())));
            }
            unasked.for_each(|answer| drop(answer.send(Err(error.clone().into()))));
        }
    }
}
