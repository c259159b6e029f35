"""The values of the product: what requests are made of and what answers hold.

Made by generate.py from the source of the engine.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Self, TypeAlias

from ._values import UNSET, HasId, Listing, Secret, Unset, Value

__all__ = [
    "About",
    "AccountUpdate",
    "Action",
    "ActionAdopt",
    "ActionAwaitArrival",
    "ActionAwaitReady",
    "ActionAwaitReplica",
    "ActionClone",
    "ActionCreate",
    "ActionDelay",
    "ActionDemote",
    "ActionDisableReplication",
    "ActionEnableReplication",
    "ActionFence",
    "ActionFlatten",
    "ActionForcePromote",
    "ActionPromote",
    "ActionRejoin",
    "ActionRelease",
    "ActionRemove",
    "ActionRemoveImage",
    "ActionRemoveSnapshot",
    "ActionRename",
    "ActionResync",
    "ActionShip",
    "ActionSnapshot",
    "ActionStartServer",
    "ActionStopServer",
    "ActionUnfence",
    "Actor",
    "AdoptSpec",
    "Approval",
    "ApprovalId",
    "ApprovalState",
    "ApprovalStateApproved",
    "ApprovalStateRejected",
    "ApprovalStateUsed",
    "ApprovalStateWaiting",
    "Area",
    "AuditEntry",
    "AuditId",
    "AuditOutcome",
    "AuditOutcomeBegun",
    "AuditOutcomeDone",
    "AuditOutcomeFailed",
    "AuditOutcomeRefused",
    "AvailabilityZone",
    "BundleManifest",
    "BundledFile",
    "ClearOperation",
    "CloudCapabilities",
    "CloudId",
    "CloudReport",
    "Cluster",
    "ClusterChange",
    "ClusterChangeConnected",
    "ClusterChangeDisconnected",
    "ClusterChangeReread",
    "ClusterChangeResource",
    "ClusterEvent",
    "ClusterHealth",
    "ClusterId",
    "ClusterRequest",
    "ClusterUpdate",
    "Comparison",
    "ComparisonDiffers",
    "ComparisonSame",
    "ComparisonUnknown",
    "Condition",
    "Connection",
    "ConnectionInfo",
    "ConnectionReport",
    "ConnectionState",
    "ConnectorField",
    "ConnectorInfo",
    "Consistency",
    "ConsistencyApplication",
    "ConsistencyCrash",
    "ConsistencyOrdered",
    "Content",
    "CreatedKind",
    "CriticalStep",
    "DataPoint",
    "DataPointLatestData",
    "DataPointLatestSnapshot",
    "DataPointSpecificSnapshot",
    "DayOfMonth",
    "DayOfMonthDay",
    "DayOfMonthLast",
    "Decided",
    "Decision",
    "DecisionKind",
    "DecisionPart",
    "DrillSchedule",
    "Entry",
    "ErrorKind",
    "ErrorRecord",
    "Event",
    "EventArea",
    "EventCode",
    "EventCreated",
    "EventDeadlineMoved",
    "EventDecided",
    "EventFrozen",
    "EventIntent",
    "EventNoted",
    "EventOutcome",
    "EventPart",
    "EventPlanned",
    "EventProgress",
    "EventReported",
    "EventSkipped",
    "EventTransition",
    "ExecutionType",
    "ExecutionTypeAtDateTime",
    "ExecutionTypeImmediate",
    "ExecutionTypeSchedule",
    "Explanation",
    "FailbackOffer",
    "FieldChange",
    "FieldKind",
    "Finding",
    "FindingSeverity",
    "Flavor",
    "FloatingIp",
    "ForceRight",
    "Forecast",
    "Frozen",
    "GroupHealth",
    "GroupId",
    "GroupRequest",
    "GroupUpdate",
    "Half",
    "HalfConnection",
    "HalfInfo",
    "Handle",
    "Happened",
    "HealthReport",
    "Home",
    "Hypervisor",
    "ImageRef",
    "ImageRefKnown",
    "ImageRefOutputOf",
    "ImageRefReplica",
    "ImageState",
    "Instance",
    "InstanceMapping",
    "InstancePart",
    "InstanceRecoveryState",
    "IntervalUnit",
    "Inventory",
    "Is",
    "IsAbsent",
    "IsAtLeast",
    "IsAtMost",
    "IsContaining",
    "IsNoneOf",
    "IsOneOf",
    "JobDefinition",
    "JobId",
    "JobOperation",
    "JobPart",
    "JobPhase",
    "JobRequest",
    "JobState",
    "JobSummary",
    "JobType",
    "JobUpdate",
    "JobView",
    "JournalPart",
    "KeyId",
    "KeyReference",
    "KeyReferenceConnection",
    "KeyReferenceHost",
    "Keypair",
    "Language",
    "Learned",
    "LeavingVolume",
    "LeftoverPart",
    "License",
    "LicenseClaims",
    "LicenseInfo",
    "LicenseState",
    "LinkedRecovery",
    "Listing",
    "Login",
    "LoginId",
    "Manifest",
    "MarkRef",
    "MarkRefKnown",
    "MarkRefOutputOf",
    "Measured",
    "Network",
    "Notice",
    "OperationRequest",
    "OtherPoint",
    "OwnerGroupId",
    "Page",
    "PairingOffer",
    "ParentPolicy",
    "Phase",
    "PhaseKind",
    "PlanAssessment",
    "PlanChange",
    "PlanChangePart",
    "PlanChangePartInstanceLeft",
    "PlanChangePartUpdated",
    "PlanChangePartVolumeLeft",
    "PlanChangePartVolumeReturned",
    "PlanId",
    "PlanReason",
    "PlanRequest",
    "PlanStatus",
    "PlanUpdate",
    "PointContent",
    "PointId",
    "PointVolume",
    "Port",
    "PowerState",
    "Probe",
    "ProbeGuestCommand",
    "ProbeHttp",
    "ProbePort",
    "ProductEvent",
    "ProtectionGroup",
    "Query",
    "ReadinessCheck",
    "RecoveryPlan",
    "RecoveryPoint",
    "RecoveryReport",
    "Recurrence",
    "RecurrenceDaily",
    "RecurrenceMonthlyByDay",
    "RecurrenceMonthlyByWeekday",
    "RecurrenceWeekly",
    "Ref",
    "RefKnown",
    "RefOutputOf",
    "ReplicatedVolume",
    "ReplicationId",
    "ReplicationMode",
    "ReplicationPhase",
    "ReplicationPhaseDemoted",
    "ReplicationPhaseError",
    "ReplicationPhaseInitialCopy",
    "ReplicationPhasePrimary",
    "ReplicationPhaseReplicating",
    "ReplicationPhaseSplitBrain",
    "ReplicationPhaseUnknown",
    "ReplicationStatus",
    "ReportInput",
    "ReprotectRequest",
    "Resealed",
    "Resource",
    "ResourceKind",
    "ResourceMapping",
    "ResultCode",
    "Role",
    "Router",
    "RpoBreach",
    "RuleSpec",
    "ScheduleId",
    "ScheduleRequest",
    "ScheduleUpdate",
    "SecurityGroup",
    "SecurityGroupRule",
    "ServerGroup",
    "SettingInfo",
    "SettingUnit",
    "Severity",
    "Side",
    "SnapshotInfo",
    "SnapshotInterval",
    "SortKey",
    "Span",
    "Spec",
    "SpecFlavor",
    "SpecFloatingIp",
    "SpecKeypair",
    "SpecNetwork",
    "SpecPort",
    "SpecRouter",
    "SpecRouterInterface",
    "SpecSecurityGroup",
    "SpecSecurityGroupRules",
    "SpecServer",
    "SpecServerGroup",
    "SpecSubnet",
    "SpecTenant",
    "SpecTenantAccess",
    "Step",
    "StepEffect",
    "StorageCapabilities",
    "StorageReport",
    "Subnet",
    "Subscription",
    "SubscriptionId",
    "SubscriptionRequest",
    "SubscriptionUpdate",
    "SupportBundle",
    "SyncState",
    "SyncStateDone",
    "SyncStateFailed",
    "SyncStateInit",
    "SyncStateRunning",
    "Task",
    "TaskGraph",
    "TaskOutput",
    "TaskPart",
    "TaskResult",
    "TaskResultDone",
    "TaskResultFailed",
    "TaskResultRetry",
    "TaskState",
    "TaskStatus",
    "Tenant",
    "TenantQuota",
    "Timetable",
    "User",
    "UserGroup",
    "UserGroupRequest",
    "UserGroupUpdate",
    "UserId",
    "UserRequest",
    "UserRole",
    "UserUpdate",
    "Verb",
    "VerifiedReport",
    "VerifyScope",
    "VerifyScopeSample",
    "VerifyScopeWhole",
    "Volume",
    "VolumeGroup",
    "VolumeLoss",
    "VolumeMetadata",
    "VolumeMetadataRequest",
    "VolumePart",
    "VolumeSnapshot",
    "VolumeType",
    "VolumeVerification",
    "Warning",
    "WeekOfMonth",
    "Weekday",
    "Work",
    "WorkFence",
    "WorkPoint",
    "WorkProtect",
    "WorkPrune",
    "WorkRecovery",
    "WorkUnprotect",
]

ApprovalId: TypeAlias = str
AuditId: TypeAlias = str
CloudId: TypeAlias = str
ClusterId: TypeAlias = str
GroupId: TypeAlias = str
JobId: TypeAlias = str
KeyId: TypeAlias = str
LoginId: TypeAlias = str
OwnerGroupId: TypeAlias = str
PlanId: TypeAlias = str
PointId: TypeAlias = str
ReplicationId: TypeAlias = str
ScheduleId: TypeAlias = str
SubscriptionId: TypeAlias = str
UserId: TypeAlias = str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class About(Value):
    """The things that an event is about."""

    cluster: ClusterId | None = None
    """A cluster."""
    group: GroupId | None = None
    """A protection group."""
    plan: PlanId | None = None
    """A recovery plan."""
    job: JobId | None = None
    """A job."""
    point: PointId | None = None
    """A recovery point."""
    schedule: ScheduleId | None = None
    """A schedule."""
    user: str | None = None
    """A user, by name."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AccountUpdate(Value):
    """What is to be changed of one's own account; none leaves it. Role and groups are for others to change (USR-11)."""

    name: str | None = None
    """Another name."""
    mail: str | None = None
    """Another mail address."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionCreate(Value):
    """Makes a thing in a cloud."""

    action: ClassVar[Literal["create"]] = "create"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    spec: Spec
    """Spec"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionAdopt(Value):
    """Makes a volume of an image. The spec's ``storage`` is replaced by ``image``."""

    action: ClassVar[Literal["adopt"]] = "adopt"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    spec: AdoptSpec
    """Spec"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionRemove(Value):
    """Removes what a task made. Without a handle it is looked for by token."""

    action: ClassVar[Literal["remove"]] = "remove"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    kind: CreatedKind
    """Kind"""
    tenant: Ref | None = None
    """Tenant"""
    handle: Handle | None = None
    """Handle"""
    token: str
    """Token"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionRelease(Value):
    """Lets go of a volume that a task adopted."""

    action: ClassVar[Literal["release"]] = "release"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    handle: Handle | None = None
    """Handle"""
    token: str
    """Token"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionStopServer(Value):
    """Stops a server. ``was_running`` is what the inventory said when the graph was planned: rollback restores it."""

    action: ClassVar[Literal["stop_server"]] = "stop_server"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    server: Ref
    """Server"""
    was_running: bool
    """Was_running"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionStartServer(Value):
    """Starts a server."""

    action: ClassVar[Literal["start_server"]] = "start_server"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    server: Ref
    """Server"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionFlatten(Value):
    """Makes an image independent of its parent."""

    action: ClassVar[Literal["flatten"]] = "flatten"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionEnableReplication(Value):
    """Begins replication from Source to Target."""

    action: ClassVar[Literal["enable_replication"]] = "enable_replication"
    _tag: ClassVar[str | None] = "action"
    image: ImageRef
    """Image"""
    mode: ReplicationMode
    """Mode"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionAwaitReplica(Value):
    """Waits until the Target holds a complete first copy; gives the replica's place."""

    action: ClassVar[Literal["await_replica"]] = "await_replica"
    _tag: ClassVar[str | None] = "action"
    source: str
    """Source"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionDisableReplication(Value):
    """Ends replication from the Source and waits until the replica is gone. When the Source's ``image`` is itself gone, a replica that
    stays may be the last copy: it is left.
    """

    action: ClassVar[Literal["disable_replication"]] = "disable_replication"
    _tag: ClassVar[str | None] = "action"
    replication_id: ReplicationId
    """Replication_id"""
    image: str | None = None
    """Image"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionSnapshot(Value):
    """Takes a user snapshot."""

    action: ClassVar[Literal["snapshot"]] = "snapshot"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    name: str
    """Name"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionRemoveSnapshot(Value):
    """Removes a user snapshot."""

    action: ClassVar[Literal["remove_snapshot"]] = "remove_snapshot"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    name: str
    """Name"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionShip(Value):
    """Sends everything written on ``side`` so far towards its peer; gives a mark."""

    action: ClassVar[Literal["ship"]] = "ship"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    snapshot: str | None = None
    """Snapshot"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionAwaitArrival(Value):
    """Waits until ``side`` holds what the mark covers."""

    action: ClassVar[Literal["await_arrival"]] = "await_arrival"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    mark: MarkRef
    """Mark"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionClone(Value):
    """Clones a snapshot on the Target."""

    action: ClassVar[Literal["clone"]] = "clone"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    snapshot: str
    """Snapshot"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionRemoveImage(Value):
    """Removes an image that a task made."""

    action: ClassVar[Literal["remove_image"]] = "remove_image"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    token: str
    """Token"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionDemote(Value):
    """Makes an image read only; gives the mark of its demotion, also when it was demoted before. With ``only_if_primary`` set nothing is
    done, and no mark given, to an image that was never primary here or does not replicate.
    """

    action: ClassVar[Literal["demote"]] = "demote"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    only_if_primary: bool
    """Only_if_primary"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionPromote(Value):
    """Makes an image writable after its peer's demotion has arrived. Without a mark (the peer was never promoted) the image proves its own
    demotion. The peer is looked at first and must not be primary.
    """

    action: ClassVar[Literal["promote"]] = "promote"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    demotion: MarkRef | None = None
    """Demotion"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionForcePromote(Value):
    """Makes an image writable although its peer may be primary, by the recorded decision; the peer is fenced from then on."""

    action: ClassVar[Literal["force_promote"]] = "force_promote"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    decision: str
    """Decision"""
    epoch: int
    """Epoch"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionResync(Value):
    """Throws a copy away and copies the peer again, by the recorded decision."""

    action: ClassVar[Literal["resync"]] = "resync"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    decision: str
    """Decision"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionRejoin(Value):
    """Makes the copy on ``side``, which wrote in an older epoch, follow the peer, which writes now: demotes it, and where the two have
    diverged throws it away by the recorded decision. Without a decision a diverged copy stays as it is.
    """

    action: ClassVar[Literal["rejoin"]] = "rejoin"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    replication_id: ReplicationId
    """Replication_id"""
    decision: str | None = None
    """Decision"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionFence(Value):
    """Cuts a cluster off for certain, by the recorded decision; gives what shows it."""

    action: ClassVar[Literal["fence"]] = "fence"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    cluster: ClusterId
    """Cluster"""
    decision: str
    """Decision"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionUnfence(Value):
    """Lets go of the fence that a task holds with this token."""

    action: ClassVar[Literal["unfence"]] = "unfence"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    cluster: ClusterId
    """Cluster"""
    token: str
    """Token"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionRename(Value):
    """Gives an image its name back."""

    action: ClassVar[Literal["rename"]] = "rename"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    image: ImageRef
    """Image"""
    name: str
    """Name"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionAwaitReady(Value):
    """Waits until what runs in the server of an instance is ready."""

    action: ClassVar[Literal["await_ready"]] = "await_ready"
    _tag: ClassVar[str | None] = "action"
    side: Side
    """Side"""
    instance: CloudId
    """Instance"""
    cluster: ClusterId
    """Cluster"""
    server: Ref
    """Server"""
    check: ReadinessCheck
    """Check"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ActionDelay(Value):
    """Waits."""

    action: ClassVar[Literal["delay"]] = "delay"
    _tag: ClassVar[str | None] = "action"
    seconds: int
    """Seconds"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Actor(Value):
    """Who acts. The host vouches for it: it has authenticated whoever asks. The name is kept with everything the actor causes."""

    name: str
    """Name for journals and reports."""
    role: UserRole
    """What they may do."""
    groups: frozenset[OwnerGroupId] = frozenset()
    """The groups they belong to: nothing of others is theirs to see, but an Admin's (USR-03)."""

    @classmethod
    def admin(cls, name: str) -> Self:
        """Somebody who may do everything."""
        return cls(name=name, role=UserRole.ADMIN)

    @classmethod
    def member(cls, name: str, role: UserRole, groups: Iterable[OwnerGroupId]) -> Self:
        """Somebody who may do what their role allows with what their groups own."""
        return cls(name=name, role=role, groups=frozenset(groups))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AdoptSpec(Value):
    """How a storage image becomes a volume of the cloud."""

    tenant: Ref
    """The tenant that owns the volume."""
    storage: str
    """The image; must be writable (a replica is promoted first)."""
    name: str
    """Name of the volume."""
    volume_type: str
    """Name of its volume type."""
    bootable: bool
    """Whether an instance can boot from it."""
    availability_zone: str | None = None
    """Zone of the volume, where the cloud has zones for volumes."""
    metadata: Mapping[str, str]
    """Free key-value pairs."""
    image_metadata: Mapping[str, str]
    """Properties of the image it was once made from; clouds forget them on adoption."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Approval(Value):
    """A request for a second person's word."""

    _flat: ClassVar[tuple[str, ...]] = ('state',)
    id: ApprovalId
    """Our id."""
    action: str
    """What is to be done, e.g. ``jobs.failover``."""
    object: str
    """With what: the id of a plan or a job."""
    request: Any
    """All that was asked, as its JSON form."""
    digest: str
    """SHA-256 of action, object and request, hexadecimal: it is given for this very call."""
    area: Area
    """In which part of the product."""
    verb: Verb
    """By which right, which the second person has to have as well."""
    owner_group_id: OwnerGroupId
    """Whose it is: the owner of the group that it is about."""
    requested_by: str
    """Who asked."""
    requested_at: datetime
    """When."""
    expires_at: datetime
    """When it is worth nothing any more, approved or not."""
    state: ApprovalState
    """How far it is."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApprovalStateWaiting(Value):
    """Nobody has said anything yet."""

    state: ClassVar[Literal["waiting"]] = "waiting"
    _tag: ClassVar[str | None] = "state"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApprovalStateApproved(Value):
    """Somebody said yes: whoever asked may do it, once."""

    state: ClassVar[Literal["approved"]] = "approved"
    _tag: ClassVar[str | None] = "state"
    by: str
    """Who."""
    at: datetime
    """When."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApprovalStateRejected(Value):
    """Somebody said no."""

    state: ClassVar[Literal["rejected"]] = "rejected"
    _tag: ClassVar[str | None] = "state"
    by: str
    """Who."""
    at: datetime
    """When."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ApprovalStateUsed(Value):
    """It was approved, and done."""

    state: ClassVar[Literal["used"]] = "used"
    _tag: ClassVar[str | None] = "state"
    by: str
    """Who approved it."""
    at: datetime
    """When it was done."""


class Area(StrEnum):
    """A part of the product, as rights are given."""

    CLUSTERS = "clusters"
    """Clusters and their inventories."""
    PROTECTION_GROUPS = "protection_groups"
    """Protection groups and their recovery points."""
    PLANS = "plans"
    """Recovery plans."""
    JOBS = "jobs"
    """Recovery jobs and their schedules."""
    RESULTS = "results"
    """Results."""
    LICENSE = "license"
    """The licence."""
    USERS = "users"
    """Users and user groups; what is one's own apart (CON-31)."""
    SETTINGS = "settings"
    """Settings of the product (SET-01)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuditEntry(Value):
    """One entry of the audit trail. It is written before anything is done, gets its outcome after, and is never changed again nor removed."""

    _flat: ClassVar[tuple[str, ...]] = ('outcome',)
    id: AuditId
    """Our id; the order of ids is that of time."""
    at: datetime
    """When it was begun."""
    ended_at: datetime | None = None
    """When it ended; none while it is ``Begun``."""
    actor: str
    """Who: the id of an account, or the name that the host vouched for."""
    role: UserRole | None = None
    """As what; none when nobody was logged in."""
    area: Area
    """In which part of the product."""
    verb: Verb
    """By which right."""
    action: str
    """What exactly, e.g. ``jobs.confirm``."""
    object: str = ""
    """With what: an id; the name of what is yet to be made."""
    changes: Mapping[str, FieldChange] = _field(default_factory=dict)
    """The fields that were changed, by their names in the thing's JSON form. Secrets are never among them."""
    approved_by: str | None = None
    """Who approved it, where a second person had to (SEC-25)."""
    outcome: AuditOutcome
    """How it ended."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuditOutcomeBegun(Value):
    """It was begun, and how it ended is not known: it goes on, or whoever did it died or gave up waiting."""

    outcome: ClassVar[Literal["begun"]] = "begun"
    _tag: ClassVar[str | None] = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuditOutcomeDone(Value):
    """It was done. What a job does from then on is in the job's journal."""

    outcome: ClassVar[Literal["done"]] = "done"
    _tag: ClassVar[str | None] = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuditOutcomeRefused(Value):
    """It was refused, and changed nothing."""

    outcome: ClassVar[Literal["refused"]] = "refused"
    _tag: ClassVar[str | None] = "outcome"
    code: str
    """The code of the error."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AuditOutcomeFailed(Value):
    """It failed."""

    outcome: ClassVar[Literal["failed"]] = "failed"
    _tag: ClassVar[str | None] = "outcome"
    code: str
    """The code of the error."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AvailabilityZone(Value):
    """An availability zone; its name is its id."""

    _kind: ClassVar[str] = "availability_zone"
    id: CloudId
    """Its name again."""
    name: str
    """Its name."""
    available: bool
    """Whether servers may be put there."""
    hosts: tuple[str, ...]
    """Compute hosts in it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BundleManifest(Value):
    """What is in a bundle: its first file, ``manifest.json``."""

    format: int
    """The form of bundles, 1."""
    made_at: datetime
    """When it was made."""
    made_by: str
    """By whom."""
    node: str
    """The engine that made it."""
    version: str
    """The version of this library."""
    support_contact: str | None = None
    """For whom (OPS-39); what the host gave."""
    secrets_removed: int
    """How often a secret was taken out of a text. A journal of which something was taken out does not verify."""
    files: tuple[BundledFile, ...]
    """All other files."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BundledFile(Value):
    """One file of a bundle."""

    name: str
    """Its name in the bundle."""
    bytes: int
    """How long it is, in bytes."""
    sha256: str
    """Its digest (SHA-256, hexadecimal)."""


