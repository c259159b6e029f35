//! What can go wrong, and when. A [`Fault`] is armed by the story at a step and strikes at the nth call, commit or second
//! after that; it is counted when it really struck, never before.

use crate::dice::Dice;
use crate::story::Place;
use ns_core::ErrorKind;
use std::collections::BTreeMap;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind { $($(#[$doc])* $name),* }
        impl FaultKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// For lists.
            #[must_use]
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text),* } }
        }
    };
}

kinds! {
    /// See the text; so with all of them.
    DeathBeforeCommit = "process dies before a journal write",
    /// .
    DeathAfterCommit = "process dies after a journal write, unacknowledged",
    /// .
    TornCommit = "process dies inside a journal write, which is torn",
    /// .
    DeathAnywhere = "process dies in the middle of its calls",
    /// .
    DeathWithOrphans = "process dies, its requests take effect later",
    /// .
    BitFlip = "a bit of the journal flips on disk",
    /// .
    StoreAway = "store unavailable for a while",
    /// .
    DiskFull = "disk full",
    /// .
    FsyncLost = "fsync error, not written",
    /// .
    FsyncWritten = "fsync error although written",
    /// .
    StoreSlow = "a commit takes longer than a lease",
    /// .
    Unavailable = "provider answers 503",
    /// .
    Storm = "storm of 429/503: every call for a while",
    /// .
    Rejected = "provider rejects for good",
    /// .
    Conflict = "provider answers conflict",
    /// .
    Denied = "provider denies",
    /// .
    Internal = "provider breaks (500)",
    /// .
    NotFoundLie = "provider cannot find what is there",
    /// .
    TimeoutDone = "time-out, but done",
    /// .
    NeverDone = "accepted, never done",
    /// .
    Hang = "no answer at all, nothing done",
    /// .
    DoneHang = "done, the answer never comes",
    /// .
    Late = "late reply",
    /// .
    Slow = "slow call",
    /// .
    Twice = "request is carried out twice",
    /// .
    StaleStatus = "stale status",
    /// .
    FalseSplitBrain = "false report of a split brain",
    /// .
    SourceDies = "source site is lost and returns",
    /// .
    SourceFreezes = "source site stands still and goes on",
    /// .
    SourceCutOff = "source site is cut off from all, runs on, returns",
    /// .
    SourceSilent = "partition between engine and source",
    /// .
    TargetSilent = "partition between engine and target",
    /// .
    TargetDies = "target site is lost and returns",
    /// .
    MirrorStops = "partition between source and target",
    /// .
    MirrorLags = "replication lags",
    /// .
    LossInSync = "source is lost in the middle of a copy",
    /// .
    TokenExpired = "credentials expire for a while",
    /// .
    QuotaCut = "quota is cut in mid-run",
    /// .
    CapacityGone = "target has no compute capacity for a while",
    /// .
    NameTaken = "a name is taken on the target",
    /// .
    DeletedByHand = "somebody deletes what the job made",
    /// .
    SourceImageDeleted = "a source volume is deleted with its bytes",
    /// .
    ClockForward = "clock jumps an hour forward",
    /// .
    ClockBack = "clock jumps an hour back",
    /// .
    DoubleClick = "operator clicks twice",
    /// .
    NodeFreezes = "an engine stands still beyond its lease and returns",
    /// .
    SecondEngine = "a second engine starts on the same store",
}

/// A fault, armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// With which step of the story it is armed; 0 is the protection.
    pub step: usize,
    /// How many matching calls or commits go well first, or how many seconds pass.
    pub after: u64,
    /// How often, or for how many seconds.
    pub length: u64,
    /// For faults of calls: whose.
    pub site: &'static str,
    /// For faults of calls: which method; any without.
    pub verb: Option<&'static str>,
    /// Further chance.
    pub roll: u64,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At a commit.
    Commit,
    /// At a call of a provider.
    Call,
    /// At a time.
    Time,
}

/// Methods whose failure is worth trying by name.
const VERBS: [&str; 22] = [
    "create",
    "adopt",
    "release",
    "remove",
    "find",
    "stop",
    "start",
    "snapshot",
    "ship",
    "arrived",
    "clone_snapshot",
    "demote",
    "promote",
    "force_promote",
    "resync",
    "status",
    "image",
    "find_replica",
    "rename",
    "flatten",
    "disable_replication",
    "check",
];

impl FaultKind {
    /// When it strikes.
    #[must_use]
    pub const fn moment(self) -> Moment {
        match self {
            Self::DeathBeforeCommit
            | Self::DeathAfterCommit
            | Self::TornCommit
            | Self::BitFlip
            | Self::StoreAway
            | Self::DiskFull
            | Self::FsyncLost
            | Self::FsyncWritten
            | Self::StoreSlow => Moment::Commit,
            Self::Unavailable
            | Self::Storm
            | Self::Rejected
            | Self::Conflict
            | Self::Denied
            | Self::Internal
            | Self::NotFoundLie
            | Self::TimeoutDone
            | Self::NeverDone
            | Self::Hang
            | Self::DoneHang
            | Self::Late
            | Self::Slow
            | Self::Twice
            | Self::StaleStatus
            | Self::FalseSplitBrain
            | Self::DeathAnywhere
            | Self::DeathWithOrphans => Moment::Call,
            _ => Moment::Time,
        }
    }

