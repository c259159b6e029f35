//! What a task does to the world: the engine's vocabulary (`planning::Action`), with every reference already replaced by the fold
//! and every name by a number.

use crate::inputs::VOLUMES;
use crate::world::{Mark, made};
use ns_core::journal::JobView;
use ns_core::planning::{Action, ImageRef, MarkRef, Side, Task};
use ns_core::provider::{CreatedKind, Ref, Spec, Token};

/// What one task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// It refers to what no task has made.
    Broken,
    /// Cuts the source off, or lets it back: by a way of its own.
    Power {
        on: bool,
    },
    Make {
        thing: u16,
        needs: u16,
    },
    Adopt {
        volume: usize,
        needs: u16,
        replica: bool,
    },
    Boot {
        guest: usize,
    },
    Unmake {
        thing: u16,
        site: usize,
    },
    Stop {
        guest: usize,
        site: usize,
    },
    Start {
        guest: usize,
        site: usize,
    },
    Ship {
        volume: usize,
        site: usize,
    },
    Await {
        volume: usize,
        site: usize,
        mark: Option<Mark>,
    },
    Demote {
        volume: usize,
        site: usize,
        only_if_primary: bool,
    },
    Promote {
        volume: usize,
        site: usize,
        mark: Option<Mark>,
    },
    Force {
        volume: usize,
        site: usize,
    },
    Resync {
        volume: usize,
        site: usize,
    },
    Rename {
        volume: usize,
        site: usize,
    },
}

/// What its task finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is done, with this mark.
    Done(Option<Mark>),
    /// It has to wait.
    NotYet,
    /// It never will be.
    Never,
}

impl Found {
    pub const fn done() -> Self {
        Self::Done(None)
    }
    pub const fn mark(mark: Mark) -> Self {
        Self::Done(Some(mark))
    }
}

impl Effect {
    /// Whether it asks anything of a site.
    pub const fn touches(self, at: usize) -> bool {
        match self {
            Self::Stop { site, .. }
            | Self::Start { site, .. }
            | Self::Ship { site, .. }
            | Self::Await { site, .. }
            | Self::Demote { site, .. }
            | Self::Force { site, .. }
            | Self::Unmake { site, .. }
            | Self::Rename { site, .. } => site == at,
            // They look at both sides.
            Self::Promote { .. } | Self::Resync { .. } => true,
            Self::Nothing | Self::Broken | Self::Power { .. } => false,
            Self::Make { .. } | Self::Adopt { .. } | Self::Boot { .. } => at == 1,
        }
    }

    /// What a task of a graph does, its references replaced by the fold.
    ///
    /// `away` is the failover that a failback undoes.
    pub fn of(view: &JobView, away: Option<&JobView>, task: &Task) -> Self {
        match view.resolve(&task.action) {
            Ok(action) => Self::of_action(&[Some(view), away], &action, task.key.as_str()),
            Err(_) => Self::Broken,
        }
    }

    fn of_action(views: &[Option<&JobView>], action: &Action, key: &str) -> Self {
        let guest = |server: &Ref| number(server.id().unwrap());
        match action {
            Action::Create { spec, .. } => match spec {
                Spec::Server { .. } => Self::Boot { guest: number(key) },
                _ => Self::Make {
                    thing: thing(spec.kind(), key),
                    needs: if matches!(spec, Spec::Tenant { .. }) {
                        0
                    } else {
                        made::TENANT
                    },
                },
            },
            Action::Clone { .. } => Self::Make {
                thing: made::clone(number(key)),
                needs: 0,
            },
            Action::Adopt { image, .. } => {
                let volume = number(key);
                let replica = matches!(image, ImageRef::Replica(_));
                let clone = if replica { 0 } else { made::clone(volume) };
                Self::Adopt {
                    volume,
                    needs: made::TENANT | clone,
                    replica,
                }
            }
            Action::Remove { side, token, kind, .. } => Self::Unmake {
                thing: thing(*kind, maker(views, token)),
                site: site(*side),
            },
            Action::Release { side, token, .. } => Self::Unmake {
                thing: made::volume(number(maker(views, token))),
                site: site(*side),
            },
            Action::RemoveImage { side, token } => Self::Unmake {
                thing: made::clone(number(maker(views, token))),
                site: site(*side),
            },
            Action::StopServer { side, server, .. } => Self::Stop {
                guest: guest(server),
                site: site(*side),
            },
            Action::StartServer { side, server } => Self::Start {
                guest: guest(server),
                site: site(*side),
            },
            Action::Flatten { .. } | Action::Delay { .. } => Self::Nothing,
            Action::Fence { side: Side::Source, .. } => Self::Power { on: false },
            Action::Unfence { side: Side::Source, .. } => Self::Power { on: true },
            Action::Ship { side, image, .. } => Self::Ship {
                volume: volume(image),
                site: site(*side),
            },
            Action::AwaitArrival { side, image, mark } => Self::Await {
                volume: volume(image),
                site: site(*side),
                mark: known(mark),
            },
            Action::Demote {
                side,
                image,
                only_if_primary,
            } => Self::Demote {
                volume: volume(image),
                site: site(*side),
                only_if_primary: *only_if_primary,
            },
            Action::Promote { side, image, demotion } => Self::Promote {
                volume: volume(image),
                site: site(*side),
                mark: demotion.as_ref().and_then(known),
            },
            Action::ForcePromote { side, image, .. } => Self::Force {
                volume: volume(image),
                site: site(*side),
            },
            Action::Resync { side, image, .. } => Self::Resync {
                volume: volume(image),
                site: site(*side),
            },
            Action::Rename { side, image, .. } => Self::Rename {
                volume: volume(image),
                site: site(*side),
            },
            other => unreachable!("{other:?} is no task of a recovery"),
        }
    }
}

pub const fn site(side: Side) -> usize {
    match side {
        Side::Source => 0,
        Side::Target => 1,
    }
}

/// The number that a name ends with.
fn number(name: &str) -> usize {
    usize::from(name.as_bytes()[name.len() - 1] - b'0')
}

fn thing(kind: CreatedKind, key: &str) -> u16 {
    match kind {
        CreatedKind::Tenant => made::TENANT,
        CreatedKind::TenantAccess => made::ACCESS,
        CreatedKind::Server => made::server(number(key)),
        other => unreachable!("this group needs no {other:?}"),
    }
}

/// The task whose thing carries a token.
fn maker<'a>(views: &[Option<&'a JobView>], token: &Token) -> &'a str {
    let mut tasks = views.iter().flatten().flat_map(|view| {
        let graphs = view.phases.iter().map(|p| &p.graph);
        graphs.flat_map(|g| g.tasks.values()).map(|task| (&view.id, task))
    });
    let made = tasks.find(|(job, task)| task.token(job) == *token);
    made.map(|(_, task)| task.key.as_str()).unwrap()
}

fn volume(image: &ImageRef) -> usize {
    let ImageRef::Replica(id) = image else {
        unreachable!("a failover names its images by their replication: {image:?}")
    };
    VOLUMES.iter().position(|v| *v == id.as_str()).unwrap()
}

fn known(mark: &MarkRef) -> Option<Mark> {
    let MarkRef::Known(mark) = mark else { return None };
    let (writes, turn) = mark.as_str().split_once('/').unwrap();
    Some((writes.parse().unwrap(), turn.parse().unwrap()))
}