class ClearOperation(StrEnum):
    """Which clean-up failed (CON-27)."""

    ROLLBACK = "rollback"
    """A rollback."""
    CONFIRM = "confirm"
    """A confirm."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CloudCapabilities(Value):
    """What a cloud provider can do. Planning refuses early what is missing here."""

    adopt: bool
    """Storage images can be adopted as volumes and released again."""
    choose_host: bool
    """A server can be put on a chosen compute node."""
    choose_mac: bool
    """A port can be given its hardware address."""
    choose_floating_ip: bool
    """A floating IP can be given its address."""
    multiattach: bool
    """A volume can be attached to several servers."""
    console: bool
    """The console of a server can be read."""

    @classmethod
    def none(cls) -> Self:
        """Nothing."""
        return cls(**dict.fromkeys(cls.__slots__, False))

    @classmethod
    def all(cls) -> Self:
        """Everything."""
        return cls(**dict.fromkeys(cls.__slots__, True))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CloudReport(Value):
    """What a connection check found (CL-02)."""

    cloud_id: str
    """The cloud's own identity, as far as it has one (its identity endpoint, without credentials)."""
    user: str
    """The user the provider works as."""
    missing_rights: tuple[str, ...]
    """Rights that recovery needs and the user lacks; empty is good."""
    excess_rights: tuple[str, ...]
    """Rights that recovery does not need (SEC-09)."""
    clock_skew_seconds: int
    """Seconds by which the cloud's clock is ahead of ours; negative when behind."""
    services: tuple[tuple[str, str], ...]
    """Services found, with their versions."""
    new_tenant: TenantQuota = _field(default_factory=lambda: TenantQuota())
    """What a tenant may hold that a recovery makes."""
    warnings: tuple[str, ...]
    """Things to tell the operator that do not forbid registration, e.g. plain http."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Cluster(Value):
    """One registered cloud together with the storage its volumes live on."""

    id: ClusterId
    """Our id."""
    name: str
    """Unique name (CL-04, CL-05)."""
    owner_group_id: OwnerGroupId
    """Who owns it (CL-07)."""
    note: str
    """Free text."""
    platform: str
    """What kind of cloud, as its provider names it, e.g. ``openstack``."""
    storage_kind: str
    """What kind of storage, as its provider names it, e.g. ``ceph-rbd``. Both sides of a plan must agree (PLAN-20)."""
    storage_id: str
    """The storage's own identity (Ceph: the fsid), so that a cluster is not paired with itself."""
    connection: ConnectionState
    """Whether it answers."""
    inactive_because: ErrorRecord | None = None
    """Why it does not answer (CL-11); none while it does, and where nobody has found out yet."""
    sync: SyncState
    """How far inventory synchronisation is."""
    registered_at: datetime
    """When it was registered."""
    modified_at: datetime | None = None
    """When its name or note was changed last; none when they never were."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterChangeConnected(Value):
    """The cluster answers again (EVT-01)."""

    what: ClassVar[Literal["connected"]] = "connected"
    _tag: ClassVar[str | None] = "what"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterChangeDisconnected(Value):
    """The cluster does not answer any more (EVT-01)."""

    what: ClassVar[Literal["disconnected"]] = "disconnected"
    _tag: ClassVar[str | None] = "what"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterChangeReread(Value):
    """So much changed at once that it is not told thing by thing, as with the first synchronisation: read the inventory anew."""

    what: ClassVar[Literal["reread"]] = "reread"
    _tag: ClassVar[str | None] = "what"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterChangeResource(Value):
    """One thing (EVT-02 … EVT-11)."""

    what: ClassVar[Literal["resource"]] = "resource"
    _tag: ClassVar[str | None] = "what"
    kind: ResourceKind
    """Its kind."""
    id: CloudId
    """Its id in the cloud."""
    name: str
    """Its name; the last one it had when it was removed."""
    happened: Happened
    """What happened to it."""
    fields: tuple[str, ...]
    """Which of its fields changed, by their names in its JSON form; empty unless it was there before and after."""
    learned: Learned
    """How the engine came to know."""
    resource: Resource | None = None
    """What it is now; none when it was removed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterEvent(Value):
    """One event of a cluster."""

    cluster_id: ClusterId
    """Which cluster."""
    position: int
    """Counts up from 1 within the cluster, without gaps: to go on reading where one stopped."""
    at: datetime
    """When the engine knew."""
    change: ClusterChange
    """What changed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterHealth(Value):
    """A cluster as it was found."""

    id: ClusterId
    """Which."""
    name: str
    """Its name."""
    cloud_answers: bool
    """Whether its cloud answers."""
    storage_answers: bool
    """Whether its storage answers."""
    sync_age_seconds: int | None = None
    """How long ago its inventory was complete, in seconds; none when it never was."""
    clock_skew_seconds: int | None = None
    """By how many seconds the cloud's clock is ahead; none when it does not answer."""
    replication_healthy: bool | None = None
    """Whether the replication service of its storage works (OPS-32); none when it does not answer."""
    peers: tuple[str, ...]
    """The peers of its storage."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterRequest(Value):
    """What to register."""

    name: str
    """Unique name (CL-04, CL-05)."""
    owner_group_id: OwnerGroupId
    """Who owns it (CL-07)."""
    note: str = ""
    """Free text."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterUpdate(Value):
    """What is to be changed of a cluster (CL-13). Type, owner, address and account cannot be (CL-14, OPEN-42): delete the cluster and
    register it again.
    """

    name: str | None = None
    """Another name; none leaves it."""
    note: str | None = None
    """Another note; none leaves it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ComparisonSame(Value):
    """Byte for byte the same."""

    comparison: ClassVar[Literal["same"]] = "same"
    _tag: ClassVar[str | None] = "comparison"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ComparisonDiffers(Value):
    """Not the same: the point must not be relied on."""

    comparison: ClassVar[Literal["differs"]] = "differs"
    _tag: ClassVar[str | None] = "comparison"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ComparisonUnknown(Value):
    """The source has the snapshot no more, or never answered for it; the vault is all there is."""

    comparison: ClassVar[Literal["unknown"]] = "unknown"
    _tag: ClassVar[str | None] = "comparison"
    error: ErrorRecord
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Condition(Value):
    """A condition on one field. Several in a query all have to hold."""

    field: str
    """The field's name."""
    is_: Is
    """What is asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Connection(Value):
    """How to connect to a cluster."""

    cloud: HalfConnection
    """Its cloud."""
    storage: HalfConnection
    """Its storage."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectionInfo(Value):
    """What a reader sees of a connection that the engine keeps."""

    cloud: HalfInfo
    """The cloud."""
    storage: HalfInfo
    """The storage."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectionReport(Value):
    """What a connection check found on both halves of a cluster."""

    cloud: CloudReport
    """The cloud."""
    storage: StorageReport
    """The storage."""
    warnings: tuple[Warning, ...] = ()
    """What to tell the operator of the settings, e.g. that an address is plain ``http`` (SEC-08)."""


class ConnectionState(StrEnum):
    """Whether the cluster answers (CL-11)."""

    ACTIVE = "active"
    """Connected."""
    INACTIVE = "inactive"
    """The connection is lost."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectorField(Value):
    """A field that a connector takes (CL-08): enough for a portal to draw it."""

    name: str
    """Its name, unique among settings and secrets of the connector."""
    kind: FieldKind
    """What it holds."""
    required: bool
    """Whether there is no connection without it. What is needed only beside others, the connector itself refuses."""
    about: str
    """What it means, in a few words, for people."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectorInfo(Value):
    """A connector that the engine has (CL-08): what can be chosen for a half, and what it asks for."""

    half: Half
    """The half it connects."""
    kind: str
    """Its name: the platform of a cloud, the kind of a storage."""
    fields: tuple[ConnectorField, ...]
    """What it asks for."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConsistencyApplication(Value):
    """The guests' file systems were frozen."""

    kind: ClassVar[Literal["application"]] = "application"
    _tag: ClassVar[str | None] = "kind"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConsistencyCrash(Value):
    """All writers were stopped or paused."""

    kind: ClassVar[Literal["crash"]] = "crash"
    _tag: ClassVar[str | None] = "kind"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConsistencyOrdered(Value):
    """Volumes were snapshotted one after the other; ``skew_ms`` lies between the first and the last."""

    kind: ClassVar[Literal["ordered"]] = "ordered"
    _tag: ClassVar[str | None] = "kind"
    skew_ms: int
    """Milliseconds between the first and the last snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Content(Value):
    """What an image holds, or held at a snapshot, from its first byte to its last."""

    bytes: int
    """How much it is, in bytes; holes count as zeros."""
    sha256: str
    """Its digest (SHA-256, hexadecimal): equal on both sides exactly when the content is. Only digests of one kind of storage can be
    compared.
    """


class CreatedKind(StrEnum):
    """The kinds of things the product makes in a cloud."""

    TENANT = "tenant"
    """A tenant."""
    TENANT_ACCESS = "tenant_access"
    """The right of the engine's own user to work in a tenant."""
    NETWORK = "network"
    """A network."""
    SUBNET = "subnet"
    """A subnet."""
    ROUTER = "router"
    """A router."""
    ROUTER_INTERFACE = "router_interface"
    """A subnet's connection to a router."""
    SECURITY_GROUP = "security_group"
    """A security group, without rules."""
    SECURITY_GROUP_RULES = "security_group_rules"
    """All rules of a security group."""
    KEYPAIR = "keypair"
    """A keypair."""
    FLAVOR = "flavor"
    """A flavour."""
    PORT = "port"
    """A port."""
    FLOATING_IP = "floating_ip"
    """A floating IP."""
    SERVER_GROUP = "server_group"
    """A server group."""
    VOLUME = "volume"
    """A volume, adopted from storage."""
    SERVER = "server"
    """A server."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CriticalStep(Value):
    """A task that the recovery time depends on."""

    key: str
    """Its key, e.g. ``server/web-1``."""
    waited_ms: int
    """Milliseconds from the end of the step before, or the start of the job, until it began."""
    took_ms: int
    """Milliseconds from its first attempt until it ended."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataPointLatestData(Value):
    """What is mirrored to the Target at that moment; failover only."""

    type: ClassVar[Literal["latest_data"]] = "latest_data"
    _tag: ClassVar[str | None] = "type"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataPointLatestSnapshot(Value):
    """The newest recovery point when the job is queued."""

    type: ClassVar[Literal["latest_snapshot"]] = "latest_snapshot"
    _tag: ClassVar[str | None] = "type"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataPointSpecificSnapshot(Value):
    """This recovery point."""

    type: ClassVar[Literal["specific_snapshot"]] = "specific_snapshot"
    _tag: ClassVar[str | None] = "type"
    point_id: PointId
    """Which."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DayOfMonthDay(Value):
    """1 to 31."""

    is_: ClassVar[Literal["day"]] = "day"
    _tag: ClassVar[str | None] = "is"
    day: int
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DayOfMonthLast(Value):
    """The last one, whichever it is."""

    is_: ClassVar[Literal["last"]] = "last"
    _tag: ClassVar[str | None] = "is"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Decided(Value):
    """A decision of an operator, as the journal keeps it."""

    id: str
    """Identifies it."""
    kind: DecisionKind
    """What about."""
    operator: str
    """Who."""
    reason: str
    """Why, in the operator's words."""
    facts: tuple[str, ...]
    """What the engine knew when it asked."""
    at: datetime
    """When."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Decision(Value):
    """An operator's recorded decision, without which nothing that can lose data is done."""

    id: str
    """Identifies the journal entry that holds it."""
    operator: str
    """Who decided."""
    reason: str
    """Why."""


