//! What storage cases are written with: images that are removed afterwards, recognisable contents, waiting for
//! replication.

use crate::conformance::case::{CleanUp, ensure, until};
use crate::conformance::fixture::{Side, StorageFixture, broken};
use crate::model::{JobId, ReplicationId, StorageRef, TaskKey};
use crate::provider::{Decision, ImageState, Mark, Role, Storage, Token};
use crate::{Error, ErrorKind, Result};
use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Size of the images that cases make: several objects of the usual 4 MiB.
pub(in crate::conformance) const SIZE: u64 = 12 << 20;
/// Where contents are written: the first bytes, across an object border, near the end.
const OFFSETS: [u64; 3] = [0, (4 << 20) - 4096, SIZE - 65536];
const LEN: usize = 16384;

/// The bench of one storage case.
pub struct StorageBench<'f> {
    fixture: &'f dyn StorageFixture,
    job: JobId,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    images: Vec<StorageRef>,
    replicated: Vec<ReplicationId>,
    tokens: Vec<Token>,
}

impl Debug for StorageBench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StorageBench({})", self.job)
    }
}

/// An image, its replica and the identity they share.
pub(in crate::conformance) struct Pair {
    pub(in crate::conformance) image: StorageRef,
    pub(in crate::conformance) replica: StorageRef,
    pub(in crate::conformance) id: ReplicationId,
}

impl<'f> StorageBench<'f> {
    pub(crate) fn new(fixture: &'f dyn StorageFixture, run_id: &str, case: &str) -> Self {
        Self {
            fixture,
            job: JobId::new(format!("conformance-{run_id}-{case}")),
            made: Mutex::default(),
        }
    }