    /// The error of a call that fails at once.
    #[must_use]
    pub const fn error(self) -> Option<ErrorKind> {
        Some(match self {
            Self::Unavailable | Self::Storm => ErrorKind::Unavailable,
            Self::Rejected => ErrorKind::Rejected,
            Self::Conflict => ErrorKind::Conflict,
            Self::Denied => ErrorKind::Denied,
            Self::Internal => ErrorKind::Internal,
            Self::NotFoundLie => ErrorKind::NotFound,
            _ => return None,
        })
    }

    /// One of this kind in a story of so many steps.
    #[must_use]
    pub fn draw(self, dice: &mut Dice, steps: usize) -> Fault {
        let verb = match self {
            Self::StaleStatus | Self::FalseSplitBrain => Some("status"),
            Self::Twice => Some(dice.pick(&[
                "create",
                "adopt",
                "remove",
                "snapshot",
                "clone_snapshot",
                "demote",
                "promote",
                "ship",
            ])),
            Self::Storm | Self::DeathAnywhere | Self::DeathWithOrphans => None,
            _ => dice.percent(80).then(|| dice.pick(&VERBS)),
        };
        let (after, length) = match self.moment() {
            Moment::Commit => (dice.below(30), 1 + dice.below(4)),
            Moment::Call if verb.is_some() => (dice.below(6), 1 + dice.below(3)),
            Moment::Call => (dice.below(120), 1 + dice.below(3)),
            Moment::Time => (dice.below(90), 20 + dice.below(400)),
        };
        let length = match self {
            Self::Storm => 10 + dice.below(60),
            Self::StaleStatus | Self::FalseSplitBrain => 1 + dice.below(8),
            Self::StoreSlow => 31 + dice.below(60),
            Self::NodeFreezes => 31 + dice.below(200),
            _ => length,
        };
        Fault {
            kind: self,
            step: usize::try_from(dice.below(steps as u64 + 1)).unwrap(),
            after,
            length,
            site: dice.pick(&["a", "b"]),
            verb,
            roll: dice.roll(),
        }
    }
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    met: u64,
}

/// A call, as the account of exact places keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPlace {
    /// Which method.
    pub verb: &'static str,
    /// Whether it changes anything.
    pub changes: bool,
}

/// What is armed now, and what has struck.
#[derive(Debug, Default)]
pub struct Board {
    armed: Vec<Armed>,
    exact: Option<(Place, FaultKind)>,
    /// Commits since both sites were registered.
    pub commits: u64,
    /// Calls since then.
    pub calls: Vec<CallPlace>,
    /// How often each kind struck.
    pub struck: BTreeMap<FaultKind, u64>,
}

impl Board {
    /// Arms a fault of commits or calls.
    pub fn arm(&mut self, fault: Fault) {
        self.armed.push(Armed { fault, met: 0 });
    }

    /// Ends all that has not struck.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Counts one that struck.
    pub fn count(&mut self, kind: FaultKind) {
        *self.struck.entry(kind).or_default() += 1;
    }

    fn take(&mut self, matches: impl Fn(&Fault) -> bool) -> Option<Fault> {
        for armed in &mut self.armed {
            if !matches(&armed.fault) {
                continue;
            }
            armed.met += 1;
            let lasts = match armed.fault.kind {
                // For these `length` is a time, or they strike once.
                FaultKind::StoreSlow
                | FaultKind::DeathBeforeCommit
                | FaultKind::DeathAfterCommit
                | FaultKind::TornCommit
                | FaultKind::BitFlip
                | FaultKind::DeathAnywhere
                | FaultKind::DeathWithOrphans
                | FaultKind::Hang
                | FaultKind::DoneHang => 1,
                _ => armed.fault.length,
            };
            if armed.met > armed.fault.after && armed.met - armed.fault.after <= lasts {
                return Some(armed.fault.clone());
            }
        }
        None
    }

    /// Counts from here, with something that goes wrong at an exact place.
    pub fn begin(&mut self, exact: Option<(Place, FaultKind)>) {
        self.exact = exact;
        self.commits = 0;
        self.calls.clear();
    }

    fn at_place(&mut self, now: Place) -> Option<Fault> {
        let (_, kind) = self.exact.take_if(|(place, _)| *place == now)?;
        Some(Fault {
            kind,
            step: 0,
            after: 0,
            length: 1,
            site: "",
            verb: None,
            // A process that dies in a call dies when the call has taken effect and is not answered yet.
            roll: 180,
        })
    }

    /// The fault that strikes a commit now.
    pub fn at_commit(&mut self) -> Option<Fault> {
        self.commits += 1;
        let exact = self.at_place(Place::Commit(self.commits));
        if exact.is_some() {
            return exact;
        }
        self.take(|f| f.kind.moment() == Moment::Commit)
    }

    /// The fault that strikes a call now.
    pub fn at_call(&mut self, site: &str, verb: &'static str, changes: bool) -> Option<Fault> {
        self.calls.push(CallPlace { verb, changes });
        let exact = self.at_place(Place::Call(self.calls.len() as u64));
        if exact.is_some() {
            return exact;
        }
        self.take(|f| f.kind.moment() == Moment::Call && f.site == site && f.verb.is_none_or(|v| v == verb))
    }
}