class DecisionKind(StrEnum):
    """What an operator decided."""

    FORCE_PROMOTE = "force_promote"
    """To promote although the Source may be primary."""
    CUT_OFF = "cut_off"
    """To demote the Source's volumes under instances that cannot be stopped, because their cloud does not answer."""
    ROLLBACK = "rollback"
    """To roll a failover back (OPEN-26); the facts say what becomes of writes made on the Target since."""
    IGNORE_LEFTOVERS = "ignore_leftovers"
    """To leave what could not be removed (SM-51)."""
    CONFIRM = "confirm"
    """To confirm the failover."""
    GIVE_UP_COPIES = "give_up_copies"
    """To throw away copies that diverged, so that they follow the other side again."""
    OTHER_POINT = "other_point"
    """To recover instances again, from another recovery point (SM-67)."""
    APPROVE = "approve"
    """To let somebody else's job be made (SEC-25); the facts say whose."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DecisionPart(Value):
    """One decision of an operator that could lose data or leave things behind."""

    kind: str
    """What was decided, e.g. ``force_promote``."""
    operator: str
    """Who."""
    reason: str
    """Why, in the operator's words."""
    at: datetime | None = None
    """When."""
    facts: tuple[str, ...]
    """What the engine knew and showed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DrillSchedule(Value):
    """What makes drills of a group by a timetable. Each run is a job of its own (OPEN-18)."""

    id: ScheduleId
    """Our id."""
    name: str
    """Its name."""
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    owner_group_id: OwnerGroupId
    """Whose it is: the owner of the group."""
    timetable: Timetable
    """When."""
    exclude: frozenset[CloudId] = frozenset()
    """Instances left out."""
    enabled: bool
    """Whether it makes drills now."""
    served: datetime
    """Up to when its runs have been made, or left out because it was not enabled."""
    last_job: JobId | None = None
    """The job of its last run."""
    created_by: str
    """Who made it."""
    created_at: datetime
    """When it was made."""
    modified_at: datetime
    """When it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Entry(Value):
    """One line of a journal, opened."""

    job: JobId
    """Whose journal."""
    position: int
    """Position, from 1."""
    at: datetime
    """When it was written."""
    event: Event
    """What happened."""


class ErrorKind(StrEnum):
    """What kind of failure this is: what the engine and callers match on."""

    INVALID = "invalid"
    """The input breaks a rule of form: a field is missing, too long, out of range. Nothing was touched."""
    REFUSED = "refused"
    """A rule of the product forbids it in the present state (a guard). Nothing was touched."""
    NOT_FOUND = "not_found"
    """The thing does not exist."""
    CONFLICT = "conflict"
    """The thing exists already, is in use, or was changed by somebody else meanwhile."""
    UNAUTHENTICATED = "unauthenticated"
    """The credentials are wrong or no longer accepted."""
    DENIED = "denied"
    """The credentials are accepted but lack a right."""
    QUOTA = "quota"
    """A quota or the capacity of the cloud is exhausted."""
    UNAVAILABLE = "unavailable"
    """The service cannot be reached or is not able to answer now; the same call may succeed later."""
    TIMEOUT = "timeout"
    """The deadline passed. **The outcome of the call is unknown**: look before doing it again."""
    REJECTED = "rejected"
    """The service understood and declined for good; repeating is useless."""
    UNSUPPORTED = "unsupported"
    """The provider has not got this capability."""
    CANCELED = "canceled"
    """The caller cancelled."""
    CORRUPT = "corrupt"
    """Stored data does not verify: a broken hash chain, an unreadable record."""
    INTERNAL = "internal"
    """A fault of this library."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ErrorRecord(Value):
    """An ``Error`` as a plain value, for journals, reports and other languages. The cause is flattened into the context by whoever records
    it, so that nothing unprintable is kept.
    """

    kind: ErrorKind
    """What to match on."""
    code: str
    """The stable code."""
    message: str
    """For people."""
    field: str | None = None
    """The input field that is wrong."""
    remedy: str | None = None
    """What to do."""
    context: tuple[tuple[str, str], ...] = ()
    """Facts."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventCreated(Value):
    """The job was made."""

    event: ClassVar[Literal["created"]] = "created"
    _tag: ClassVar[str | None] = "event"
    work: Work
    """What it is to do."""
    actor: str
    """Who made it."""
    owner_group_id: OwnerGroupId | None = None
    """Whose it is: the owner of its group. None in journals of earlier versions."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventFrozen(Value):
    """Its inputs were frozen."""

    event: ClassVar[Literal["frozen"]] = "frozen"
    _tag: ClassVar[str | None] = "event"
    inputs: Frozen
    """The inputs."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventTransition(Value):
    """It went from one state to another."""

    event: ClassVar[Literal["transition"]] = "transition"
    _tag: ClassVar[str | None] = "event"
    from_: JobState
    """From."""
    to: JobState
    """To."""
    operation: JobOperation
    """What it handles from now on."""
    row: str
    """The row of the rule book."""
    result: ResultCode | None = None
    """The result code, where this transition sets it."""
    clear: ClearOperation | None = None
    """Which clean-up is or was under way."""
    deadline: datetime | None = None
    """When a timer acts next."""
    actor: str
    """Who caused it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventDeadlineMoved(Value):
    """A timer was moved (SM-61 … SM-63)."""

    event: ClassVar[Literal["deadline_moved"]] = "deadline_moved"
    _tag: ClassVar[str | None] = "event"
    deadline: datetime
    """When it acts now."""
    actor: str
    """Who moved it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventPlanned(Value):
    """A graph was planned and begins."""

    event: ClassVar[Literal["planned"]] = "planned"
    _tag: ClassVar[str | None] = "event"
    phase: PhaseKind
    """Why it runs."""
    graph: TaskGraph
    """The graph."""
    other: OtherPoint | None = None
    """For a retry from another recovery point."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventDecided(Value):
    """An operator decided something that can lose data or leave things behind."""

    event: ClassVar[Literal["decided"]] = "decided"
    _tag: ClassVar[str | None] = "event"
    decision: str
    """Identifies the decision."""
    kind: DecisionKind
    """What about."""
    operator: str
    """Who."""
    reason: str
    """Why, in the operator's words."""
    facts: tuple[str, ...]
    """What the engine knew when it asked: evidence and possible loss."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventIntent(Value):
    """An effect is about to be tried."""

    event: ClassVar[Literal["intent"]] = "intent"
    _tag: ClassVar[str | None] = "event"
    task: str
    """Which task."""
    attempt: int
    """Which attempt, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventProgress(Value):
    """How far a long task is."""

    event: ClassVar[Literal["progress"]] = "progress"
    _tag: ClassVar[str | None] = "event"
    task: str
    """Which task."""
    percent: int | None = None
    """0 to 100, where known."""
    message: str
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventOutcome(Value):
    """An attempt ended."""

    event: ClassVar[Literal["outcome"]] = "outcome"
    _tag: ClassVar[str | None] = "event"
    _flat: ClassVar[tuple[str, ...]] = ('result',)
    task: str
    """Which task."""
    attempt: int
    """Which attempt."""
    result: TaskResult
    """How."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventSkipped(Value):
    """A task will not be tried, because one it needs failed or the job was cancelled."""

    event: ClassVar[Literal["skipped"]] = "skipped"
    _tag: ClassVar[str | None] = "event"
    task: str
    """Which task."""
    because: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventNoted(Value):
    """Something worth telling that changes nothing."""

    event: ClassVar[Literal["noted"]] = "noted"
    _tag: ClassVar[str | None] = "event"
    code: str
    """Stable code."""
    message: str
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventReported(Value):
    """The report was stored."""

    event: ClassVar[Literal["reported"]] = "reported"
    _tag: ClassVar[str | None] = "event"
    digest: str
    """SHA-256 of the report, hexadecimal."""


class EventArea(StrEnum):
    """The part of the product that an event is about."""

    JOBS = "jobs"
    """Recovery jobs and their schedules."""
    PLANS = "plans"
    """Recovery plans."""
    POINTS = "points"
    """Recovery points, and the objective they serve."""
    CLUSTERS = "clusters"
    """Clusters, and what they hold of protected volumes."""
    NOTIFICATIONS = "notifications"
    """The notification centre itself."""


class EventCode(StrEnum):
    """What an event tells. Codes are stable."""

    JOB_STARTED = "job.started"
    """A recovery job began to run."""
    JOB_SUCCEEDED = "job.succeeded"
    """All of a recovery job's tasks succeeded."""
    JOB_PARTIAL = "job.partial"
    """Some instances were recovered, some were not."""
    INSTANCE_NOT_READY = "job.instance_not_ready"
    """A recovered instance was not ready in time (OPEN-16)."""
    JOB_FAILED = "job.failed"
    """Nothing was recovered."""
    JOB_CANCELED = "job.canceled"
    """A recovery job was cancelled."""
    DECISION_AWAITED = "job.decision_awaited"
    """A failover waits for somebody to confirm it or roll it back."""
    CLEAN_UP_FAILED = "job.clean_up_failed"
    """A rollback or a confirm could not remove everything."""
    JOB_FINISHED = "job.finished"
    """A recovery job has ended for good, its report is there."""
    WINDOW_MISSED = "job.window_missed"
    """A drill could not begin in time (JOB-54)."""
    DRILL_PREEMPTED = "job.drill_preempted"
    """A failover does not wait for a drill."""
    RUNS_MISSED = "schedule.runs_missed"
    """Drills of a schedule fell into a time in which no engine ran (OPEN-10)."""
    PLAN_NORMAL = "plan.normal"
    """A plan is ready again."""
    PLAN_PREPARE = "plan.prepare"
    """A plan's replication is not normal (PLAN-41)."""
    PLAN_WARNING = "plan.warning"
    """A plan has to be looked at (PLAN-42)."""
    PLAN_CRITICAL = "plan.critical"
    """The Target of a plan does not answer (PLAN-43)."""
    PLAN_EMERGENCY = "plan.emergency"
    """The Source of a plan does not answer (PLAN-44)."""
    PROTECTED = "plan.protected"
    """The first copy of a plan's volumes is complete."""
    PROTECTION_FAILED = "plan.protection_failed"
    """The first copy of a plan's volumes was not completed."""
    PROTECTION_ENDED = "plan.protection_ended"
    """A plan was deleted with its replicas and points."""
    END_FAILED = "plan.end_failed"
    """A plan could not be deleted with all that belongs to it."""
    POINT_MADE = "point.made"
    """A recovery point can be chosen from now on (OPEN-08)."""
    POINT_FAILED = "point.failed"
    """A recovery point did not come to be (OPEN-08)."""
    POINT_SKIPPED = "point.skipped"
    """A recovery point is due, and is not begun as long as something is in its way (OPEN-08). Told once until it is begun."""
    REMOVAL_FAILED = "point.removal_failed"
    """Recovery points that are not kept any more could not be removed."""
    RPO_BREACHED = "rpo.breached"
    """More would be lost now than the group's recovery point objective allows (OPEN-07)."""
    RPO_MET = "rpo.met"
    """The recovery point objective is met again (OPEN-07)."""
    CLUSTER_INACTIVE = "cluster.inactive"
    """A cluster does not answer (CL-11)."""
    CLUSTER_ACTIVE = "cluster.active"
    """A cluster answers again (CL-11)."""
    SYNC_FAILED = "cluster.sync_failed"
    """A cluster could not be read (CL-12). Told once until it can be."""
    SYNCHRONISED = "cluster.synchronised"
    """A cluster that could not be read was read."""
    SOURCE_RETURNED = "source.returned"
    """A source came back that a failover has taken over from, and may write."""
    SOURCE_FENCED = "source.fenced"
    """The source that came back cannot write any more."""
    FENCE_FAILED = "source.fence_failed"
    """The source that came back may still write."""
    TWO_WRITERS = "volume.two_writers"
    """A volume is primary on both sides."""
    ONE_WRITER = "volume.one_writer"
    """A volume that was primary on both sides is not any more."""
    DELIVERY_GIVEN_UP = "notification.given_up"
    """A message could not be delivered, and is not tried again (OPEN-43)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EventPart(Value):
    """Events that follow one another."""

    events: tuple[ProductEvent, ...]
    """Those that the actor may see, oldest first."""
    position: str
    """Where to go on: give it to the next ``Events.after``, also when there were none. Events of others that lie between are passed over."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExecutionTypeImmediate(Value):
    """At once."""

    type: ClassVar[Literal["immediate"]] = "immediate"
    _tag: ClassVar[str | None] = "type"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExecutionTypeAtDateTime(Value):
    """Once, at this time."""

    type: ClassVar[Literal["at_date_time"]] = "at_date_time"
    _tag: ClassVar[str | None] = "type"
    at: datetime
    """When."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExecutionTypeSchedule(Value):
    """Again and again; drills only. The schedule itself is a definition that makes jobs (OPEN-18)."""

    type: ClassVar[Literal["schedule"]] = "schedule"
    _tag: ClassVar[str | None] = "type"
    schedule_id: str
    """Which schedule made it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Explanation(Value):
    """What a job or an operation would do. Nothing was changed to find out."""

    kind: str
    """How: ``drill``, ``planned failover``, ``failover without the Source's cloud``, ``forced failover``, ``failover to a recovery
    point``, ``unprotect``, ``protect``, or the operation, e.g. ``rollback``. Only ``failover`` when it cannot be planned now.
    """
    steps: tuple[Step, ...]
    """The steps in an order in which they would be done. None when it cannot be planned now, and then the refusals say why."""
    loss: tuple[VolumeLoss, ...]
    """The loss per volume that a recovery or a rollback is about."""
    evidence: tuple[str, ...]
    """What it would rest on and what becomes of writes: what the journal would keep with the operator's decision."""
    duration: Forecast
    """How long it would take, going by finished jobs. Without total when it cannot be planned now."""
    refusals: tuple[ErrorRecord, ...]
    """Why it would be refused now, each with code and remedy. Empty when it would be taken."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FailbackOffer(Value):
    """After a confirmed failover: what is needed to protect the recovered instances in the other direction (OPEN-01)."""

    job_id: JobId
    """The job that was confirmed."""
    source_cluster: ClusterId
    """Where the instances run now."""
    target_cluster: ClusterId
    """Where they came from."""
    home: Home
    """What they were there. Its plan holds the volumes whose replication still connects both sides: none after a recovery from a point."""
    confirmed_at: datetime
    """When the failover was confirmed."""
    plan_id: PlanId | None = None
    """The plan that protects them in the other direction, once there is one."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FieldChange(Value):
    """One field of a thing, before and after a change."""

    before: Any
    """What it was; null when it was not there."""
    after: Any
    """What it is; null when it is not there."""


class FieldKind(StrEnum):
    """What a field of a connection holds."""

    TEXT = "text"
    """Text on one line."""
    URL = "url"
    """An address that begins with ``https://``, or, allowed by ``ALLOW_HTTP``, with ``http://``."""
    FLAG = "flag"
    """``true`` or ``false``."""
    NUMBER = "number"
    """A whole number, 0 or more."""
    LIST = "list"
    """Texts with commas between them."""
    SECRET = "secret"
    """A secret: given and kept apart from the settings, sealed, never shown again."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Finding(Value):
    """One thing that is not as it should be."""

    code: str
    """Stable code, e.g. ``cluster.cloud_unreachable``."""
    severity: FindingSeverity
    """How bad it is."""
    about: str
    """What kind of thing it is about: ``store``, ``cluster``, ``group``, ``plan``, ``job``, ``volume`` or ``license``."""
    id: str
    """The thing's id; empty for what there is one of."""
    message: str
    """For people."""
    remedy: str
    """What to do."""