    pub(in crate::conformance) fn fixture(&self) -> &'f dyn StorageFixture {
        self.fixture
    }

    pub(in crate::conformance) fn a(&self) -> Storage {
        self.fixture.primary()
    }

    pub(in crate::conformance) fn b(&self) -> Storage {
        self.fixture.secondary()
    }

    /// A token of this case; what carries it is removed afterwards.
    pub(in crate::conformance) fn token(&self, what: &str) -> Token {
        let token = Token::of(&self.job, &TaskKey::new(what));
        self.note(|made| made.tokens.push(token.clone()));
        token
    }

    pub(in crate::conformance) fn decision(&self, reason: &str) -> Decision {
        Decision {
            id: self.job.to_string(),
            operator: "conformance".to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn note(&self, write: impl FnOnce(&mut Made)) {
        write(&mut self.made.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Has an image removed afterwards that was made otherwise.
    pub(in crate::conformance) fn note_image(&self, image: &StorageRef) {
        self.note(|made| made.images.push(image.clone()));
    }

    /// A new empty image on side A.
    pub(in crate::conformance) async fn image(&self) -> Result<StorageRef> {
        let image = self.fixture.make_image(SIZE).await?;
        self.note_image(&image);
        Ok(image)
    }

    /// Begins replication in the mode of the fixture.
    pub(in crate::conformance) async fn enable(&self, image: &StorageRef) -> Result<ReplicationId> {
        let id = self.a().enable_replication(image, self.fixture.mode()).await?;
        self.note(|made| made.replicated.push(id.clone()));
        Ok(id)
    }

    /// An image on A with content `text`, and its complete replica on B.
    pub(in crate::conformance) async fn pair(&self, text: &str) -> Result<Pair> {
        let image = self.image().await?;
        self.write(Side::Primary, &image, text).await?;
        let id = self.enable(&image).await?;
        let replica = self.replica(Side::Secondary, &id).await?;
        let mark = self.a().ship(&image, None).await?;
        self.arrival(Side::Secondary, &id, &mark).await?;
        Ok(Pair { image, replica, id })
    }

    /// Waits for the image with this identity on a side.
    pub(in crate::conformance) async fn replica(&self, side: Side, id: &ReplicationId) -> Result<StorageRef> {
        let storage = self.fixture.storage(side);
        self.until(&format!("an image {id} on {side:?}"), || storage.find_replica(id))
            .await
    }

    /// Waits until no image has this identity on a side.
    pub(in crate::conformance) async fn replica_gone(&self, side: Side, id: &ReplicationId) -> Result<()> {
        let storage = self.fixture.storage(side);
        self.until(&format!("no image {id} on {side:?}"), || async {
            Ok(storage.find_replica(id).await?.is_none().then_some(()))
        })
        .await
    }

    /// Waits until a mark is proved to have arrived, and says how often it had not yet. The replica is looked up each
    /// time: its name may follow the primary's.
    pub(in crate::conformance) async fn arrival(&self, side: Side, id: &ReplicationId, mark: &Mark) -> Result<u32> {
        let storage = self.fixture.storage(side);
        let not_yet = AtomicU32::new(0);
        self.until(&format!("arrival of {mark:?} on {side:?}"), || async {
            let Some(replica) = storage.find_replica(id).await? else {
                return Ok(None);
            };
            if storage.arrived(&replica, mark).await? {
                return Ok(Some(()));
            }
            not_yet.fetch_add(1, Ordering::Relaxed);
            Ok(None)
        })
        .await?;
        Ok(not_yet.into_inner())
    }

    /// Takes a user snapshot on A and waits until the replica has it.
    pub(in crate::conformance) async fn point(&self, pair: &Pair, name: &str) -> Result<()> {
        self.a().snapshot(&pair.image, name).await?;
        let mark = self.a().ship(&pair.image, Some(name)).await?;
        self.arrival(Side::Secondary, &pair.id, &mark).await?;
        Ok(())
    }

    /// Polls until `look` gives a value; replication makes progress in between.
    pub(in crate::conformance) async fn until<T, F: Future<Output = Result<Option<T>>>>(
        &self,
        what: &str,
        look: impl FnMut() -> F,
    ) -> Result<T> {
        let clock = self.fixture.clock();
        until(&*clock, self.fixture.patience(), what, look, &|| self.fixture.settle()).await
    }

    /// What is certain about an image that must exist.
    pub(in crate::conformance) async fn state(&self, side: Side, image: &StorageRef) -> Result<ImageState> {
        let state = self.fixture.storage(side).image(image).await?;
        state.ok_or_else(|| broken(format!("{image} does not exist on {side:?}")))
    }

    pub(in crate::conformance) async fn expect_role(&self, side: Side, image: &StorageRef, role: Role) -> Result<()> {
        let seen = self.state(side, image).await?.role;
        ensure!(seen == role, "{image} on {side:?} must be {role:?} but is {seen:?}");
        Ok(())
    }

    /// Writes contents that are recognised by `text` to several places of an image.
    pub(in crate::conformance) async fn write(&self, side: Side, image: &StorageRef, text: &str) -> Result<()> {
        for offset in OFFSETS {
            self.fixture.write(side, image, offset, &contents(text, offset)).await?;
        }
        Ok(())
    }

    /// Whether an image, or a snapshot of it, holds exactly the contents written as `text`.
    pub(in crate::conformance) async fn holds(
        &self,
        side: Side,
        image: &StorageRef,
        snapshot: Option<&str>,
        text: &str,
    ) -> Result<bool> {
        for offset in OFFSETS {
            if self.fixture.read(side, image, snapshot, offset, LEN).await? != contents(text, offset) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fails unless an image holds the contents written as `text`.
    pub(in crate::conformance) async fn expect_contents(
        &self,
        side: Side,
        image: &StorageRef,
        snapshot: Option<&str>,
        text: &str,
    ) -> Result<()> {
        let at = snapshot.map(|s| format!("@{s}")).unwrap_or_default();
        ensure!(
            self.holds(side, image, snapshot, text).await?,
            "{image}{at} on {side:?} does not hold the contents {text:?}"
        );
        Ok(())
    }

    async fn remove_everywhere(&self, made: &Made) -> Result<()> {
        // Clones first: they hold their parents.
        for token in made.tokens.iter().rev() {
            for side in Side::BOTH {
                if let Some(image) = self.fixture.storage(side).find(token).await? {
                    self.fixture.remove_image(side, &image).await?;
                }
            }
        }
        for side in Side::BOTH {
            for id in &made.replicated {
                if let Some(image) = self.fixture.storage(side).find_replica(id).await? {
                    self.fixture.remove_image(side, &image).await?;
                }
            }
            for image in made.images.iter().rev() {
                self.fixture.remove_image(side, image).await?;
            }
        }
        Ok(())
    }
}

impl CleanUp for StorageBench<'_> {
    async fn clean_up(&self) -> Result<()> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        self.until("everything is removed", || async {
            match self.remove_everywhere(&made).await {
                Ok(()) => Ok(Some(())),
                // A replica in the middle of a copy, or the parent of a clone in the trash, is busy for a while.
                Err(error) if error.kind() == ErrorKind::Conflict => Err(Error::new(
                    ErrorKind::Unavailable,
                    "conformance.busy",
                    error.to_string(),
                )),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// Bytes that are recognised by `text` and by where they are.
fn contents(text: &str, offset: u64) -> Vec<u8> {
    let mut state = text.bytes().fold(offset ^ 0x9e37_79b9_7f4a_7c15, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut bytes = Vec::with_capacity(LEN);
    while bytes.len() < LEN {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}
