//! The port of whatever can cut a whole site off for certain: power switches of its hosts, its switch ports, the list of
//! clients that its storage refuses.

use crate::Result;
use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::Arc;

/// Cuts a site's instances off from everything they write to, or lets them back. It has to work while the site itself does not
/// answer, so it takes another way than the site's cloud and storage do. See [`crate::provider`] for what holds for every
/// method; the engine keeps count of who needs the fence, so an implementation need not.
///
/// ```
/// use async_trait::async_trait;
/// use ns_core::{Error, ErrorKind, Result, provider::Fence};
///
/// /// One power switch for all hosts of the site.
/// #[derive(Debug)]
/// struct Switch {
///     outlet: String,
/// }
///
/// #[async_trait]
/// impl Fence for Switch {
///     fn kind(&self) -> &'static str {
///         "power-switch"
///     }
///     async fn fence(&self) -> Result<String> {
///         // ... switch it off, then read it back ...
///         Ok(format!("outlet {} reads off", self.outlet))
///     }
///     async fn unfence(&self) -> Result<()> {
///         Err(Error::new(ErrorKind::Unavailable, "switch.away", "the switch does not answer"))
///     }
/// }
/// ```
#[async_trait]
pub trait Fence: Debug + Send + Sync {
    /// What kind of fence it is, e.g. `ipmi`. It is named in the evidence.
    fn kind(&self) -> &'static str;

    /// Cuts the site off. `Ok` only once it was seen that nothing there can write any more, with what was seen, in words for
    /// journal and report; `Ok` also when it is cut off already.
    async fn fence(&self) -> Result<String>;

    /// Lets the site back. `Ok` when it is not cut off.
    async fn unfence(&self) -> Result<()>;
}

/// A shared fence.
pub type Fencing = Arc<dyn Fence>;