class FindingSeverity(StrEnum):
    """How bad a finding is, from what is only said to what keeps recovery from working."""

    INFO = "info"
    """Somebody is waited for; nothing is wrong."""
    WARNING = "warning"
    """Something will go wrong if nobody looks."""
    CRITICAL = "critical"
    """Protection or recovery does not work, or data are in danger."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Flavor(Value):
    """A flavour: the size of an instance."""

    _kind: ClassVar[str] = "flavor"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Unique name."""
    vcpus: int
    """Virtual processors."""
    memory_mib: int
    """Memory in MiB."""
    disk_gib: int
    """Root disk in GiB; 0 with boot from volume."""
    ephemeral_gib: int
    """Ephemeral disk in GiB."""
    swap_mib: int
    """Swap in MiB."""
    public: bool
    """Whether every tenant may use it."""
    extra_specs: Mapping[str, str]
    """Scheduler hints and device options."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FloatingIp(Value):
    """A floating IP."""

    _kind: ClassVar[str] = "floating_ip"
    id: CloudId
    """Id in the cloud."""
    name: str
    """The address again."""
    address: str
    """The outside address."""
    tenant_id: CloudId
    """Owner."""
    network_id: CloudId
    """The external network the address is of."""
    port_id: CloudId | None = None
    """The port it leads to."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ForceRight(Value):
    """An operator's explicit word that a failover may force promotion although the Source cannot be shown to have stopped. Recorded in the
    journal as a decision.
    """

    operator: str
    """Who says so."""
    reason: str
    """Why, in the operator's words; not empty."""
    accepts_data_loss: bool
    """The operator saw how much data is lost and accepts it."""
    without_fence: bool = False
    """The source's fence (``Engine.attach_fence``) is not waited for, e.g. because it does not work: nothing but the operator's word keeps
    the source from writing then.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Forecast(Value):
    """How long a graph will take."""

    total: Span | None = None
    """From the first task's beginning to the last one's end. Expected is what it takes when every task takes as long as the middle of its
    kind. The interval holds whatever happens as long as no task is faster or slower than its kind ever was, also when tasks then wait
    for a place in another order; it is wider than what is likely. None while a kind is unknown.
    """
    critical_path: tuple[str, ...]
    """The tasks that make it take so long, first to last: to be faster, shorten one of these. Each begins when the one before it ends,
    because it needs it or because there is no place on its side before.
    """
    unknown: tuple[str, ...]
    """Kinds of tasks that never succeeded before, e.g. ``force_promote``: how long these take is not known."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Frozen(Value):
    """The inputs of a job as they were when it was queued: later changes of plan, group or cluster do not affect it (JOB-51)."""

    plan: RecoveryPlan
    """The plan."""
    group: ProtectionGroup
    """The group."""
    inventory: Inventory
    """The group's part of the Source inventory."""
    read_at: datetime | None = None
    """When that was read for this job; none when it is what was known of the Source, as by its last synchronisation."""
    target_flavors: Mapping[CloudId, Flavor]
    """The Target's flavours."""
    point: RecoveryPoint | None = None
    """The chosen recovery point."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupHealth(Value):
    """A group as it was found."""

    id: GroupId
    """Which."""
    name: str
    """Its name."""
    plan_status: PlanStatus | None = None
    """The status of its plan; none without one, or while a cluster of it does not answer."""
    point_age_seconds: int | None = None
    """How old its newest recovery point is, in seconds; none when there is none."""
    rpo_seconds: int
    """Its recovery point objective, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupRequest(Value):
    """What to protect."""

    name: str
    """Name, unique within the owner group (PG-06, OPEN-06)."""
    description: str = ""
    """Free text."""
    owner_group_id: OwnerGroupId
    """Who owns it."""
    source_cluster: ClusterId
    """Where the instances run."""
    instances: tuple[CloudId, ...]
    """The members."""
    rpo_minutes: int
    """Recovery point objective in minutes."""
    rto_minutes: int
    """Recovery time objective in minutes."""
    snapshot_interval: SnapshotInterval | None = None
    """How often a recovery point is made (REP-12, OPEN-08); none means by hand only."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupUpdate(Value):
    """What is to be changed of a group (PG-15); none leaves it. Source and owner cannot be changed: make another group."""

    name: str | None = None
    """Another name."""
    description: str | None = None
    """Another text."""
    instances: tuple[CloudId, ...] | None = None
    """All members from now on."""
    rpo_minutes: int | None = None
    """Another recovery point objective in minutes."""
    rto_minutes: int | None = None
    """Another recovery time objective in minutes."""
    snapshot_interval: SnapshotInterval | None | Unset = UNSET
    """Another interval of recovery points; none inside means by hand only."""
    end_protection: bool = False
    """With no members left the plan is deleted, and all its recovery points with it (PLAN-32): has to be said."""


class Half(StrEnum):
    """One half of a cluster. Each has its own connector, settings and secrets."""

    CLOUD = "cloud"
    """The cloud."""
    STORAGE = "storage"
    """The storage its volumes live on."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HalfConnection(Value):
    """How to connect to one half of a cluster (CL-08). ``Debug`` shows names of secrets only."""

    kind: str = ""
    """The connector: the platform of a cloud, the kind of a storage."""
    settings: Mapping[str, str] = _field(default_factory=dict)
    """What is not secret."""
    secrets: Mapping[str, Secret | str] = _field(default_factory=dict)
    """What is."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HalfInfo(Value):
    """What a reader sees of one half of a connection that the engine keeps (CL-08, SEC-02): everything but the secrets."""

    kind: str
    """The connector's name."""
    settings: Mapping[str, str]
    """What is not secret."""
    secrets: tuple[str, ...]
    """The names of the secrets that are kept."""
    key_id: KeyId
    """The key they are sealed with."""
    changed_at: datetime
    """When the secrets were entered or rotated last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Handle(Value):
    """Something that the product made in a cloud."""

    kind: CreatedKind
    """What it is."""
    id: CloudId
    """Its id. For things without one of their own the provider composes it, e.g. ``<router>/<subnet>``."""
    tenant: CloudId | None = None
    """The tenant it is in."""
    storage: str | None = None
    """For a volume: where its bytes live now. Adoption may rename the image."""


class Happened(StrEnum):
    """What happened to a thing."""

    ADDED = "added"
    """It was made."""
    CHANGED = "changed"
    """It was changed."""
    REMOVED = "removed"
    """It was removed."""
    MANAGED = "managed"
    """An image of the storage became a volume (EVT-08); only the cloud can tell that from ``Added``."""
    UNMANAGED = "unmanaged"
    """A volume was let go of, its image stays (EVT-08); only the cloud can tell that from ``Removed``."""
    RESIZED = "resized"
    """A volume got another size (EVT-09)."""
    STATUS_RESET = "status_reset"
    """The state of a snapshot was set by hand (EVT-11); only the cloud can tell that from ``Changed``."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HealthReport(Value):
    """The answer to "is all well?" (OPS-30)."""

    at: datetime
    """When it was looked."""
    version: str
    """The version of this library."""
    node: str
    """The engine that looked."""
    support_contact: str | None = None
    """Whom to ask for help (OPS-39); what the host gave."""
    worst: FindingSeverity | None = None
    """The worst of the findings; none when all is well."""
    findings: tuple[Finding, ...]
    """What is not as it should be, worst first."""
    clusters: tuple[ClusterHealth, ...]
    """The clusters that the actor sees."""
    groups: tuple[GroupHealth, ...]
    """The groups that the actor sees."""
    license: LicenseInfo | None = None
    """The licence; none for those who may not look at it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Home(Value):
    """What a plan that leads back (OPEN-01) was before the failover. A failback to a side where the instances still are starts them there
    on their own volumes; its confirm removes what the failover had made on the other side and puts group and plan back, so that
    everything is as before the failover.
    """

    failover_job: JobId
    """The confirmed failover that led away."""
    group: ProtectionGroup
    """The group as it was."""
    plan: RecoveryPlan
    """The plan as it was; of its volumes, those that were handed over."""
    instances: Mapping[CloudId, CloudId]
    """The instance it was, by the instance it is now."""
    volumes: Mapping[CloudId, CloudId]
    """The volume it was, by the volume it is now."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Hypervisor(Value):
    """A compute node."""

    _kind: ClassVar[str] = "hypervisor"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Host name as the scheduler takes it."""
    available: bool
    """Enabled and up: able to take servers."""
    vcpus: int
    """Total virtual processors (with overcommit)."""
    vcpus_used: int
    """Virtual processors in use."""
    memory_mib: int
    """Total memory in MiB (with overcommit)."""
    memory_mib_used: int
    """Memory in use in MiB."""
    traits: tuple[str, ...] = ()
    """Properties that only matching flavours reach (OpenStack: traits required by an isolated aggregate)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageRefKnown(Value):
    """By its place."""

    _external: ClassVar[str | None] = "known"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageRefOutputOf(Value):
    """The one that this task made or found."""

    _external: ClassVar[str | None] = "output_of"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageRefReplica(Value):
    """The one with this replication identity on the task's side."""

    _external: ClassVar[str | None] = "replica"
    _bare: ClassVar[bool] = True
    value: ReplicationId
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImageState(Value):
    """What a storage knows of one image for certain."""

    storage: str
    """The image."""
    size_bytes: int
    """Size in bytes."""
    role: Role
    """Its side."""
    replication: tuple[ReplicationId, ReplicationMode] | None = None
    """How it replicates, if it does."""
    parent: str | None = None
    """The image it is a clone of."""
    metadata: Mapping[str, str]
    """Key-value pairs kept with the image."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Instance(Value):
    """An instance."""

    _kind: ClassVar[str] = "instance"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    tenant_id: CloudId
    """Owner."""
    power: PowerState
    """Whether it runs."""
    status: str
    """The cloud's own state word, e.g. ``ACTIVE``."""
    flavor: Flavor
    """Its size, as it was when it was made."""
    availability_zone: str
    """Its zone."""
    host: str | None = None
    """The compute node it runs on, when known."""
    keypair: str | None = None
    """Name of its keypair."""
    volume_ids: tuple[CloudId, ...]
    """Attached volumes in device order; the first is the boot volume when ``boots_from_volume``."""
    boots_from_volume: bool
    """Whether it boots from its first volume. An instance that does not cannot be recovered."""
    port_ids: tuple[CloudId, ...]
    """Its ports, in card order."""
    metadata: Mapping[str, str]
    """Free key-value pairs."""
    user_data: str | None = None
    """User data as given at creation, base64, where the cloud tells."""
    fault: str | None = None
    """Why it is in error, in the cloud's words."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InstanceMapping(Value):
    """Whether and how an instance is started after recovery (PLAN-06)."""

    boot: bool = True
    """Started after recovery, or recovered and left stopped."""
    boot_after: frozenset[CloudId] = frozenset()
    """Instances that must be up before this one is made (PLAN-07, OPEN-16). No cycles."""
    boot_delay_seconds: int = 0
    """Seconds to wait after the last of ``boot_after`` is up, and ready."""
    ready: ReadinessCheck | None = None
    """When this instance is ready: whatever boots after it waits for that. None: as soon as it runs."""
    host: str | None = None
    """Target compute node; none lets the cloud's scheduler choose (PLAN-12)."""
    availability_zone: str | None = None
    """Target availability zone for this instance; none takes the plan's mapping of zones."""
    flavor: str | None = None
    """Target flavour name; none matches by size and creates one if none fits (OPEN-15)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InstancePart(Value):
    """One instance."""

    id: CloudId
    """Its id on the Source."""
    name: str
    """Its name."""
    target_id: CloudId | None = None
    """Its id on the Target, where it was made."""
    state: InstanceRecoveryState
    """How far it came."""
    boot: bool
    """Whether the plan starts it."""
    started_at: datetime | None = None
    """When the first of its tasks began."""
    ended_at: datetime | None = None
    """When the last of its tasks ended."""
    error: ErrorRecord | None = None
    """Why it failed."""


class InstanceRecoveryState(StrEnum):
    """State of one instance in a job (JOB-59)."""

    PREPARING = "preparing"
    """Not recovered yet."""
    RECOVERED = "recovered"
    """Its volumes and networks are there."""
    BOOTING = "booting"
    """It is being made and started."""
    SUCCESS = "success"
    """Done."""
    FAILED = "failed"
    """Failed."""
    EXCLUDED = "excluded"
    """Left out on purpose."""


class IntervalUnit(StrEnum):
    """What an interval is counted in. Minutes, hours, days and weeks are lengths of time, whatever a clock on the wall shows: an hour is
    3600 s, a day 24 h, also when clocks are changed. Months are those of the calendar in UTC.
    """

    MINUTES = "minutes"
    """Minutes (SCH-06): what the screen of a protection group gives (CON-35)."""
    HOURS = "hours"
    """Hours (SCH-07)."""
    DAYS = "days"
    """Days (CON-35)."""
    WEEKS = "weeks"
    """Weeks (SCH-08)."""
    MONTHS = "months"
    """Months (SCH-09)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Inventory(Value):
    """Everything one cluster holds, by kind and id."""

    tenants: Mapping[CloudId, Tenant] = _field(default_factory=dict)
    """Projects (INV-04)."""
    availability_zones: Mapping[CloudId, AvailabilityZone] = _field(default_factory=dict)
    """Availability zones (INV-03)."""
    hypervisors: Mapping[CloudId, Hypervisor] = _field(default_factory=dict)
    """Compute nodes with their capacity (INV-02)."""
    networks: Mapping[CloudId, Network] = _field(default_factory=dict)
    """Networks (INV-05)."""
    subnets: Mapping[CloudId, Subnet] = _field(default_factory=dict)
    """Subnets."""
    routers: Mapping[CloudId, Router] = _field(default_factory=dict)
    """Routers with their interfaces (INV-12)."""
    floating_ips: Mapping[CloudId, FloatingIp] = _field(default_factory=dict)
    """Floating IPs."""
    ports: Mapping[CloudId, Port] = _field(default_factory=dict)
    """Ports."""
    security_groups: Mapping[CloudId, SecurityGroup] = _field(default_factory=dict)
    """Security groups with their rules (INV-07)."""
    flavors: Mapping[CloudId, Flavor] = _field(default_factory=dict)
    """Flavours."""
    keypairs: Mapping[CloudId, Keypair] = _field(default_factory=dict)
    """Keypairs of the user that reads the inventory."""
    volume_types: Mapping[CloudId, VolumeType] = _field(default_factory=dict)
    """Volume types (INV-09)."""
    volumes: Mapping[CloudId, Volume] = _field(default_factory=dict)
    """Volumes (INV-08)."""
    volume_groups: Mapping[CloudId, VolumeGroup] = _field(default_factory=dict)
    """Volume groups made in the cloud (INV-10)."""
    volume_snapshots: Mapping[CloudId, VolumeSnapshot] = _field(default_factory=dict)
    """Volume snapshots made in the cloud (INV-11)."""
    server_groups: Mapping[CloudId, ServerGroup] = _field(default_factory=dict)
    """Server groups (affinity)."""
    instances: Mapping[CloudId, Instance] = _field(default_factory=dict)
    """Instances (INV-06)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IsOneOf(Value):
    """Is one of these."""

    _external: ClassVar[str | None] = "one_of"
    _bare: ClassVar[bool] = True
    value: tuple[str, ...]
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IsNoneOf(Value):
    """Is none of these, or absent."""

    _external: ClassVar[str | None] = "none_of"
    _bare: ClassVar[bool] = True
    value: tuple[str, ...]
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IsContaining(Value):
    """Holds this text, whatever the case of its letters."""

    _external: ClassVar[str | None] = "containing"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IsAtLeast(Value):
    """Is this or more, or later."""

    _external: ClassVar[str | None] = "at_least"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IsAtMost(Value):
    """Is this or less, or earlier."""

    _external: ClassVar[str | None] = "at_most"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IsAbsent(Value):
    """There is none."""

    _external: ClassVar[str | None] = "absent"
    _bare: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobDefinition(Value):
    """What a job is to do."""

    job_type: JobType
    """Drill or failover."""
    execution: ExecutionType
    """When."""
    data_point: DataPoint
    """Which data."""
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    force: ForceRight | None = None
    """Given for a failover whose Source may be lost."""
    exclude: frozenset[CloudId]
    """Instances left out."""


class JobOperation(StrEnum):
    """What may be asked of a job (SM-11 … SM-20)."""

    RUN = "run"
    """Carry on."""
    PAUSE = "pause"
    """Pause."""
    CANCEL = "cancel"
    """Cancel (also called stop, SM-60)."""
    RETRY = "retry"
    """Recover some instances again."""
    ROLLBACK = "rollback"
    """Roll back to before the job."""
    RETRY_ROLLBACK = "retry-rollback"
    """Try a failed rollback again."""
    IGNORE_ROLLBACK = "ignore-rollback"
    """Leave what a failed rollback could not remove."""
    CONFIRM = "confirm"
    """Confirm (commit) the failover."""
    RETRY_CONFIRM = "retry-confirm"
    """Try a failed confirm again."""
    CANCEL_CONFIRM = "cancel-confirm"
    """Give up a failed confirm and roll back."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobPart(Value):
    """The job as a whole."""

    id: JobId
    """Which."""
    kind: str
    """What kind of work: ``drill``, ``failover``, ``protect``, …"""
    group: str
    """Name of the group."""
    group_id: GroupId | None = None
    """Which group. None in reports of earlier versions."""
    owner_group_id: OwnerGroupId | None = None
    """Who owned it. None in reports of earlier versions."""
    plan: str
    """Name of the plan."""
    source_cluster: str
    """Name of the Source cluster."""
    target_cluster: str
    """Name of the Target cluster."""
    execution: ExecutionType | None = None
    """When it was to run, for a drill or failover."""
    data_point: DataPoint | None = None
    """Which data it was to recover, for a drill or failover."""
    actor: str
    """Who made it."""
    last_operation: JobOperation
    """What was done last: ``run``, ``rollback``, ``confirm``, ``ignore-rollback``, …"""
    result: ResultCode | None = None
    """How it ended."""
    created_at: datetime
    """When it was made."""
    started_at: datetime | None = None
    """When it first ran; none when it never did."""
    completed_at: datetime | None = None
    """When its recovery tasks had ended."""
    ended_at: datetime
    """When its clean-up had ended and this report was made."""
    rpo_minutes: int
    """The group's recovery point objective in minutes."""
    rto_minutes: int
    """The group's recovery time objective in minutes."""


