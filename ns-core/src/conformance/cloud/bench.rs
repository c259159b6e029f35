//! What cloud cases are written with: things that are removed afterwards, in the reverse order of their making.

use crate::conformance::CloudFixture;
use crate::conformance::case::{CleanUp, until};
use crate::conformance::fixture::broken;
use crate::model::{CloudId, JobId, Resource, ResourceKind, StorageRef, TaskKey};
use crate::provider::{AdoptSpec, Cloud, CreatedKind, Handle, Ref, Spec, Token};
use crate::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

/// The bench of one cloud case.
pub struct CloudBench<'f> {
    fixture: &'f dyn CloudFixture,
    job: JobId,
    made: Mutex<Vec<Made>>,
}

#[derive(Clone)]
enum Made {
    Thing(CreatedKind, Option<CloudId>, Token),
    Image(StorageRef),
}

impl Debug for CloudBench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CloudBench({})", self.job)
    }
}

impl<'f> CloudBench<'f> {
    pub(crate) fn new(fixture: &'f dyn CloudFixture, run_id: &str, case: &str) -> Self {
        Self {
            fixture,
            job: JobId::new(format!("conformance-{run_id}-{case}")),
            made: Mutex::default(),
        }
    }

    pub(super) fn fixture(&self) -> &'f dyn CloudFixture {
        self.fixture
    }

    pub(super) fn cloud(&self) -> Cloud {
        self.fixture.cloud()
    }

    /// The token for `what` of this case.
    pub(super) fn token(&self, what: &str) -> Token {
        Token::of(&self.job, &TaskKey::new(what))
    }

    /// A name that no other case and no other run uses.
    pub(super) fn name(&self, what: &str) -> String {
        let token = self.token(what);
        let tail = token.as_str().chars().skip(3).take(10).collect::<String>();
        format!("conf-{what}-{tail}")
    }

    fn note(&self, made: Made) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// Has an image removed afterwards.
    pub(super) fn note_image(&self, image: &StorageRef) {
        self.note(Made::Image(image.clone()));
    }

    /// Has a thing removed afterwards that a call of the case's own makes with this token.
    pub(super) fn note_thing(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) {
        self.note(Made::Thing(kind, tenant.cloned(), token.clone()));
    }

    /// Makes a thing under the token for `what`, which is noted first.
    pub(super) async fn create(&self, what: &str, spec: &Spec) -> Result<Handle> {
        let token = self.token(what);
        let tenant = spec.tenant().map(Ref::id).transpose()?.map(CloudId::from);
        self.note_thing(spec.kind(), tenant.as_ref(), &token);
        let handle = self
            .cloud()
            .create(spec, &token)
            .await
            .map_err(|e| e.with("create", what))?;
        if handle.kind != spec.kind() {
            return Err(broken(format!("creating {what} gave {handle:?}")));
        }
        Ok(handle)
    }

    /// Adopts an image under the token for `what`, which is noted first.
    pub(super) async fn adopt(&self, what: &str, spec: &AdoptSpec) -> Result<Handle> {
        let token = self.token(what);
        self.note_image(&spec.storage);
        self.note_thing(CreatedKind::Volume, Some(&spec.tenant.id()?.into()), &token);
        self.cloud()
            .adopt(spec, &token)
            .await
            .map_err(|e| e.with("adopt", what))
    }

    /// An adoption of `storage` into `tenant`, not bootable, of the usual type.
    pub(super) fn adoption(&self, tenant: &CloudId, storage: &StorageRef) -> AdoptSpec {
        AdoptSpec {
            tenant: Ref::Known(tenant.clone()),
            storage: storage.clone(),
            name: self.name("volume"),
            volume_type: self.fixture.volume_type(false),
            bootable: false,
            availability_zone: None,
            metadata: BTreeMap::new(),
            image_metadata: BTreeMap::new(),
        }
    }

    /// A thing that must exist.
    pub(super) async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Resource> {
        let found = self.cloud().get(kind, id).await?;
        found.ok_or_else(|| broken(format!("there is no {} {id}", kind.as_str())))
    }

    /// Everything of a kind.
    pub(super) async fn list(&self, kind: ResourceKind) -> Result<Vec<Resource>> {
        self.cloud().inventory(&[kind]).try_collect().await
    }

    /// Polls until `look` gives a value.
    pub(super) async fn until<T, F: Future<Output = Result<Option<T>>>>(
        &self,
        what: &str,
        look: impl FnMut() -> F,
    ) -> Result<T> {
        let clock = self.fixture.clock();
        let pause = || {
            let clock = clock.clone();
            let wait: futures::future::BoxFuture<'_, Result<()>> = Box::pin(async move {
                clock.sleep(std::time::Duration::from_secs(1)).await;
                Ok(())
            });
            wait
        };
        until(&*clock, self.fixture.patience(), what, look, &pause).await
    }

    async fn remove(&self, made: &Made) -> Result<()> {
        match made {
            Made::Image(image) => self.fixture.remove_image(image).await,
            Made::Thing(kind, tenant, token) => {
                let Some(handle) = self.cloud().find(*kind, tenant.as_ref(), token).await? else {
                    return Ok(());
                };
                if *kind != CreatedKind::Volume {
                    return self.cloud().remove(&handle, token).await;
                }
                self.cloud().release(&handle.id).await?;
                match &handle.storage {
                    Some(image) => self.fixture.remove_image(image).await,
                    None => Ok(()),
                }
            }
        }
    }
}

impl CleanUp for CloudBench<'_> {
    async fn clean_up(&self) -> Result<()> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        for made in made.iter().rev() {
            self.until("everything is removed", || async {
                match self.remove(made).await {
                    Ok(()) => Ok(Some(())),
                    // What used it may still be on its way out.
                    Err(error) if error.kind() == ErrorKind::Conflict => Err(Error::new(
                        ErrorKind::Unavailable,
                        "conformance.busy",
                        error.to_string(),
                    )),
                    Err(error) => Err(error),
                }
            })
            .await?;
        }
        Ok(())
    }
}