class JobPhase(StrEnum):
    """The phase of a job as screens show it (SM-71): states that look alike to people are one."""

    PREPARING = "preparing"
    """``waiting``, ``pending``."""
    RUNNING = "running"
    """``running``, ``paused``, ``canceling``."""
    RUN_COMPLETE = "run-complete"
    """``completed``: an operator decides."""
    CLEANING_UP = "cleaning-up"
    """``clearing``, ``clear-failed``."""
    MAKING_REPORT = "making-report"
    """``reporting``."""
    JOB_COMPLETE = "job-complete"
    """``finished``."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobRequest(Value):
    """What a recovery job is to do."""

    job_type: JobType
    """Drill or failover."""
    execution: ExecutionType
    """When."""
    data_point: DataPoint
    """Which data."""
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    force: ForceRight | None = None
    """For a failover whose Source may be lost."""
    exclude: frozenset[CloudId] = frozenset()
    """Instances left out."""

    @classmethod
    def drill(
        cls,
        group: str | HasId,
        plan: str | HasId,
        *,
        data_point: DataPoint | None = None,
        execution: ExecutionType | None = None,
        force: ForceRight | None = None,
        exclude: Iterable[CloudId] = (),
    ) -> Self:
        """A drill from the newest recovery point, at once, unless something else is said."""
        return cls(
            job_type=JobType.DRILL,
            execution=execution or ExecutionTypeImmediate(),
            data_point=data_point or DataPointLatestSnapshot(),
            group_id=str(getattr(group, "id", group)),
            plan_id=str(getattr(plan, "id", plan)),
            force=force,
            exclude=frozenset(exclude),
        )

    @classmethod
    def failover(
        cls,
        group: str | HasId,
        plan: str | HasId,
        *,
        data_point: DataPoint | None = None,
        execution: ExecutionType | None = None,
        force: ForceRight | None = None,
        exclude: Iterable[CloudId] = (),
    ) -> Self:
        """A failover of the latest data, at once, unless something else is said."""
        return cls(
            job_type=JobType.FAILOVER,
            execution=execution or ExecutionTypeImmediate(),
            data_point=data_point or DataPointLatestData(),
            group_id=str(getattr(group, "id", group)),
            plan_id=str(getattr(plan, "id", plan)),
            force=force,
            exclude=frozenset(exclude),
        )


class JobState(StrEnum):
    """The state of a job (SM-01 … SM-10)."""

    WAITING = "dr.recovery.job.state.waiting"
    """Not triggered yet."""
    PENDING = "dr.recovery.job.state.pending"
    """Triggered, not started yet."""
    RUNNING = "dr.recovery.job.state.running"
    """In progress."""
    CANCELING = "dr.recovery.job.state.canceling"
    """Being cancelled."""
    PAUSED = "dr.recovery.job.state.paused"
    """Paused."""
    COMPLETED = "dr.recovery.job.state.completed"
    """Recovery tasks ended; nothing cleaned up yet."""
    CLEARING = "dr.recovery.job.state.clearing"
    """The result is being cleaned up: rolled back or confirmed."""
    CLEAR_FAILED = "dr.recovery.job.state.clear-failed"
    """The clean-up failed."""
    REPORTING = "dr.recovery.job.state.reporting"
    """The result report is being made."""
    FINISHED = "dr.recovery.job.state.finished"
    """The job ended."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobSummary(Value):
    """A job as lists show it: the fold of its journal."""

    id: JobId
    """Our id."""
    work: Work
    """What it is to do."""
    owner_group_id: OwnerGroupId | None = None
    """Whose it is: the owner of its group. None for jobs of earlier versions."""
    state: JobState
    """Where it is."""
    operation: JobOperation
    """What it is handling."""
    failed_clear: ClearOperation | None = None
    """Which clean-up failed, in ``clear-failed``."""
    result: ResultCode | None = None
    """How it ended, once known."""
    created_at: datetime
    """When it was made."""
    deadline: datetime | None = None
    """When a timer acts next (pause, rollback wait, planned time)."""
    position: int
    """The journal position this was read at."""


class JobType(StrEnum):
    """The type of a recovery job (JOB-05)."""

    DRILL = "drill"
    """A rehearsal on clones, in networks of its own."""
    FAILOVER = "failover"
    """Recovery on the Target."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobUpdate(Value):
    """How a job stands, or what changed of it: see ``Jobs.monitor``."""

    position: int
    """The journal position that this tells of."""
    state: JobState
    """Where the job is."""
    operation: JobOperation
    """What it is handling."""
    result: ResultCode | None = None
    """How it ended, once known."""
    deadline: datetime | None = None
    """When a timer acts next."""
    tasks: int
    """Tasks of the graph that runs or ran last."""
    tasks_ended: int
    """How many of them have ended, however."""
    instances: Mapping[CloudId, InstanceRecoveryState]
    """All instances the first time, later those whose state changed."""
    volumes: Mapping[CloudId, InstanceRecoveryState]
    """All volumes the first time, later those whose state changed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JobView(Value):
    """Everything the journal says of a job."""

    id: JobId
    """The job."""
    work: Work
    """What it is to do."""
    actor: str
    """Who made it."""
    owner_group_id: OwnerGroupId | None = None
    """Whose it is; none in journals of earlier versions."""
    state: JobState
    """Where it is."""
    operation: JobOperation
    """What it handles."""
    clear: ClearOperation | None = None
    """Which clean-up is or was under way (CON-27)."""
    result: ResultCode | None = None
    """How it ended."""
    deadline: datetime | None = None
    """When a timer acts next."""
    frozen: Frozen | None = None
    """The frozen inputs."""
    phases: tuple[Phase, ...]
    """The graphs, in order."""
    tasks: Mapping[str, TaskState]
    """The tasks of all graphs."""
    decisions: tuple[Decided, ...]
    """Decisions of operators, in order."""
    report_digest: str | None = None
    """Digest of the report."""
    created_at: datetime
    """When it was made."""
    started_at: datetime | None = None
    """When it first ran."""
    completed_at: datetime | None = None
    """When its recovery tasks had ended."""
    changed_at: datetime
    """When the last entry was written."""
    position: int
    """Position of the last entry."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class JournalPart(Value):
    """The journal that the report was made from, so that both can be held against each other."""

    position: int
    """The last entry that is in the report."""
    hash: str
    """The hash of that entry and all before it, hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeyReferenceConnection(Value):
    """In the sealed connection of the cluster's storage."""

    kept_in: ClassVar[Literal["connection"]] = "connection"
    _tag: ClassVar[str | None] = "kept_in"
    secret: str
    """The secret's name there."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeyReferenceHost(Value):
    """With the host: a keyring file, an entry of its vault."""

    kept_in: ClassVar[Literal["host"]] = "host"
    _tag: ClassVar[str | None] = "kept_in"
    name: str
    """What the host calls it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keypair(Value):
    """A keypair; its name is its id."""

    _kind: ClassVar[str] = "keypair"
    id: CloudId
    """Its name again."""
    name: str
    """Its name."""
    public_key: str
    """The public half in OpenSSH form."""
    fingerprint: str
    """Fingerprint."""


class Language(StrEnum):
    """A language that texts are there in."""

    ENGLISH = "en"
    """English."""
    KOREAN = "ko"
    """Korean."""


class Learned(StrEnum):
    """How the engine came to know."""

    SYNCHRONISED = "synchronised"
    """A synchronisation found it."""
    TOLD = "told"
    """The cloud told of it, and what is there was read then."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LeavingVolume(Value):
    """A volume that left a plan's group while its replica is still there (PG-17, PLAN-93)."""

    volume: ReplicatedVolume
    """As it was replicated."""
    vanished: bool
    """Nobody took it out: the Source has it no more, or it was detached there. By mistake or by ransom, perhaps: the newest recovery point
    that holds it is kept, whatever the retention count says, until the plan is updated by hand.
    """
    releasing: bool
    """Its replica is being removed: no recovery point needs it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LeftoverPart(Value):
    """One thing that the job made and could not remove (SM-68)."""

    kind: str
    """What kind of thing, e.g. ``network``."""
    id: str
    """Its id, or the token it is found by."""
    cluster: str
    """Name of the cluster that holds it."""
    error: ErrorRecord | None = None
    """Why it is still there."""
    command: str | None = None
    """The command that removes it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class License(Value):
    """What a licence allows (LIC-03), as the host or the engine has verified it. Whatever is protected already stays usable when it has
    expired (LIC-06, OPEN-11): it bounds new protection only.
    """

    platforms: frozenset[str]
    """Platforms that may be registered (LIC-08), as providers name them, e.g. ``openstack``."""
    instances: int
    """How many instances may be protected at once (LIC-09)."""
    expires_at: datetime
    """When it ends (LIC-03)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LicenseClaims(Value):
    """What a licence key says (LIC-03). Signed, it is a key: see ``crate.license``."""

    version: int
    """Version of this form, 1."""
    license_id: str
    """Which licence, as the vendor counts them."""
    product_uuid: str
    """For which installation (LIC-12)."""
    customer: str
    """Who bought it."""
    products: frozenset[str]
    """Which products it covers (LIC-01). ``crate.license.PRODUCT`` is this one."""
    platforms: frozenset[str]
    """Platforms that may be registered (LIC-08)."""
    instances: int
    """How many instances may be protected at once (LIC-09)."""
    issued_at: datetime
    """When it was made."""
    expires_at: datetime
    """When it ends."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LicenseInfo(Value):
    """The licence of an engine (LIC-03)."""

    state: LicenseState
    """What it is worth now."""
    claims: LicenseClaims | None = None
    """What the registered key says; none when there is none, or none that was verified, and when the host verifies licences by itself."""
    allows: License | None = None
    """What it allows; none when nothing is bounded, or there is no licence that holds here."""
    instances_used: int
    """How many instances are protected now. There may be more than the licence allows, after a renewal for fewer."""


class LicenseState(StrEnum):
    """What the licence of an engine is worth now."""

    NOT_REQUIRED = "not_required"
    """This engine asks for none and bounds nothing."""
    VALID = "valid"
    """It holds."""
    EXPIRED = "expired"
    """It has ended: what is protected stays protected and is recovered, nothing is added (LIC-06)."""
    MISSING = "missing"
    """None is registered."""
    NOT_FOR_THIS_PRODUCT = "not_for_this_product"
    """The one that is registered is for another installation or another product."""
    NOT_VERIFIED = "not_verified"
    """The one that is registered was not signed by the vendor: the store was tampered with, or the vendor's key is not among those of this
    engine any more.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LinkedRecovery(Value):
    """A protection group on a cluster with its plans (CL-17)."""

    group: ProtectionGroup
    """The group."""
    plans: tuple[RecoveryPlan, ...]
    """Its plans."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Login(Value):
    """What a login gives (USR-26)."""

    id: LoginId
    """Names the login in the audit trail; opens nothing."""
    user: UserId
    """Whose it is."""
    token: Secret
    """What ``Engine.authenticate`` takes, for as long as the login lasts. The engine keeps only a digest of it."""
    expires_at: datetime
    """When it ends at the latest; sooner when it is not used for ``login_idle_limit``."""
    must_change_password: bool
    """Whether nothing but the account itself is open to it until the password is changed (SEC-05)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Manifest(Value):
    """What a recovery point is made of, by digest (SHA-256, hexadecimal)."""

    parts: Mapping[str, str]
    """The digest of each part: ``plan``, ``inventory``, ``times``, and ``volume/ID`` for each volume."""
    digest: str
    """The digest over all of them, which names the point's content."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MarkRefKnown(Value):
    """A mark made before."""

    _external: ClassVar[str | None] = "known"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MarkRefOutputOf(Value):
    """The mark this task made."""

    _external: ClassVar[str | None] = "output_of"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Measured(Value):
    """What a report measures."""

    rto_seconds: int | None = None
    """Seconds from the job's start until its recovery tasks had ended."""
    rto_met: bool | None = None
    """Whether that was within the objective."""
    rpo_seconds: int | None = None
    """Seconds of writes lost on the volume that lost most, among those where it is known."""
    rpo_met: bool | None = None
    """Whether every volume was within the objective; none when no breach is known but not every loss is."""
    rpo_unknown: int
    """Recovered volumes whose loss is not known."""
    lost_seconds: Mapping[str, int]
    """Seconds lost by volume id, where known."""
    instances: Mapping[InstanceRecoveryState, int]
    """Instances by state."""
    volumes: int
    """All volumes."""
    volumes_gib: int
    """Their size in GiB."""
    tasks: int
    """All tasks."""
    tasks_failed: int
    """Tasks that failed."""
    retries: int
    """Attempts beyond the first, over all tasks."""
    critical_path: tuple[CriticalStep, ...] = ()
    """The chain of tasks that the recovery time is made of, in the order in which they ran: each began when the one before had ended, the
    last ended last. Whatever shall be faster has to make one of these faster. Empty in reports of earlier versions.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Network(Value):
    """A network."""

    _kind: ClassVar[str] = "network"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    tenant_id: CloudId
    """Owner."""
    external: bool
    """Whether routers may use it as their gateway."""
    shared: bool
    """Whether other tenants may use it."""
    mtu: int | None = None
    """Largest packet in bytes, where known."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Notice(Value):
    """One hint."""

    id: str
    """The cloud's own id of the message: the same when it is delivered twice."""
    at: datetime
    """When the cloud sent it, by its clock."""
    happened: Happened
    """What happened."""
    kind: ResourceKind
    """To which kind of thing."""
    resource: CloudId | None = None
    """To which one; none when the message does not say, and the whole kind is to be read anew."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OperationRequest(Value):
    """An operation on a job, with what goes with it."""

    reason: str = ""
    """Why; kept with the decisions that rollback of a failover, confirm and ignore are."""
    instances: frozenset[CloudId] = frozenset()
    """For ``retry``: which instances; empty means all that failed."""
    point: PointId | None = None
    """For ``retry``: recover these instances again, whatever came of them, from this recovery point instead of the data that the job took
    (SM-67). They are not connected to a network; what was recovered of them before is stopped and stays.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OtherPoint(Value):
    """What a retry recovers from another recovery point than the job's (SM-67). What was recovered of these instances before is set aside:
    it is stopped and stays as it is.
    """

    point_id: PointId
    """The point."""
    taken_at: datetime
    """The moment whose data it holds."""
    instances: frozenset[CloudId]
    """The instances."""
    aside: frozenset[CloudId]
    """Those of them that had been recovered before."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Page(Value):
    """A part of a list: at most ``limit`` entries after the place where the part before ended."""

    after: str | None = None
    """What ``Listing.next`` of the part before said; none for the first part. In the order of ids it is simply the last id."""
    limit: int = 100
    """How many at most: 1 to 1000."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PairingOffer(Value):
    """A secret with which one side accepts the other as its peer."""

    site_name: str
    """The site that made it."""
    secret: Secret
    """The secret itself."""


class ParentPolicy(StrEnum):
    """What to do with a volume whose image is a clone of another image (a Glance image): mirroring needs the parent too."""

    FLATTEN = "flatten"
    """Copy the parent's data into the volume's image on the Source, once (PLAN-14, REP-14)."""
    REFUSE = "refuse"
    """Refuse such volumes: nothing on the Source is changed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Phase(Value):
    """A graph that runs or ran."""

    kind: PhaseKind
    """Why it runs."""
    graph: TaskGraph
    """The graph."""
    other: OtherPoint | None = None
    """For a retry from another recovery point."""


class PhaseKind(StrEnum):
    """Why a graph runs."""

    RUN = "run"
    """The work itself."""
    RETRY = "retry"
    """Some instances again (SM-47)."""
    ROLLBACK = "rollback"
    """Rollback."""
    CONFIRM = "confirm"
    """Confirm."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanAssessment(Value):
    """A plan's status with everything that speaks for it (PLAN-45)."""

    status: PlanStatus
    """The status shown."""
    reasons: tuple[PlanReason, ...]
    """Every reason, also those that lost by precedence; empty when ``Normal``."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanChange(Value):
    """A change of a recovery plan (PLAN-60): what it was before is with the recovery points that were made then (REP-09)."""

    id: str
    """Its id: the plan's and the version, so that ids are in the order of time."""
    plan_id: PlanId
    """The plan."""
    version: int
    """The version that the change made."""
    at: datetime
    """When."""
    actor: str
    """Who: the name of an actor, or ``engine``."""
    parts: tuple[PlanChangePart, ...]
    """What."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanChangePartInstanceLeft(Value):
    """An instance left the group: by hand (PG-17), or because the Source has it no more (PLAN-83)."""

    what: ClassVar[Literal["instance_left"]] = "instance_left"
    _tag: ClassVar[str | None] = "what"
    instance: CloudId
    """The instance."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanChangePartVolumeLeft(Value):
    """A volume is no member's any more (PLAN-93). It is not replicated into new recovery points; its replica stays until no recovery point
    needs it.
    """

    what: ClassVar[Literal["volume_left"]] = "volume_left"
    _tag: ClassVar[str | None] = "what"
    volume: CloudId
    """The volume."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanChangePartVolumeReturned(Value):
    """A volume that had left is a member's again, and its replica had stayed."""

    what: ClassVar[Literal["volume_returned"]] = "volume_returned"
    _tag: ClassVar[str | None] = "what"
    volume: CloudId
    """The volume."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanChangePartUpdated(Value):
    """An operator changed the plan (PLAN-22)."""

    what: ClassVar[Literal["updated"]] = "updated"
    _tag: ClassVar[str | None] = "what"
    fields: tuple[str, ...]
    """The fields that are different now; none when everything was looked at and left as it is (PLAN-24)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanReason(Value):
    """One reason for a plan's status, readable and with a remedy."""

    status: PlanStatus
    """The status this reason asks for."""
    code: str
    """Stable code, e.g. ``plan.target_inactive``."""
    message: str
    """For people."""
    remedy: str
    """What to do."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanRequest(Value):
    """What a plan is to be."""

    name: str
    """Name (PLAN-04)."""
    group_id: GroupId
    """The group it recovers."""
    target_cluster: ClusterId
    """Where to."""
    snapshot_retention: int
    """How many recovery points are kept: 1 to 48 (PLAN-05)."""
    replication_mode: ReplicationMode
    """How volumes are replicated."""
    parent_policy: ParentPolicy
    """What to do with cloned volumes."""
    mapping: ResourceMapping
    """The mapping; ``Plans.suggest`` proposes one."""


class PlanStatus(StrEnum):
    """The state of a plan (PLAN-40 … PLAN-44)."""

    NORMAL = "normal"
    """Mirroring is normal; jobs may be made."""
    PREPARE = "prepare"
    """Initial replication runs, or mirroring is abnormal."""
    WARNING = "warning"
    """Something was added to the group, or the Target changed."""
    CRITICAL = "critical"
    """The Target cluster is Inactive."""
    EMERGENCY = "emergency"
    """The Source cluster is Inactive; jobs may be made."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanUpdate(Value):
    """What is to be changed of a plan (PLAN-22). Its group and its Target cannot be: make another plan."""

    name: str | None = None
    """Another name; none leaves it."""
    snapshot_retention: int | None = None
    """Another count of recovery points; none leaves it. What is over it goes when the next point is made."""
    parent_policy: ParentPolicy | None = None
    """What to do with cloned volumes that are added; none leaves it."""
    mapping: ResourceMapping | None = None
    """Another mapping, with boot plan and compute nodes; none leaves it."""
    source_may_be_down: bool = False
    """Only the Target's side of the mapping is changed, while the Source is down (PLAN-25)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PointContent(Value):
    """What a volume of a recovery point held when it was read."""

    bytes: int
    """How much it is, in bytes."""
    sha256: str
    """Its digest (SHA-256, hexadecimal)."""
    read_at: datetime
    """When it was read."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PointVolume(Value):
    """One volume's part of a point."""

    volume_id: CloudId
    """The Source volume."""
    replication_id: ReplicationId
    """The identity both sides share."""
    snapshot: str
    """Name of the user snapshot on either side."""
    vault: str
    """The copy-on-write clone on the Target that keeps this part even when the Source deletes its volume (the vault)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Port(Value):
    """A port: one network card of an instance, or one of the network's own."""

    _kind: ClassVar[str] = "port"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    tenant_id: CloudId
    """Owner."""
    network_id: CloudId
    """Its network."""
    device_id: str
    """The instance or router it serves; empty when unused."""
    device_owner: str
    """What kind of thing it serves, e.g. ``compute:nova``."""
    mac: str
    """Hardware address."""
    fixed_ips: tuple[tuple[CloudId, str], ...]
    """Subnet and address of each of its addresses."""
    security_group_ids: tuple[CloudId, ...]
    """Its security groups."""


class PowerState(StrEnum):
    """Whether an instance runs."""

    RUNNING = "running"
    """It runs, or is paused in memory: it may write."""
    STOPPED = "stopped"
    """It is off: it cannot write."""
    CHANGING = "changing"
    """It is being made or changed."""
    ERROR = "error"
    """The cloud says it is in error; it may still write."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProbePort(Value):
    """A connection by TCP is taken."""

    probe: ClassVar[Literal["port"]] = "port"
    _tag: ClassVar[str | None] = "probe"
    port: int
    """1 to 65535."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProbeHttp(Value):
    """A request by HTTP is answered."""

    probe: ClassVar[Literal["http"]] = "http"
    _tag: ClassVar[str | None] = "probe"
    port: int
    """1 to 65535."""
    path: str
    """What is asked for, e.g. ``/healthz``."""
    tls: bool = False
    """By HTTPS. Whose certificate it is is not looked at: the instance is called by its address."""
    status: int | None = None
    """The answer that is wanted; none takes every one from 200 to 399."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProbeGuestCommand(Value):
    """A command in the guest succeeds."""

    probe: ClassVar[Literal["guest_command"]] = "guest_command"
    _tag: ClassVar[str | None] = "probe"
    command: tuple[str, ...]
    """The program and its arguments. They are kept with the plan, for everybody who may read it: no place for a secret."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProductEvent(Value):
    """An event of the product (NTF-02, NTF-04)."""

    id: str
    """Names it, and orders it among the others."""
    at: datetime
    """When it happened."""
    code: EventCode
    """What it tells."""
    severity: Severity
    """How much it matters."""
    area: EventArea
    """The part of the product it is about."""
    owner_group_id: OwnerGroupId | None = None
    """Who may see it besides Admins; none: nobody (NTF-03, NTF-05)."""
    about: About = _field(default_factory=lambda: About())
    """The things it is about."""
    parameters: Mapping[str, str]
    """What stands in the places of its text: names, ids, codes. Never a secret."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ProtectionGroup(Value):
    """A set of instances of the Source cluster that are protected together (PG-01, PG-13)."""

    id: GroupId
    """Our id."""
    name: str
    """Name, unique within the owner group (PG-06, OPEN-06)."""
    description: str
    """Free text."""
    owner_group_id: OwnerGroupId
    """Who owns it."""
    source_cluster: ClusterId
    """Where the instances run."""
    instances: tuple[CloudId, ...]
    """The members."""
    rpo_minutes: int
    """Recovery point objective in minutes (OPEN-07)."""
    rto_minutes: int
    """Recovery time objective in minutes (OPEN-07)."""
    snapshot_interval: SnapshotInterval | None = None
    """How often a recovery point is made; none means by hand only (REP-12, OPEN-08)."""
    registered_at: datetime
    """When it was registered."""
    modified_at: datetime
    """When it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Query(Value):
    """A question to a list."""

    filter: tuple[Condition, ...] = ()
    """Conditions that all hold."""
    search: str | None = None
    """Text that the name holds, whatever the case of its letters, or the whole id."""
    sort: tuple[SortKey, ...] = ()
    """The order; by id when empty, and where all keys are equal."""
    page: Page = _field(default_factory=lambda: Page())
    """Which part."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReadinessCheck(Value):
    """What is looked at until an instance is ready (PLAN-07, OPEN-16). Whatever boots after the instance waits until it is, or until the
    limit is over: an instance that is not ready in time is recovered all the same, its check fails, and an event tells so.
    """

    probe: Probe
    """What is looked at."""
    limit_seconds: int
    """For how many seconds after the instance runs, 1 to 3600."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecoveryPlan(Value):
    """A recovery plan (PLAN-01)."""

    id: PlanId
    """Our id."""
    name: str
    """Name (PLAN-04)."""
    group_id: GroupId
    """The group it recovers; one plan per group (PLAN-21)."""
    target_cluster: ClusterId
    """Where it recovers to; never the group's own cluster (OPEN-29)."""
    snapshot_retention: int
    """How many recovery points are kept: 1 to 48 (PLAN-05)."""
    replication_mode: ReplicationMode
    """How volumes are replicated."""
    parent_policy: ParentPolicy
    """What to do with cloned volumes."""
    mapping: ResourceMapping
    """The mapping."""
    volumes: Mapping[CloudId, ReplicatedVolume]
    """Replicated volumes by Source volume; filled by the initial mirroring (PLAN-14)."""
    leaving: Mapping[CloudId, LeavingVolume] = _field(default_factory=dict)
    """Volumes that left the group and whose replicas are still there."""
    home: Home | None = None
    """Set on a plan that leads back after a failover: what it leads back to (OPEN-01)."""
    version: int
    """Counts up with every change, so that a recovery point can say which plan it was made with (REP-09)."""
    created_at: datetime
    """When it was made."""
    modified_at: datetime
    """When it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecoveryPoint(Value):
    """A recovery point. It exists only once every part of it is proven to be on the Target (REP-15): a record of this type is written
    last, so whatever a caller can choose can be recovered without the Source.
    """

    id: PointId
    """Our id."""
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """Made under which plan."""
    job_id: JobId
    """The job that made it; the tokens of its vault clones come from it."""
    taken_at: datetime
    """When the first snapshot was taken: no later write is in it for certain, every earlier one is."""
    complete_at: datetime
    """When it was complete on the Target."""
    consistency: Consistency
    """How the volumes agree."""
    volumes: Mapping[CloudId, PointVolume]
    """The volumes."""
    plan: RecoveryPlan
    """The plan as it was (REP-09, REP-10)."""
    inventory: Inventory
    """The group's part of the Source inventory as it was: instances, volumes, networks, rules."""
    manifest: Manifest
    """The digests of all this, looked at again before a job takes the point."""
    contents: Mapping[CloudId, PointContent] = _field(default_factory=dict)
    """What the volumes held in the vault when they were read last (``points().verify``); empty until then."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecoveryReport(Value):
    """A report: the facts, and what was measured from them."""

    _flat: ClassVar[tuple[str, ...]] = ('facts',)
    format: int
    """The shape of this document; ``REPORT_FORMAT`` when it was written by this version."""
    measured: Measured
    """What was measured."""
    facts: ReportInput
    """The facts."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecurrenceDaily(Value):
    """Every so many days, from the first day of the timetable on (SCH-02)."""

    every: ClassVar[Literal["daily"]] = "daily"
    _tag: ClassVar[str | None] = "every"
    days: int
    """1 to 366."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecurrenceWeekly(Value):
    """Every so many weeks on a weekday; the first is the first such day of the timetable (SCH-03)."""

    every: ClassVar[Literal["weekly"]] = "weekly"
    _tag: ClassVar[str | None] = "every"
    weeks: int
    """1 to 52."""
    weekday: Weekday
    """On which day."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecurrenceMonthlyByDay(Value):
    """Every so many months on a day of the month (SCH-04)."""

    every: ClassVar[Literal["monthly_by_day"]] = "monthly_by_day"
    _tag: ClassVar[str | None] = "every"
    from_month: int
    """From this month on, 1 to 12: of the timetable's first year, or of the next when it is over by then."""
    months: int
    """1 to 12."""
    day: DayOfMonth
    """On which day."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RecurrenceMonthlyByWeekday(Value):
    """Every so many months on, say, the second Tuesday (SCH-05)."""

    every: ClassVar[Literal["monthly_by_weekday"]] = "monthly_by_weekday"
    _tag: ClassVar[str | None] = "every"
    from_month: int
    """From this month on, 1 to 12: of the timetable's first year, or of the next when it is over by then."""
    months: int
    """1 to 12."""
    week: WeekOfMonth
    """Which of these weekdays."""
    weekday: Weekday
    """On which day."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RefKnown(Value):
    """The id in the cloud."""

    _external: ClassVar[str | None] = "known"
    _bare: ClassVar[bool] = True
    value: CloudId
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RefOutputOf(Value):
    """The id of what this task makes."""

    _external: ClassVar[str | None] = "output_of"
    _bare: ClassVar[bool] = True
    value: str
    """What it says."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicatedVolume(Value):
    """A volume of the plan as it is replicated."""

    volume_id: CloudId
    """The Source volume."""
    source: str
    """Where the Source volume's bytes live."""
    replication_id: ReplicationId
    """The identity both sides share."""
    target: str
    """Where the replica lives on the Target."""


class ReplicationMode(StrEnum):
    """How replication ships data (REP-04)."""

    SNAPSHOT = "snapshot"
    """Point by point: what was written since the last mirror snapshot is not on the Target yet."""
    JOURNAL = "journal"
    """Write by write."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhaseInitialCopy(Value):
    """The first full copy runs."""

    phase: ClassVar[Literal["initial_copy"]] = "initial_copy"
    _tag: ClassVar[str | None] = "phase"
    percent: int | None = None
    """0 to 100, where known."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhaseReplicating(Value):
    """A complete copy is kept up to date."""

    phase: ClassVar[Literal["replicating"]] = "replicating"
    _tag: ClassVar[str | None] = "phase"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhasePrimary(Value):
    """This side is primary."""

    phase: ClassVar[Literal["primary"]] = "primary"
    _tag: ClassVar[str | None] = "phase"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhaseDemoted(Value):
    """Both sides are demoted; nobody writes."""

    phase: ClassVar[Literal["demoted"]] = "demoted"
    _tag: ClassVar[str | None] = "phase"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhaseSplitBrain(Value):
    """Both sides were primary and have different writes."""

    phase: ClassVar[Literal["split_brain"]] = "split_brain"
    _tag: ClassVar[str | None] = "phase"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhaseError(Value):
    """The service reports another error."""

    phase: ClassVar[Literal["error"]] = "error"
    _tag: ClassVar[str | None] = "phase"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationPhaseUnknown(Value):
    """Nothing is known."""

    phase: ClassVar[Literal["unknown"]] = "unknown"
    _tag: ClassVar[str | None] = "phase"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReplicationStatus(Value):
    """What a storage reports of replication. May be stale: judge by ``reported_at``."""

    role: Role
    """The side, read now."""
    phase: ReplicationPhase
    """What goes on."""
    synced_to: datetime | None = None
    """The time whose writes are on this side for certain; on a primary now. None before the first copy is complete, or where the mode
    cannot tell.
    """
    reported_at: datetime | None = None
    """When the replication service reported last; none if never."""
    bytes_behind: int | None = None
    """Bytes that were written and had not arrived when the service reported last; what was written since is not in it. None where the
    service does not count them: an invented number is worse than none.
    """
    description: str
    """The service's own words."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReportInput(Value):
    """The facts of a report."""

    job: JobPart
    """The job as a whole."""
    instances: tuple[InstancePart, ...]
    """The group's instances, those left out too."""
    volumes: tuple[VolumePart, ...]
    """Their volumes."""
    tasks: tuple[TaskPart, ...]
    """Every task of every phase, in order."""
    decisions: tuple[DecisionPart, ...]
    """What operators decided."""
    leftovers: tuple[LeftoverPart, ...]
    """What is left behind."""
    journal: JournalPart
    """What it was made from."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReprotectRequest(Value):
    """How to protect in the other direction."""

    give_up: ForceRight | None = None
    """After a forced failover both sides may have been written to. This is the operator's word that the copies on the old side are then
    thrown away and copied again, whole. Without it a copy that diverged stays as it is, and the job says so. Copies that did not
    diverge follow by what changed.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resealed(Value):
    """What ``Clusters.reseal_connections`` did (SEC-02)."""

    resealed: int
    """Connections that are sealed with the current key now, and were with another one."""
    current: int
    """Connections that were already."""
    failed: tuple[tuple[ClusterId, ErrorRecord], ...]
    """Those that could not be sealed anew, and why; they are as they were."""


class ResourceKind(StrEnum):
    """The kinds of things an inventory holds."""

    TENANT = "tenant"
    """Projects (INV-04)."""
    AVAILABILITY_ZONE = "availability_zone"
    """Availability zones (INV-03)."""
    HYPERVISOR = "hypervisor"
    """Compute nodes with their capacity (INV-02)."""
    NETWORK = "network"
    """Networks (INV-05)."""
    SUBNET = "subnet"
    """Subnets."""
    ROUTER = "router"
    """Routers with their interfaces (INV-12)."""
    FLOATING_IP = "floating_ip"
    """Floating IPs."""
    PORT = "port"
    """Ports."""
    SECURITY_GROUP = "security_group"
    """Security groups with their rules (INV-07)."""
    FLAVOR = "flavor"
    """Flavours."""
    KEYPAIR = "keypair"
    """Keypairs of the user that reads the inventory."""
    VOLUME_TYPE = "volume_type"
    """Volume types (INV-09)."""
    VOLUME = "volume"
    """Volumes (INV-08)."""
    VOLUME_GROUP = "volume_group"
    """Volume groups made in the cloud (INV-10)."""
    VOLUME_SNAPSHOT = "volume_snapshot"
    """Volume snapshots made in the cloud (INV-11)."""
    SERVER_GROUP = "server_group"
    """Server groups (affinity)."""
    INSTANCE = "instance"
    """Instances (INV-06)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ResourceMapping(Value):
    """Which Target thing stands for which Source thing (PLAN-08 … PLAN-12)."""

    tenant_name: str
    """Name of the tenant that a failover creates on the Target; a drill adds a suffix."""
    availability_zones: Mapping[str, str]
    """Target zone by Source zone."""
    volume_types: Mapping[str, str]
    """Target volume type by Source volume type (names)."""
    external_networks: Mapping[CloudId, CloudId]
    """Target external network (id) by Source external network (id)."""
    floating_ips: Mapping[str, str] = _field(default_factory=dict)
    """Target floating address by Source floating address; those not named get any free address at failover."""
    instances: Mapping[CloudId, InstanceMapping]
    """Per instance."""


class ResultCode(StrEnum):
    """How a job ended (SM-21 … SM-24)."""

    SUCCESS = "dr.recovery.result.success"
    """Every instance was recovered and every boot instance booted (OPEN-22)."""
    PARTIAL_SUCCESS = "dr.recovery.result.partial_success"
    """Some were."""
    FAILED = "dr.recovery.result.failed"
    """None was."""
    CANCELED = "dr.recovery.result.canceled"
    """It was cancelled."""


class Role(StrEnum):
    """The side of a replicated image, as its own storage says now (never from a cached status)."""

    PRIMARY = "primary"
    """Writable; the source of replication."""
    SECONDARY = "secondary"
    """Read only; a replica, or a demoted primary."""
    UNREPLICATED = "unreplicated"
    """Not replicated; writable."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Router(Value):
    """A router."""

    _kind: ClassVar[str] = "router"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    tenant_id: CloudId
    """Owner."""
    external_network_id: CloudId | None = None
    """The external network it leads to."""
    subnet_ids: tuple[CloudId, ...]
    """Subnets it connects."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RpoBreach(Value):
    """A group that misses its recovery point objective (OPEN-07)."""

    kept_to: datetime
    """What was written after this was not on the Target when the breach was seen."""
    seen_at: datetime
    """When it was seen."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RuleSpec(Value):
    """A rule of a security group to be made."""

    rule: SecurityGroupRule
    """The rule; its ``remote_group_id`` is ignored in favour of ``remote_group``."""
    remote_group: Ref | None = None
    """The security group of the other end."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleRequest(Value):
    """What is to be run again and again."""

    name: str
    """Name (OPEN-06)."""
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    timetable: Timetable
    """When."""
    exclude: frozenset[CloudId] = frozenset()
    """Instances left out."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleUpdate(Value):
    """What is to be changed of a schedule; none leaves it."""

    name: str | None = None
    """Another name."""
    timetable: Timetable | None = None
    """Another timetable."""
    exclude: frozenset[CloudId] | None = None
    """Other instances left out."""
    enabled: bool | None = None
    """Whether it makes drills. Runs that fall into a time in which it does not are left out for good."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SecurityGroup(Value):
    """A security group."""

    _kind: ClassVar[str] = "security_group"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    description: str
    """Free text."""
    tenant_id: CloudId
    """Owner."""
    rules: tuple[SecurityGroupRule, ...]
    """Its rules."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SecurityGroupRule(Value):
    """One rule of a security group."""

    ingress: bool
    """Into the instance (``true``) or out of it."""
    ip_version: int
    """4 or 6."""
    protocol: str | None = None
    """Protocol name or number; none means any."""
    port_min: int | None = None
    """First port, or ICMP type."""
    port_max: int | None = None
    """Last port, or ICMP code."""
    remote_cidr: str | None = None
    """Address range of the other end; none means any."""
    remote_group_id: CloudId | None = None
    """Security group of the other end."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ServerGroup(Value):
    """A server group: instances that are kept together or apart."""

    _kind: ClassVar[str] = "server_group"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    policy: str
    """``affinity``, ``anti-affinity``, ``soft-affinity`` or ``soft-anti-affinity``."""
    members: tuple[CloudId, ...]
    """Its instances."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SettingInfo(Value):
    """Everything there is to know of a setting."""

    name: str
    """Its name."""
    unit: SettingUnit
    """What it is counted in."""
    value: bool | int | str
    """What it is now."""
    default: bool | int | str
    """What it is when nobody has changed it."""
    changed: bool
    """Whether somebody has changed it."""
    range: tuple[int, int] | None = None
    """The least and the most it may be; none where it is no number."""
    at_start: bool
    """Whether a change is felt only by an engine that is started after it."""
    meaning: str
    """What it does."""
    serves: str
    """The requirements it serves."""


class SettingUnit(StrEnum):
    """What a setting is counted in."""

    SECONDS = "seconds"
    """Whole seconds."""
    MILLISECONDS = "milliseconds"
    """Whole milliseconds."""
    COUNT = "count"
    """A number of things."""
    FLAG = "flag"
    """Yes or no."""
    LEVEL = "level"
    """The name of a ``LogLevel``."""


class Severity(StrEnum):
    """How much an event matters, least first."""

    INFO = "info"
    """To know."""
    WARNING = "warning"
    """To look at when there is time."""
    ERROR = "error"
    """Something that was to be done was not."""
    CRITICAL = "critical"
    """Data or its protection is at risk now."""


class Side(StrEnum):
    """Which cluster of the plan."""

    SOURCE = "source"
    """The cluster that is protected."""
    TARGET = "target"
    """The cluster that is recovered to."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SnapshotInfo(Value):
    """A user snapshot of an image."""

    name: str
    """Name, unique within the image."""
    taken_at: datetime
    """When it was made, to the second."""
    size_bytes: int
    """Size of the image then, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SnapshotInterval(Value):
    """How often recovery points of a protection group are made (REP-12, SCH-06 … SCH-09). Number and unit are apart, so that no ``m`` has
    to say whether it stands for minutes or months (SCH-11, CON-36). Which numbers are allowed is told by ``rules.interval_range``
    (OPEN-08).
    """

    every: int
    """How many of the unit lie between two points."""
    unit: IntervalUnit
    """What they are."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SortKey(Value):
    """One key of an order."""

    field: str
    """The field's name."""
    descending: bool
    """Greatest first."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Span(Value):
    """A duration that is not known exactly, in milliseconds."""

    low_ms: int
    """The shortest that was seen."""
    expected_ms: int
    """The middle of what was seen."""
    high_ms: int
    """The longest that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecTenant(Value):
    """A tenant (INV-22)."""

    kind: ClassVar[Literal["tenant"]] = "tenant"
    _tag: ClassVar[str | None] = "kind"
    name: str
    """Name"""
    description: str
    """Description"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecTenantAccess(Value):
    """Lets the engine's own user work in a tenant."""

    kind: ClassVar[Literal["tenant_access"]] = "tenant_access"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecNetwork(Value):
    """A network (INV-23)."""

    kind: ClassVar[Literal["network"]] = "network"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    name: str
    """Name"""
    mtu: int | None = None
    """Mtu"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecSubnet(Value):
    """A subnet."""

    kind: ClassVar[Literal["subnet"]] = "subnet"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    network: Ref
    """Network"""
    name: str
    """Name"""
    cidr: str
    """Cidr"""
    ip_version: int
    """Ip_version"""
    gateway_ip: str | None = None
    """Gateway_ip"""
    dhcp: bool
    """Dhcp"""
    allocation_pools: tuple[tuple[str, str], ...]
    """Allocation_pools"""
    dns_nameservers: tuple[str, ...]
    """Dns_nameservers"""
    host_routes: tuple[tuple[str, str], ...]
    """Host_routes"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecRouter(Value):
    """A router (INV-23)."""

    kind: ClassVar[Literal["router"]] = "router"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    name: str
    """Name"""
    external_network: Ref | None = None
    """External_network"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecRouterInterface(Value):
    """Connects a subnet to a router, at the subnet's gateway address."""

    kind: ClassVar[Literal["router_interface"]] = "router_interface"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    router: Ref
    """Router"""
    subnet: Ref
    """Subnet"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecSecurityGroup(Value):
    """A security group; made without any rule, also without those the cloud adds by itself."""

    kind: ClassVar[Literal["security_group"]] = "security_group"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    name: str
    """Name"""
    description: str
    """Description"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecSecurityGroupRules(Value):
    """Gives a security group exactly these rules. Removed with its group."""

    kind: ClassVar[Literal["security_group_rules"]] = "security_group_rules"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    group: Ref
    """Group"""
    rules: tuple[RuleSpec, ...]
    """Rules"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecKeypair(Value):
    """A keypair (INV-25)."""

    kind: ClassVar[Literal["keypair"]] = "keypair"
    _tag: ClassVar[str | None] = "kind"
    name: str
    """Name"""
    public_key: str
    """Public_key"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecFlavor(Value):
    """A flavour; private to ``tenant``."""

    kind: ClassVar[Literal["flavor"]] = "flavor"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    name: str
    """Name"""
    vcpus: int
    """Vcpus"""
    memory_mib: int
    """Memory_mib"""
    disk_gib: int
    """Disk_gib"""
    ephemeral_gib: int
    """Ephemeral_gib"""
    swap_mib: int
    """Swap_mib"""
    extra_specs: Mapping[str, str]
    """Extra_specs"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecPort(Value):
    """A port."""

    kind: ClassVar[Literal["port"]] = "port"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    network: Ref
    """Network"""
    name: str
    """Name"""
    fixed_ips: tuple[tuple[Ref, str], ...]
    """Subnet and address."""
    mac: str | None = None
    """Mac"""
    security_groups: tuple[Ref, ...]
    """Security_groups"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecFloatingIp(Value):
    """A floating IP that leads to a port."""

    kind: ClassVar[Literal["floating_ip"]] = "floating_ip"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    external_network: Ref
    """External_network"""
    address: str | None = None
    """Address"""
    port: Ref
    """Port"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecServerGroup(Value):
    """A server group."""

    kind: ClassVar[Literal["server_group"]] = "server_group"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    name: str
    """Name"""
    policy: str
    """Policy"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SpecServer(Value):
    """A server that boots from the first of ``volumes`` (INV-24). Removing it keeps its volumes and ports."""

    kind: ClassVar[Literal["server"]] = "server"
    _tag: ClassVar[str | None] = "kind"
    tenant: Ref
    """Tenant"""
    name: str
    """Name"""
    flavor: Ref
    """Flavor"""
    keypair: Ref | None = None
    """Keypair"""
    ports: tuple[Ref, ...]
    """Ports"""
    volumes: tuple[Ref, ...]
    """Volumes"""
    availability_zone: str | None = None
    """Availability_zone"""
    host: str | None = None
    """Host"""
    server_group: Ref | None = None
    """Server_group"""
    metadata: Mapping[str, str]
    """Metadata"""
    user_data: str | None = None
    """User_data"""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Step(Value):
    """A task that would be done."""

    key: str
    """Its key, under which the job's journal tells of it later."""
    effect: StepEffect
    """What it does to the world."""
    side: Side | None = None
    """Where; none where no side is concerned."""
    sentence: str
    """The same for people."""
    volume: CloudId | None = None
    """The Source volume it is about."""
    instances: frozenset[CloudId] = frozenset()
    """The instances that need it."""
    after: frozenset[str] = frozenset()
    """The steps that come first."""
    expected: Span | None = None
    """How long it takes; none when its kind was never seen."""


class StepEffect(StrEnum):
    """What a step does to the world."""

    CREATES = "creates"
    """Something exists that did not."""
    CHANGES = "changes"
    """Something is in another state, and nothing of it is lost."""
    DELETES = "deletes"
    """Something does not exist any more, or its content is thrown away."""
    WAITS = "waits"
    """Nothing; time passes until something is seen."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StorageCapabilities(Value):
    """What a storage provider can do."""

    modes: tuple[ReplicationMode, ...]
    """How it can replicate."""
    clone_replica: bool
    """A replica can be cloned from a replicated snapshot without promoting it: drills need it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StorageReport(Value):
    """What a connection check found."""

    storage_id: str
    """The storage's own identity (Ceph: the fsid)."""
    site_name: str
    """The name this side has for its peers."""
    pools: tuple[str, ...]
    """Pools that can replicate, as ``StorageRef.pool`` names them. A replica lies in the pool of the same name."""
    free_bytes: Mapping[str, int] = _field(default_factory=dict)
    """How many more bytes pools take, where the storage tells (LIM-03)."""
    peers: tuple[str, ...]
    """Identities or site names of the peers of every pool."""
    replication_healthy: bool
    """Whether the replication service of this side works."""
    missing_rights: tuple[str, ...]
    """Rights that replication needs and the user lacks; empty is good."""
    warnings: tuple[str, ...]
    """Things to tell the operator, e.g. that deletions at the source are followed at once."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Subnet(Value):
    """A subnet."""

    _kind: ClassVar[str] = "subnet"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    network_id: CloudId
    """The network it is part of."""
    tenant_id: CloudId
    """Owner."""
    cidr: str
    """Address range, e.g. ``10.0.0.0/24``."""
    ip_version: int
    """4 or 6."""
    gateway_ip: str | None = None
    """Gateway address, none when it has none."""
    dhcp: bool
    """Whether addresses are handed out by DHCP."""
    allocation_pools: tuple[tuple[str, str], ...]
    """Ranges that addresses are taken from: first and last."""
    dns_nameservers: tuple[str, ...]
    """Name servers handed out."""
    host_routes: tuple[tuple[str, str], ...]
    """Further routes: destination and next hop."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Subscription(Value):
    """What somebody wants to be told of outside the product."""

    id: SubscriptionId
    """Our id."""
    actor: str
    """Whose it is."""
    role: UserRole
    """What they were when they made or changed it."""
    groups: frozenset[OwnerGroupId]
    """The groups they belonged to when they made or changed it: nothing of others is told, but to an Admin (NTF-05)."""
    minimum: Severity
    """Events that matter less are not told."""
    areas: frozenset[EventArea] = frozenset()
    """Only events of these parts; empty: of all."""
    codes: frozenset[EventCode] = frozenset()
    """Only these events; empty: all."""
    language: Language
    """In which language."""
    sink: str
    """The name of the sink that delivers it."""
    address: str
    """Where to, as the sink understands it: a mail address, a URL, a number."""
    created_at: datetime
    """When it was made."""
    modified_at: datetime
    """When it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SubscriptionRequest(Value):
    """What somebody wants to be told of."""

    minimum: Severity
    """Events that matter less are not told."""
    areas: frozenset[EventArea] = frozenset()
    """Only events of these parts; empty: of all."""
    codes: frozenset[EventCode] = frozenset()
    """Only these events; empty: all."""
    language: Language
    """In which language."""
    sink: str
    """Through which sink, by the name the engine was given it under (``EngineBuilder.sink``)."""
    address: str
    """Where to, as the sink understands it: a mail address, a URL, a number. It is kept and shown as it is: no secret belongs into it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SubscriptionUpdate(Value):
    """What is to be changed of a subscription; none leaves it. Another sink is another subscription."""

    minimum: Severity | None = None
    """Another minimum."""
    areas: frozenset[EventArea] | None = None
    """Other parts."""
    codes: frozenset[EventCode] | None = None
    """Other events."""
    language: Language | None = None
    """Another language."""
    address: str | None = None
    """Another address."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SyncStateInit(Value):
    """Right after registration."""

    state: ClassVar[Literal["init"]] = "init"
    _tag: ClassVar[str | None] = "state"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SyncStateRunning(Value):
    """Synchronising."""

    state: ClassVar[Literal["running"]] = "running"
    _tag: ClassVar[str | None] = "state"
    complete_at: datetime | None = None
    """When the inventory was complete last; none the first time. What was complete stays good meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SyncStateDone(Value):
    """The inventory is complete."""

    state: ClassVar[Literal["done"]] = "done"
    _tag: ClassVar[str | None] = "state"
    at: datetime
    """When it was completed."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SyncStateFailed(Value):
    """The last attempt failed; the last good inventory is kept."""

    state: ClassVar[Literal["failed"]] = "failed"
    _tag: ClassVar[str | None] = "state"
    reason: str
    """Why."""
    complete_at: datetime | None = None
    """When the inventory was complete last; none when it never was."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Task(Value):
    """A step of a graph."""

    key: str
    """Its key, unique in the job."""
    action: Action
    """What it does."""
    after: frozenset[str]
    """Tasks that must have succeeded."""
    order: frozenset[str] = frozenset()
    """Tasks that must have ended, however."""
    instances: frozenset[CloudId] = frozenset()
    """Instances that need it."""
    volume: CloudId | None = None
    """The Source volume it is about."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskGraph(Value):
    """Tasks and what must come first."""

    tasks: Mapping[str, Task]
    """The tasks by key."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskOutput(Value):
    """What a task made or found."""

    handle: Handle | None = None
    """A thing in a cloud."""
    image: str | None = None
    """An image."""
    replication_id: ReplicationId | None = None
    """A replication."""
    mark: str | None = None
    """A mark in the stream of writes."""
    taken_at: datetime | None = None
    """When a snapshot was taken, as the storage says."""
    synced_to: datetime | None = None
    """The time up to which a promoted or cloned volume holds all writes, where known."""
    proof: str | None = None
    """What shows that a site is cut off."""
    absent: bool = False
    """What it was to act on was not there: nothing was done, and there is nothing to undo."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskPart(Value):
    """One task."""

    key: str
    """Its key, e.g. ``server/web-1``."""
    phase: str
    """Which part of the job it belongs to: ``run``, ``retry``, ``rollback``, ``confirm``."""
    title: str
    """What it did, for people."""
    status: str
    """Where it ended: ``done``, ``failed``, ``skipped``, …"""
    attempts: int
    """How often it was tried."""
    started_at: datetime | None = None
    """When the first attempt began."""
    ended_at: datetime | None = None
    """When it ended."""
    error: ErrorRecord | None = None
    """The last error, also when a later attempt succeeded."""
    message: str | None = None
    """What it last said, or why it was skipped."""
    after: tuple[str, ...] = ()
    """The keys of the tasks that it waited for."""
    instances: tuple[CloudId, ...] = ()
    """The instances that needed it, by their ids on the Source."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskResultDone(Value):
    """The post-condition was seen."""

    result: ClassVar[Literal["done"]] = "done"
    _tag: ClassVar[str | None] = "result"
    output: TaskOutput
    """What came of it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskResultRetry(Value):
    """It failed in a way that may pass; it is tried again."""

    result: ClassVar[Literal["retry"]] = "retry"
    _tag: ClassVar[str | None] = "result"
    error: ErrorRecord
    """Why."""
    delay_ms: int
    """After how many milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskResultFailed(Value):
    """It failed for good."""

    result: ClassVar[Literal["failed"]] = "failed"
    _tag: ClassVar[str | None] = "result"
    error: ErrorRecord
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskState(Value):
    """Everything the journal says of one task."""

    status: TaskStatus
    """Where it is."""
    attempts: int
    """Attempts so far."""
    failures: int
    """Attempts that failed in a way that may pass."""
    output: TaskOutput
    """What came of it."""
    error: ErrorRecord | None = None
    """The last error."""
    not_before: datetime | None = None
    """Not before this time, after a failed attempt."""
    started_at: datetime | None = None
    """When the first attempt began."""
    ended_at: datetime | None = None
    """When it ended."""
    percent: int | None = None
    """How far it is, 0 to 100."""
    message: str | None = None
    """What it last said of itself, or why it was skipped."""


class TaskStatus(StrEnum):
    """Where a task is."""

    PENDING = "pending"
    """Not tried yet, or to be tried again."""
    RUNNING = "running"
    """An intent without an outcome: it runs, or ran when the engine died."""
    DONE = "done"
    """Its post-condition was seen."""
    FAILED = "failed"
    """It failed for good."""
    SKIPPED = "skipped"
    """It will not be tried."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tenant(Value):
    """A project."""

    _kind: ClassVar[str] = "tenant"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Unique within its domain."""
    enabled: bool
    """Whether it may be used."""
    tags: tuple[str, ...] = ()
    """Marker texts of the cloud (tags)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TenantQuota(Value):
    """How much a tenant may hold that is made now. None: without limit, or not told."""

    instances: int | None = None
    """Servers."""
    vcpus: int | None = None
    """Their virtual processors together."""
    memory_mib: int | None = None
    """Their memory together, in MiB."""
    volumes: int | None = None
    """Volumes."""
    volume_gib: int | None = None
    """Their sizes together, in GiB."""
    networks: int | None = None
    """Networks."""
    ports: int | None = None
    """Ports."""
    floating_ips: int | None = None
    """Floating IPs."""
    security_groups: int | None = None
    """Security groups."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Timetable(Value):
    """When something runs: on which days, and at which time of the day in which zone. A time that a day does not have, because clocks are
    put forward, is the moment they are put forward; of one that a day has twice the first counts (OPEN-09).
    """

    recurrence: Recurrence
    """The days."""
    hour: int
    """The hour, 0 to 23."""
    minute: int
    """The minute, 0 to 59."""
    zone: str
    """The time zone by its IANA name, e.g. ``Asia/Seoul``."""
    begins: date
    """The first day, in that zone."""
    ends: date | None = None
    """The last day; none for no end."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class User(Value):
    """An account."""

    id: UserId
    """What its user logs in with: chosen when it was made, unique, never changed (USR-05, USR-08)."""
    name: str
    """Whose it is, for people."""
    mail: str
    """Mail address, unique whatever the case of its letters (USR-05)."""
    role: UserRole
    """What it may do (USR-01)."""
    groups: frozenset[OwnerGroupId]
    """The groups it belongs to (USR-18). With none it sees nothing but itself, unless it is an Admin's (OPEN-40)."""
    must_change_password: bool
    """Whether its password was given by somebody else, and opens nothing but the account itself until it is changed (SEC-05)."""
    created_by: str
    """Who made it."""
    created_at: datetime
    """When it was made."""
    modified_at: datetime
    """When it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserGroup(Value):
    """A group of users; clusters and protection groups belong to one."""

    id: OwnerGroupId
    """Our id: what owners are named by."""
    name: str
    """Name, unique (USR-20)."""
    description: str
    """Free text."""
    created_by: str
    """Who made it."""
    created_at: datetime
    """When it was made."""
    modified_at: datetime
    """When it was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserGroupRequest(Value):
    """A group to be made."""

    name: str
    """Name, unique (USR-20, OPEN-06)."""
    description: str = ""
    """Free text."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserGroupUpdate(Value):
    """What is to be changed of a group; none leaves it."""

    name: str | None = None
    """Another name."""
    description: str | None = None
    """Another text."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserRequest(Value):
    """An account to be made."""

    id: str
    """What its user logs in with: 1 to 64 characters as in other names (OPEN-06), kept in small letters. It cannot be changed (USR-08)."""
    name: str
    """Whose it is, for people: 1 to 255 characters."""
    mail: str
    """Mail address."""
    role: UserRole
    """What it may do; not an Admin's (USR-09)."""
    groups: frozenset[OwnerGroupId] = frozenset()
    """The groups it belongs to (USR-18); at least one of a Manager's own when a Manager makes it, and no others (USR-07)."""


class UserRole(StrEnum):
    """What somebody may do (USR-01)."""

    ADMIN = "admin"
    """Everything, everywhere."""
    MANAGER = "manager"
    """Everything within the own groups."""
    OPERATOR = "operator"
    """Carries out the recovery jobs of the own groups."""
    VIEWER = "viewer"
    """Reads within the own groups."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UserUpdate(Value):
    """What is to be changed of an account; none leaves it. The id cannot be changed (USR-08)."""

    name: str | None = None
    """Another name."""
    mail: str | None = None
    """Another mail address."""
    role: UserRole | None = None
    """Another role."""
    groups: frozenset[OwnerGroupId] | None = None
    """All its groups from now on."""


class Verb(StrEnum):
    """What is done with a thing, as rights are given."""

    CREATE = "create"
    """It is made."""
    UPDATE = "update"
    """It is changed, or something is done with it."""
    DELETE = "delete"
    """It is removed."""
    READ = "read"
    """It is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifiedReport(Value):
    """What a document was held against."""

    report: RecoveryReport
    """The report, as it was made."""
    made_at: datetime
    """When the job's journal says that it was made."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifyScopeWhole(Value):
    """Every volume."""

    scope: ClassVar[Literal["whole"]] = "whole"
    _tag: ClassVar[str | None] = "scope"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VerifyScopeSample(Value):
    """So many volumes, chosen by chance; each from its first byte to its last."""

    scope: ClassVar[Literal["sample"]] = "sample"
    _tag: ClassVar[str | None] = "scope"
    volumes: int
    """At least 1."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Volume(Value):
    """A volume."""

    _kind: ClassVar[str] = "volume"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    tenant_id: CloudId
    """Owner."""
    size_gib: int
    """Size in GiB, as the cloud counts."""
    status: str
    """The cloud's own state word, e.g. ``in-use``."""
    volume_type: str
    """Name of its type."""
    bootable: bool
    """Whether an instance can boot from it."""
    multiattach: bool
    """Whether several instances may attach it."""
    attachments: tuple[tuple[CloudId, str], ...]
    """Instances it is attached to, with the device name each sees."""
    volume_group_id: CloudId | None = None
    """The cloud's volume group it is in, if any (LIM-01)."""
    source_snapshot_id: CloudId | None = None
    """The volume snapshot it was made from, if any (LIM-02)."""
    metadata: Mapping[str, str]
    """Free key-value pairs."""
    image_metadata: Mapping[str, str]
    """Properties of the image it was made from; an adopted volume needs them put back."""
    storage: str | None = None
    """Where its bytes live, when the provider can tell."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeGroup(Value):
    """A volume group (OpenStack: a Cinder group), not LVM's."""

    _kind: ClassVar[str] = "volume_group"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    tenant_id: CloudId
    """Owner."""
    status: str
    """The cloud's own state word."""
    volume_type_ids: tuple[CloudId, ...]
    """Types that its volumes may have, by id."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeLoss(Value):
    """What a volume would lose."""

    volume_id: CloudId
    """The Source volume."""
    synced_to: datetime | None = None
    """All writes up to this time are kept; none: not known."""
    lost_seconds: int | None = None
    """Seconds of writes that would be lost at most, from ``synced_to`` to now; 0 where nothing is lost."""
    lost_bytes: int | None = None
    """Bytes of writes that would be lost: 0 where nothing is lost; for a forced promotion what the Target's storage said last
    (``bytes_behind``), to which comes what was written since. None where nobody counts them.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeMetadata(Value):
    """The storage behind one volume type of a cluster, as it was entered and verified (CL-16, OPEN-14)."""

    cluster_id: ClusterId
    """The cluster."""
    volume_type: str
    """The volume type, by name."""
    storage_kind: str
    """The kind of storage, e.g. ``ceph-rbd``."""
    storage_id: str
    """The storage's own identity (Ceph: the fsid)."""
    mon_hosts: tuple[str, ...] | None = None
    """Where its monitors answer; none where nobody said so: a provider that was made by the embedding program does not tell."""
    pool: str
    """The pool of the type's volumes."""
    client: str | None = None
    """As whom the storage is used; none where nobody said so."""
    keyring: KeyReference | None = None
    """Where that user's key is; none where nobody said so."""
    mode: ReplicationMode
    """How volumes of the type are mirrored."""
    paired_with: ClusterId | None = None
    """The cluster whose storage was found to be the peer of this one; none when no pair was named."""
    verified_at: datetime
    """When all this was verified against the storage."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeMetadataRequest(Value):
    """What an operator enters for a volume type (CL-16). ``Clusters.propose_volume_metadata`` fills in what is known."""

    volume_type: str
    """The volume type, by name."""
    storage_kind: str
    """The kind of storage."""
    storage_id: str
    """The storage's own identity (Ceph: the fsid)."""
    mon_hosts: tuple[str, ...] | None = None
    """Where its monitors answer, if that is to be kept."""
    pool: str
    """The pool of the type's volumes."""
    client: str | None = None
    """As whom the storage is used, if that is to be kept."""
    keyring: KeyReference | None = None
    """Where that user's key is, if that is to be kept; never the key."""
    mode: ReplicationMode
    """How volumes of the type are mirrored."""
    peer: ClusterId | None = None
    """The other cluster of the pair, once it is registered: both storages must be peers then."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumePart(Value):
    """One volume."""

    id: CloudId
    """Its id on the Source."""
    name: str
    """Its name."""
    size_gib: int
    """Size in GiB."""
    instances: tuple[str, ...]
    """Names of the instances that use it."""
    recovered: bool
    """Whether it was recovered."""
    data_point: datetime | None = None
    """The recovered volume holds every write up to this time, where that is known."""
    source_wrote_until: datetime | None = None
    """The last time at which the Source could have written: when it stopped, was lost, or the job began. What lies between the two is what
    was lost.
    """


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeSnapshot(Value):
    """A snapshot of a volume, made in the cloud."""

    _kind: ClassVar[str] = "volume_snapshot"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Name."""
    volume_id: CloudId
    """Of which volume."""
    status: str
    """The cloud's own state word."""
    created_at: datetime | None = None
    """When it was made, where the cloud tells."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeType(Value):
    """A volume type."""

    _kind: ClassVar[str] = "volume_type"
    id: CloudId
    """Id in the cloud."""
    name: str
    """Unique name."""
    multiattach: bool
    """Whether several instances may attach one volume."""
    extra_specs: Mapping[str, str]
    """Options of the back end."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class VolumeVerification(Value):
    """What was read of one volume."""

    volume_id: CloudId
    """The Source volume."""
    content: PointContent
    """What the vault holds."""
    source: Comparison
    """How that compares with the source's snapshot."""
    as_before: bool | None = None
    """Whether it is what was read before; none when it was read for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Warning(Value):
    """Something to tell the operator that stops nothing."""

    code: str
    """Stable code, e.g. ``group.rpo_below_interval``."""
    field: str
    """What it is about."""
    message: str
    """For people."""
    remedy: str
    """What to do."""


class WeekOfMonth(StrEnum):
    """Which of the same weekdays of a month (CON-34). A fifth that a month does not have is skipped in it (OPEN-09)."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    FIFTH = "fifth"
    LAST = "last"
    """The last one, whether it is the fourth or the fifth."""


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkRecovery(Value):
    """A drill or a failover."""

    work: ClassVar[Literal["recovery"]] = "recovery"
    _tag: ClassVar[str | None] = "work"
    job_type: JobType
    """Drill or failover."""
    execution: ExecutionType
    """When."""
    data_point: DataPoint
    """Which data."""
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    force: ForceRight | None = None
    """Given for a failover whose Source may be lost."""
    exclude: frozenset[CloudId]
    """Instances left out."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkProtect(Value):
    """The initial mirroring of a plan and its first recovery point (PLAN-14, PLAN-15)."""

    work: ClassVar[Literal["protect"]] = "protect"
    _tag: ClassVar[str | None] = "work"
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    give_up: ForceRight | None = None
    """After a forced failover: the operator's word that the old copies are thrown away where they diverged."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkPoint(Value):
    """A recovery point by hand or by interval (REP-07)."""

    work: ClassVar[Literal["point"]] = "point"
    _tag: ClassVar[str | None] = "work"
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    point_id: PointId
    """The point to be."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkFence(Value):
    """A source that came back after a forced failover is made read only: its servers are stopped, its images demoted."""

    work: ClassVar[Literal["fence"]] = "fence"
    _tag: ClassVar[str | None] = "work"
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""
    failover: JobId
    """The forced failover."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkPrune(Value):
    """Recovery points that are over the plan's retention count are removed from both sides (PLAN-17)."""

    work: ClassVar[Literal["prune"]] = "prune"
    _tag: ClassVar[str | None] = "work"
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WorkUnprotect(Value):
    """The end of a plan: its points and its mirroring are removed (PLAN-29)."""

    work: ClassVar[Literal["unprotect"]] = "unprotect"
    _tag: ClassVar[str | None] = "work"
    group_id: GroupId
    """Of which group."""
    plan_id: PlanId
    """By which plan."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SupportBundle(Value):
    """A support bundle."""

    file_name: str
    """What to call the file: ``neverstop_2026-11-23.tar.gz``."""
    manifest: BundleManifest
    """What is in it."""
    bytes: builtins.bytes
    """The file: a tar archive, compressed with gzip."""


Action: TypeAlias = (
    ActionCreate
    | ActionAdopt
    | ActionRemove
    | ActionRelease
    | ActionStopServer
    | ActionStartServer
    | ActionFlatten
    | ActionEnableReplication
    | ActionAwaitReplica
    | ActionDisableReplication
    | ActionSnapshot
    | ActionRemoveSnapshot
    | ActionShip
    | ActionAwaitArrival
    | ActionClone
    | ActionRemoveImage
    | ActionDemote
    | ActionPromote
    | ActionForcePromote
    | ActionResync
    | ActionRejoin
    | ActionFence
    | ActionUnfence
    | ActionRename
    | ActionAwaitReady
    | ActionDelay
)
"""What one task does. This is the executor's whole vocabulary."""
ApprovalState: TypeAlias = ApprovalStateWaiting | ApprovalStateApproved | ApprovalStateRejected | ApprovalStateUsed
"""How far a request is."""
AuditOutcome: TypeAlias = AuditOutcomeBegun | AuditOutcomeDone | AuditOutcomeRefused | AuditOutcomeFailed
"""How an attempt ended."""
ClusterChange: TypeAlias = ClusterChangeConnected | ClusterChangeDisconnected | ClusterChangeReread | ClusterChangeResource
"""What changed."""
Comparison: TypeAlias = ComparisonSame | ComparisonDiffers | ComparisonUnknown
"""How the vault's content compares with the source's snapshot."""
Consistency: TypeAlias = ConsistencyApplication | ConsistencyCrash | ConsistencyOrdered
"""How the volumes of a point agree with each other (REP-13, OPEN-39)."""
DataPoint: TypeAlias = DataPointLatestData | DataPointLatestSnapshot | DataPointSpecificSnapshot
"""Which data is recovered (JOB-09 … JOB-11)."""
DayOfMonth: TypeAlias = DayOfMonthDay | DayOfMonthLast
"""A day of a month. One that a month does not have is skipped in it (OPEN-09)."""
Event: TypeAlias = (
    EventCreated
    | EventFrozen
    | EventTransition
    | EventDeadlineMoved
    | EventPlanned
    | EventDecided
    | EventIntent
    | EventProgress
    | EventOutcome
    | EventSkipped
    | EventNoted
    | EventReported
)
"""What can happen to a job."""
ExecutionType: TypeAlias = ExecutionTypeImmediate | ExecutionTypeAtDateTime | ExecutionTypeSchedule
"""When a job runs (JOB-06 … JOB-08)."""
ImageRef: TypeAlias = ImageRefKnown | ImageRefOutputOf | ImageRefReplica
"""How a task names an image. Replicated images are named by their replication id, because their names change."""
Is: TypeAlias = IsOneOf | IsNoneOf | IsContaining | IsAtLeast | IsAtMost | IsAbsent
"""What a condition asks of a field."""
KeyReference: TypeAlias = KeyReferenceConnection | KeyReferenceHost
"""Where the key of a storage user is: a reference, never the key (SEC-15)."""
MarkRef: TypeAlias = MarkRefKnown | MarkRefOutputOf
"""Where a task takes the proof of a hand-over from."""
PlanChangePart: TypeAlias = PlanChangePartInstanceLeft | PlanChangePartVolumeLeft | PlanChangePartVolumeReturned | PlanChangePartUpdated
"""One part of a change of a plan."""
Probe: TypeAlias = ProbePort | ProbeHttp | ProbeGuestCommand
"""One look at an instance."""
Recurrence: TypeAlias = RecurrenceDaily | RecurrenceWeekly | RecurrenceMonthlyByDay | RecurrenceMonthlyByWeekday
"""The days on which something runs."""
Ref: TypeAlias = RefKnown | RefOutputOf
"""A thing that a spec refers to: known now, or made by another task of the same graph. The executor replaces the latter before a
provider sees the spec.
"""
ReplicationPhase: TypeAlias = (
    ReplicationPhaseInitialCopy
    | ReplicationPhaseReplicating
    | ReplicationPhasePrimary
    | ReplicationPhaseDemoted
    | ReplicationPhaseSplitBrain
    | ReplicationPhaseError
    | ReplicationPhaseUnknown
)
"""What goes on between an image and its peer."""
Resource: TypeAlias = Tenant | AvailabilityZone | Hypervisor | Network | Subnet | Router | FloatingIp | Port | SecurityGroup | Flavor | Keypair | VolumeType | Volume | VolumeGroup | VolumeSnapshot | ServerGroup | Instance
"""One thing of an inventory."""
Spec: TypeAlias = (
    SpecTenant
    | SpecTenantAccess
    | SpecNetwork
    | SpecSubnet
    | SpecRouter
    | SpecRouterInterface
    | SpecSecurityGroup
    | SpecSecurityGroupRules
    | SpecKeypair
    | SpecFlavor
    | SpecPort
    | SpecFloatingIp
    | SpecServerGroup
    | SpecServer
)
"""What to make. Every field is as in ``crate.model`` where not said otherwise."""
SyncState: TypeAlias = SyncStateInit | SyncStateRunning | SyncStateDone | SyncStateFailed
"""How far inventory synchronisation is (CL-12, OPEN-12)."""
TaskResult: TypeAlias = TaskResultDone | TaskResultRetry | TaskResultFailed
"""How an attempt at a task ended."""
VerifyScope: TypeAlias = VerifyScopeWhole | VerifyScopeSample
"""How much of a recovery point is read."""
Work: TypeAlias = WorkRecovery | WorkProtect | WorkPoint | WorkFence | WorkPrune | WorkUnprotect
"""The kinds of work the one executor does. Recovery is what operators ask for; the others prepare it, and have no clean-up of their
own: run again they finish what they began.
"""
