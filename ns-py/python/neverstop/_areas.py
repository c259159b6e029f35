"""The verbs of the engine's face.

Made by generate.py from the source of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from ._sync import Job, Paged, Part
from ._native import Providers
from ._values import HasId, R, Secret
from .model import (
    AccountUpdate,
    Approval,
    AuditEntry,
    Cluster,
    ClusterEvent,
    ClusterRequest,
    ClusterUpdate,
    Connection,
    ConnectionInfo,
    ConnectionReport,
    ConnectionState,
    ConnectorInfo,
    DrillSchedule,
    Entry,
    EventCode,
    EventPart,
    Explanation,
    FailbackOffer,
    GroupRequest,
    GroupUpdate,
    Half,
    HealthReport,
    Instance,
    Inventory,
    JobOperation,
    JobRequest,
    JobSummary,
    JobUpdate,
    JobView,
    Language,
    LicenseInfo,
    LinkedRecovery,
    OperationRequest,
    PlanAssessment,
    PlanChange,
    PlanRequest,
    PlanUpdate,
    PointId,
    ProductEvent,
    ProtectionGroup,
    Query,
    RecoveryPlan,
    RecoveryPoint,
    RecoveryReport,
    ReprotectRequest,
    Resealed,
    RpoBreach,
    ScheduleRequest,
    ScheduleUpdate,
    SettingInfo,
    Subscription,
    SubscriptionRequest,
    SubscriptionUpdate,
    SupportBundle,
    User,
    UserGroup,
    UserGroupRequest,
    UserGroupUpdate,
    UserRequest,
    UserUpdate,
    VerifiedReport,
    VerifyScope,
    VolumeMetadata,
    VolumeMetadataRequest,
    VolumeVerification,
)


class AccountPart(Part):
    """``session.account``."""

    def get(self) -> User:
        """The account as it is.

        Raises:
            ``RefusedError``, ``account.none``, for an actor that the host vouches for: it has no account here.
        """
        answer: User = self._call("account.get", {}, User)
        return answer

    def update(self, update: AccountUpdate) -> User:
        """Changes name or mail address.

        Raises:
            Those of ``rules.check_own_update``; ``RefusedError``, ``account.none``. Nothing is changed then.
        """
        answer: User = self._call("account.update", {"update": update}, User)
        return answer

    def change_password(self, current: Secret | str, new: Secret | str) -> None:
        """Changes the password (USR-13), and ends the account's other logins. From the next ``authenticate`` on everything is open that was
        shut because somebody else had given the password (SEC-05).

        Raises:
            ``UnauthenticatedError``, ``password.current``, for a wrong present password, which counts as a failed login, and
            ``login.locked`` after too many; those of ``rules.check_password`` (SEC-04, USR-12); ``InvalidError``, ``password.same``;
            ``RefusedError``, ``account.none``. Nothing is changed then.
        """
        self._call("account.change_password", {"current": current, "new": new}, None)

    def log_out(self) -> None:
        """Ends the login that this session was made of (USR-29).

        Raises:
            ``RefusedError``, ``account.none``.
        """
        self._call("account.log_out", {}, None)


class ApprovalsPart(Part):
    """``session.approvals``."""

    def get(self, id: str | HasId) -> Approval:
        """One request.

        Raises:
            ``NotFoundError``.
        """
        answer: Approval = self._call("approvals.get", {"id": str(getattr(id, 'id', id))}, Approval)
        return answer

    def list(self, query: Query | None = None) -> Paged[Approval]:
        """A part of the requests about what the actor's groups own. They are forgotten a day after they have expired; the audit trail and the
        journals of jobs keep who approved what.

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "approvals.list", {}, query or Query(), Approval)

    def approve(self, id: str | HasId) -> Approval:
        """Says yes: whoever asked may now make the same call, once, until the request expires.

        Raises:
            Those of ``rules.check_decision``: ``DeniedError``, ``approval.own``, to who asked; ``NotFoundError``.
        """
        answer: Approval = self._call("approvals.approve", {"id": str(getattr(id, 'id', id))}, Approval)
        return answer

    def reject(self, id: str | HasId) -> Approval:
        """Says no: the same call is refused until the request expires.

        Raises:
            Those of ``Approvals.approve``.
        """
        answer: Approval = self._call("approvals.reject", {"id": str(getattr(id, 'id', id))}, Approval)
        return answer


class AuditPart(Part):
    """``session.audit``."""

    def list(self, query: Query | None = None) -> Paged[AuditEntry]:
        """A part of the audit trail, oldest first unless the query says otherwise; for Admins.

        Raises:
            ``DeniedError`` for others; ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "audit.list", {}, query or Query(), AuditEntry)


class ClustersPart(Part):
    """``session.clusters``."""

    def check(self, providers: Providers) -> ConnectionReport:
        """Checks the connection to a cloud and its storage, before registration or later (CL-02). Nothing is changed.

        Raises:
            ``UnauthenticatedError`` for wrong credentials, ``UnavailableError`` or ``UnknownOutcomeError`` for an endpoint that does
            not answer, ``RefusedError`` when rights are missing, the clocks differ too much or the storage does not replicate. Whatever
            the provider says, field and remedy are named.
        """
        answer: ConnectionReport = self._call("clusters.check", {}, ConnectionReport, providers=providers)
        return answer

    def register(self, request: ClusterRequest, providers: Providers) -> Cluster:
        """Registers a cluster that passes ``Clusters.check`` and reads its inventory (CL-03, CL-09). Its providers stay the embedding
        program's to make; with ``Clusters.add`` the engine keeps the connection.

        Raises:
            As ``Clusters.check``; ``InvalidError`` for a bad name, or a note that looks like a secret (SEC-15); ``RefusedError`` for a
            platform that the licence does not name, or without the licence that the engine asks for (CL-06); ``ConflictError`` for one
            that is taken (CL-05); ``DeniedError`` for an owner that is no group of the actor's (CL-07).
        """
        answer: Cluster = self._call("clusters.register", {"request": request}, Cluster, providers=providers)
        return answer

    def update(self, id: str | HasId, update: ClusterUpdate) -> Cluster:
        """Changes name or note of a cluster; needs no connection (CL-13, CON-04).

        Raises:
            ``NotFoundError``; ``InvalidError`` for a bad name or a note that looks like a secret; ``ConflictError`` for a name that is
            taken.
        """
        answer: Cluster = self._call("clusters.update", {"id": str(getattr(id, 'id', id)), "update": update}, Cluster)
        return answer

    def recovery(self, id: str | HasId) -> tuple[LinkedRecovery, ...]:
        """The groups on a cluster that the actor sees, each with its plans (CL-17, UI-09).

        Raises:
            ``NotFoundError``.
        """
        answer: tuple[LinkedRecovery, ...] = self._call("clusters.recovery", {"id": str(getattr(id, 'id', id))}, tuple[LinkedRecovery, ...])
        return answer

    def sync(self, id: str | HasId) -> Inventory:
        """Reads a cluster's inventory anew (CL-18).

        Raises:
            Those of the cloud; the last good inventory is kept then.
        """
        answer: Inventory = self._call("clusters.sync", {"id": str(getattr(id, 'id', id))}, Inventory)
        return answer

    def probe(self, id: str | HasId) -> ConnectionState:
        """Looks whether a cluster answers and keeps the answer with it (CL-11).

        Raises:
            Those of the store; a cluster that does not answer is not an error but ``Inactive``.
        """
        answer: ConnectionState = self._call("clusters.probe", {"id": str(getattr(id, 'id', id))}, ConnectionState)
        return answer

    def get(self, id: str | HasId) -> Cluster:
        """One cluster.

        Raises:
            ``NotFoundError``.
        """
        answer: Cluster = self._call("clusters.get", {"id": str(getattr(id, 'id', id))}, Cluster)
        return answer

    def by_name(self, name: str) -> Cluster | None:
        """The cluster with this name, in whichever Unicode form it is typed (OPEN-06).

        Raises:
            Those of the store.
        """
        answer: Cluster | None = self._call("clusters.by_name", {"name": name}, Cluster | None)
        return answer

    def list(self, query: Query | None = None) -> Paged[Cluster]:
        """A part of the clusters that the actor sees (CL-10, UI-06).

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "clusters.list", {}, query or Query(), Cluster)

    def delete(self, id: str | HasId) -> None:
        """Forgets a cluster, with its connection and the metadata of its volumes; needs no connection (CL-19).

        Raises:
            ``RefusedError`` while a group is on it or a plan leads to it (CL-20, CL-21, OPEN-13).
        """
        self._call("clusters.delete", {"id": str(getattr(id, 'id', id))}, None)

    def connectors(self) -> tuple[ConnectorInfo, ...]:
        """The connectors that the engine has, with what they ask for (CL-08): what a portal needs to draw its form."""
        answer: tuple[ConnectorInfo, ...] = self._call("clusters.connectors", {}, tuple[ConnectorInfo, ...])
        return answer

    def connect_and_check(self, connection: Connection) -> ConnectionReport:
        """Connects and checks the connection, before registration or later (CL-02). Nothing is kept.

        Raises:
            ``InvalidError`` for settings or secrets that the connectors do not take, are missing or have the wrong form (CL-08), an
            ``http`` address that is not allowed (SEC-08) and a setting that looks like a secret (SEC-15); those of ``Clusters.check``.
        """
        answer: ConnectionReport = self._call("clusters.connect_and_check", {"connection": connection}, ConnectionReport)
        return answer

    def add(self, request: ClusterRequest, connection: Connection) -> Cluster:
        """Connects to a cluster, registers it when it passes ``Clusters.check``, and keeps the connection, its secrets sealed (CL-03, CL-22,
        SEC-02): every engine on the store that has the connectors and the key connects by itself from then on.

        Raises:
            As ``Clusters.connect_and_check`` and ``Clusters.register``; ``RefusedError``, ``connection.no_keys``, when the engine has
            no key source; those of the key source.
        """
        answer: Cluster = self._call("clusters.add", {"request": request, "connection": connection}, Cluster)
        return answer

    def connection(self, id: str | HasId) -> ConnectionInfo | None:
        """The connection that is kept for a cluster, without its secrets; none when the embedding program gives the providers itself.

        Raises:
            ``NotFoundError`` for a cluster that is not there or not the actor's to see.
        """
        answer: ConnectionInfo | None = self._call("clusters.connection", {"id": str(getattr(id, 'id', id))}, ConnectionInfo | None)
        return answer

    def rotate_credential(self, id: str | HasId, half: Half, previous: Mapping[str, Secret | str], new: Mapping[str, Secret | str]) -> None:
        """Changes secrets of one half of a cluster (CL-15), and nothing else: connector, address and settings stay, and so does every secret
        that is not named. ``previous`` and ``new`` name the same secrets. What the half answers with the new ones is checked (CL-02) before
        anything is kept; engines on the same store use them within a probe interval.

        Raises:
            Nothing was changed after any of them. ``NotFoundError``; ``RefusedError``, ``connection.not_kept``, when the embedding
            program gives the providers; ``InvalidError``, ``connection.rotation``, when both do not name the same secrets, ones that
            are kept; ``DeniedError``, ``connection.previous``, when a previous one is not the one that is kept; those of
            ``Clusters.check`` for the new ones; ``RefusedError``, ``connection.other_storage``, when they lead to another storage;
            ``ConflictError`` when somebody else rotated meanwhile.
        """
        self._call("clusters.rotate_credential", {"id": str(getattr(id, 'id', id)), "half": half, "previous": previous, "new": new}, None)

    def replace_credential(self, id: str | HasId, half: Half, secrets: Mapping[str, Secret | str]) -> None:
        """Gives all secrets of one half of a cluster anew when those that are kept can be opened no more: the host's key is lost. What the
        half answers with them is checked as for ``rotate_credential``, and everything else stays.

        Raises:
            Nothing was changed after any of them. ``DeniedError`` for anybody but an Admin; ``RefusedError``, ``connection.readable``,
            while the key is there; those of the key source but for a key that it does not have; those of ``rotate_credential`` but for
            the ones of previous secrets; ``InvalidError`` with the field for secrets that are missing or unknown.
        """
        self._call("clusters.replace_credential", {"id": str(getattr(id, 'id', id)), "half": half, "secrets": secrets}, None)

    def reseal_connections(self) -> Resealed:
        """Seals every connection with the current key that is sealed with another one (SEC-02, re-keying), one after the other. It may be
        called again, and goes on where an earlier call stopped. With no failures, no connection needs the old keys any more.

        Raises:
            ``DeniedError`` for anybody but an Admin; ``RefusedError``, ``connection.no_keys``, without a key source; those of the key
            source for its current key; those of the store. What is wrong with one connection is in the answer.
        """
        answer: Resealed = self._call("clusters.reseal_connections", {}, Resealed)
        return answer

    def propose_volume_metadata(self, id: str | HasId) -> tuple[VolumeMetadataRequest, ...]:
        """What can be entered for the volume types of a cluster, as far as its storage, its inventory and its connection tell; a type whose
        pool nobody can tell is left out. No peer is proposed.

        Raises:
            ``NotFoundError`` for an unknown cluster or one without inventory; those of ``Clusters.check`` for its storage.
        """
        answer: tuple[VolumeMetadataRequest, ...] = self._call("clusters.propose_volume_metadata", {"id": str(getattr(id, 'id', id))}, tuple[VolumeMetadataRequest, ...])
        return answer

    def enter_volume_metadata(self, id: str | HasId, request: VolumeMetadataRequest) -> VolumeMetadata:
        """Enters metadata of a volume type, in the place of what was entered before, once it was verified against the storage (CL-16): kind
        and identity are the storage's, the pool mirrors, the mode is one it has, and the storage of ``peer``, if one is named, is its peer
        and mirrors the same pool.

        Raises:
            ``NotFoundError`` for an unknown cluster; ``InvalidError``, ``metadata.volume_type``, for a type it does not have,
            ``metadata.secret`` for a text that looks like a secret (SEC-15), ``metadata.secret_name`` for a secret that its connection
            does not have; ``RefusedError``, ``metadata.storage_kind``, ``metadata.storage_id``, ``metadata.pool``, ``metadata.mode``,
            ``metadata.peer``, for what the storage says otherwise; those of ``Clusters.check`` for either storage.
        """
        answer: VolumeMetadata = self._call("clusters.enter_volume_metadata", {"id": str(getattr(id, 'id', id)), "request": request}, VolumeMetadata)
        return answer

    def volume_metadata(self, id: str | HasId) -> tuple[VolumeMetadata, ...]:
        """What was entered for the volume types of a cluster (CL-16), in the order of their names.

        Raises:
            ``NotFoundError`` for an unknown cluster.
        """
        answer: tuple[VolumeMetadata, ...] = self._call("clusters.volume_metadata", {"id": str(getattr(id, 'id', id))}, tuple[VolumeMetadata, ...])
        return answer

    def remove_volume_metadata(self, id: str | HasId, volume_type: str) -> None:
        """Forgets what was entered for a volume type; ``Ok`` when there was nothing.

        Raises:
            ``NotFoundError`` for an unknown cluster.
        """
        self._call("clusters.remove_volume_metadata", {"id": str(getattr(id, 'id', id)), "volume_type": volume_type}, None)


class EventsPart(Part):
    """``session.events``."""

    def list(self, query: Query | None = None) -> Paged[ProductEvent]:
        """A part of the events that the actor sees (NTF-02, NTF-03), newest first unless another order is asked for. What can be asked:
        ``code``, ``severity``, ``area``, ``at``, ``owner_group_id``, and what it is about: ``cluster_id``, ``group_id``, ``plan_id``,
        ``job_id``, ``point_id``, ``schedule_id``, ``user``.

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "events.list", {}, query or Query(), ProductEvent)

    def get(self, id: str | HasId) -> ProductEvent:
        """One event (NTF-04, NTF-05).

        Raises:
            ``NotFoundError``, also for one that is not kept any more or not the actor's to see.
        """
        answer: ProductEvent = self._call("events.get", {"id": str(getattr(id, 'id', id))}, ProductEvent)
        return answer

    def after(self, place: str | HasId = "0" * 20, limit: int = 100) -> EventPart:
        """The events after a place (``EventId.at(0)``: from the oldest that is kept), oldest first, at most ``limit`` (1 to 1000), without
        waiting. Whoever goes on where the part before ended misses none and is told none twice.

        Raises:
            ``InvalidError``: ``event.place`` for a place that is no event's id; ``page.limit``.
        """
        answer: EventPart = self._call("events.after", {"place": str(getattr(place, 'id', place)), "limit": limit}, EventPart)
        return answer

    def watch(self, place: str | HasId = "0" * 20) -> Iterator[ProductEvent]:
        """Events after a place as they happen, for as long as it is listened to. Works from every engine on the store."""
        return self._stream("events.watch", {"place": str(getattr(place, 'id', place))}, ProductEvent)

    def texts(self, language: Language) -> tuple[tuple[EventCode, str], ...]:
        """The catalogue of events with their texts in a language (NTF-08, OPEN-30): a place like ``{group}`` for each parameter."""
        answer: tuple[tuple[EventCode, str], ...] = self._call("events.texts", {"language": language}, tuple[tuple[EventCode, str], ...])
        return answer


class JobsPart(Part):
    """``session.jobs``."""

    def explain(self, request: JobRequest) -> Explanation:
        """Checks a request and tells what the job would do, step by step, how long it would take and what would be lost (dry run).

        Raises:
            ``NotFoundError`` for unknown records; ``CorruptError`` for a recovery point that is not as it was made; those of the store.
            Everything that would refuse the job is in the answer instead.
        """
        answer: Explanation = self._call("jobs.explain", {"request": request}, Explanation)
        return answer

    def explain_operation(self, id: str | HasId, operation: JobOperation, request: OperationRequest | None = None) -> Explanation:
        """Tells what an operation on a job would do, as ``Jobs.explain`` does for a new one; it is asked as ``Jobs.operate`` is. Of a rollback
        it also says which writes made on the Target come back to the Source and which are given up.

        Raises:
            ``NotFoundError``; ``CorruptError`` when the journal does not verify; those of the store. Everything that would refuse the
            operation is in the answer instead.
        """
        answer: Explanation = self._call("jobs.explain_operation", {"id": str(getattr(id, 'id', id)), "operation": operation, "request": request or OperationRequest()}, Explanation)
        return answer

    def create(self, request: JobRequest) -> Job:
        """Makes a recovery job. An immediate one begins at once.

        Raises:
            ``InvalidError`` or ``RefusedError`` with field, rule and remedy: the matrix of JOB-20 … JOB-37, the plan's status (JOB-40),
            a failover in progress (JOB-41), no recovery point (JOB-42, JOB-43), an unreachable Source without a force right; for a
            failover ``approval.required`` or ``approval.rejected`` where a second person has to approve it (SEC-25).
        """
        return Job(self._session, self._call("jobs.create", {"request": request}, str))

    def get(self, id: str | HasId) -> JobSummary:
        """One job, as lists show it.

        Raises:
            ``NotFoundError``.
        """
        answer: JobSummary = self._call("jobs.get", {"id": str(getattr(id, 'id', id))}, JobSummary)
        return answer

    def list(self, query: Query | None = None) -> Paged[JobSummary]:
        """A part of the jobs that the actor sees; the order of ids is that of their creation (JOB-01).

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "jobs.list", {}, query or Query(), JobSummary)

    def view(self, id: str | HasId) -> JobView:
        """Everything that is known of a job: its verified journal, folded (JOB-55 … JOB-58).

        Raises:
            ``NotFoundError``; ``CorruptError`` when the journal does not verify.
        """
        answer: JobView = self._call("jobs.view", {"id": str(getattr(id, 'id', id))}, JobView)
        return answer

    def journal(self, id: str | HasId) -> tuple[Entry, ...]:
        """The whole journal, verified.

        Raises:
            ``CorruptError`` when it does not verify, or ends before the line that the job's record was written with.
        """
        answer: tuple[Entry, ...] = self._call("jobs.journal", {"id": str(getattr(id, 'id', id))}, tuple[Entry, ...])
        return answer

    def watch(self, id: str | HasId, position: int = 0) -> Iterator[Entry]:
        """What happens to a job, from a journal position on (0: from the beginning), until it has finished or no engine runs it any more.
        Works from every engine on the store: one that does not run the job asks the store every ``poll``. Resume with the position of the
        last entry seen. Dropping the stream stops the watching only.

        The first item is an error, ``NotFoundError``, when there is no such job and was none.
        """
        return self._stream("jobs.watch", {"id": str(getattr(id, 'id', id)), "from": position}, Entry)

    def monitor(self, id: str | HasId, since: int | None = None) -> Iterator[JobUpdate]:
        """How a job goes on, for a screen (JOB-55 … JOB-58): first where it stands, with all its instances and volumes, then what changed. To
        go on after a break give the position of the last update: then the first tells only what changed since. Ends as ``watch`` does.
        """
        return self._stream("jobs.monitor", {"id": str(getattr(id, 'id', id)), "since": since}, JobUpdate)

    def wait(self, id: str | HasId, *, timeout: float | None = None) -> JobSummary:
        """Waits until a job needs somebody or has finished: ``completed``, ``clear-failed``, ``paused`` or ``finished``. Dropping the future
        stops the waiting only.

        Raises:
            ``NotFoundError``; ``UnavailableError`` when no engine runs the job.
        """
        answer: JobSummary = self._call("jobs.wait", {"id": str(getattr(id, 'id', id))}, JobSummary, timeout=timeout)
        return answer

    def allowed(self, id: str | HasId) -> tuple[JobOperation, ...]:
        """Which operations the state machine allows now.

        Raises:
            ``NotFoundError``.
        """
        answer: tuple[JobOperation, ...] = self._call("jobs.allowed", {"id": str(getattr(id, 'id', id))}, tuple[JobOperation, ...])
        return answer

    def operate(self, id: str | HasId, operation: JobOperation, request: OperationRequest | None = None) -> JobSummary:
        """Asks for an operation (SM-11 … SM-20); returns when it is journalled, not when its tasks have ended.

        Raises:
            ``RefusedError`` naming operation and state when the state machine has no such transition (SM-64); for a confirm
            ``approval.required`` or ``approval.rejected`` where a second person has to approve it (SEC-25). ``InvalidError`` for the
            rollback of a forced failover without a reason.
        """
        answer: JobSummary = self._call("jobs.operate", {"id": str(getattr(id, 'id', id)), "operation": operation, "request": request or OperationRequest()}, JobSummary)
        return answer

    def extend(self, id: str | HasId, minutes: int) -> JobSummary:
        """Extends the wait for an operator's decision by minutes (SM-61 … SM-63).

        Raises:
            ``InvalidError`` for a length out of range, ``RefusedError`` in another state.
        """
        answer: JobSummary = self._call("jobs.extend", {"id": str(getattr(id, 'id', id)), "minutes": minutes}, JobSummary)
        return answer

    def reschedule(self, id: str | HasId, at: datetime) -> JobSummary:
        """Moves the planned time of a job that waits (JOB-45).

        Raises:
            ``InvalidError`` for a time in the past; ``RefusedError`` in another state (JOB-47).
        """
        answer: JobSummary = self._call("jobs.reschedule", {"id": str(getattr(id, 'id', id)), "at": at}, JobSummary)
        return answer

    def delete(self, id: str | HasId, leave_resources: bool = False) -> None:
        """Deletes a job (JOB-48). With ``leave_resources`` also one whose result was not cleaned up: what it made stays.

        Raises:
            ``RefusedError`` while it runs (JOB-49).
        """
        self._call("jobs.delete", {"id": str(getattr(id, 'id', id)), "leave_resources": leave_resources}, None)


class PlansPart(Part):
    """``session.plans``."""

    def explain_delete(self, id: str | HasId) -> Explanation:
        """Tells what ``Plans.delete`` would do: which snapshots, vault clones and replicas would go.

        Raises:
            ``NotFoundError``; those of the store. Everything that would refuse it is in the answer instead.
        """
        answer: Explanation = self._call("plans.explain_delete", {"id": str(getattr(id, 'id', id))}, Explanation)
        return answer

    def suggest(self, group: str | HasId, target: str | HasId) -> PlanRequest:
        """Proposes a plan: things map to those of the same name on the Target, or to the only one there is. What could not be guessed is left
        out, and ``Plans.create`` names it.

        Raises:
            ``NotFoundError`` for an unknown group or a cluster without inventory.
        """
        answer: PlanRequest = self._call("plans.suggest", {"group": str(getattr(group, 'id', group)), "target": str(getattr(target, 'id', target))}, PlanRequest)
        return answer

    def create(self, request: PlanRequest) -> tuple[RecoveryPlan, Job]:
        """Makes a plan and starts its initial mirroring (PLAN-13, PLAN-14); a first recovery point follows by itself (PLAN-15). Gives the plan
        and the job that mirrors.

        Raises:
            ``InvalidError`` or ``RefusedError`` with the field and the rule, before anything is touched: a hole in the mapping, an
            unknown zone, host, volume type or network of the Target, another kind of storage (PLAN-20), the same cluster (OPEN-29), no
            capacity, a second plan (PLAN-21), a cluster that does not answer now (PLAN-18), storages that are not paired, a volume
            whose pool does not mirror or that is a replica itself.
        """
        made_0, job = self._call("plans.create", {"request": request}, tuple[RecoveryPlan, str])
        return made_0, Job(self._session, job)

    def update(self, id: str | HasId, update: PlanUpdate) -> tuple[RecoveryPlan, Job | None]:
        """Changes a plan (PLAN-22). Whoever looks at a plan and updates it, even unchanged, says that it is right as it is (PLAN-24): what
        vanished from the Source by itself is then given up with the recovery points that hold it. Instances and volumes that were added to
        the group are replicated from now on (PLAN-23): the job that mirrors them is given, and a recovery point follows it.

        Raises:
            Those of ``Plans.create`` for the plan as it is to be (PLAN-25 … PLAN-27); ``RefusedError``, ``plan.jobs``, while a job of
            the group exists, naming it (PLAN-28). Nothing is changed then.
        """
        made_0, job = self._call("plans.update", {"id": str(getattr(id, 'id', id)), "update": update}, tuple[RecoveryPlan, str | None])
        return made_0, None if job is None else Job(self._session, job)

    def changes(self, id: str | HasId, query: Query | None = None) -> Paged[PlanChange]:
        """What became of a plan, version by version: what operators changed, and how it followed its Source by itself (PLAN-60).

        Raises:
            ``NotFoundError`` for an unknown plan; ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "plans.changes", {"id": str(getattr(id, 'id', id))}, query or Query(), PlanChange)

    def get(self, id: str | HasId) -> RecoveryPlan:
        """One plan.

        Raises:
            ``NotFoundError``.
        """
        answer: RecoveryPlan = self._call("plans.get", {"id": str(getattr(id, 'id', id))}, RecoveryPlan)
        return answer

    def list(self, query: Query | None = None) -> Paged[RecoveryPlan]:
        """A part of the plans that the actor sees (UI-15); those of one group with the condition ``group_id`` (PLAN-02).

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "plans.list", {}, query or Query(), RecoveryPlan)

    def assess(self, id: str | HasId) -> PlanAssessment:
        """A plan's status with every reason and its remedy (PLAN-40 … PLAN-45): the answer to "why is it not ready". Both clusters and the
        replicas are asked now, and whether the clusters answer is kept with them.

        Raises:
            Those of the store.
        """
        answer: PlanAssessment = self._call("plans.assess", {"id": str(getattr(id, 'id', id))}, PlanAssessment)
        return answer

    def delete(self, id: str | HasId) -> Job:
        """Ends a plan (PLAN-29): its points, snapshots, vault and mirroring go; the Source's volumes stay as they are. Gives the job that does
        it.

        Raises:
            ``RefusedError`` while jobs of the group exist (PLAN-30); they are named. ``RefusedError``, ``plan.source_not_primary``,
            when the Source cannot write a volume, as after a rollback that was given up half way; ``approval.required`` or
            ``approval.rejected`` where a second person has to approve it (SEC-25).
        """
        return Job(self._session, self._call("plans.delete", {"id": str(getattr(id, 'id', id))}, str))


class FailbackPart(Part):
    """``session.failback``."""

    def explain_reprotect(self, failover: str | HasId, request: ReprotectRequest | None = None) -> Explanation:
        """Tells what ``Failback.reprotect`` would do: which instances on the old side would be stopped, which copies would follow by what
        changed, and which may be thrown away.

        Raises:
            ``NotFoundError`` without an offer; those of the store. Everything that would refuse it is in the answer instead.
        """
        answer: Explanation = self._call("failback.explain_reprotect", {"failover": str(getattr(failover, 'id', failover)), "request": request or ReprotectRequest()}, Explanation)
        return answer

    def offer(self, failover: str | HasId) -> FailbackOffer:
        """What a confirmed failover offers (OPEN-01).

        Raises:
            ``NotFoundError`` when the job offers nothing: it is no confirmed failover, or its instances have come home.
        """
        answer: FailbackOffer = self._call("failback.offer", {"failover": str(getattr(failover, 'id', failover))}, FailbackOffer)
        return answer

    def offers(self, query: Query | None = None) -> Paged[FailbackOffer]:
        """A part of the offers that the actor sees.

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "failback.offers", {}, query or Query(), FailbackOffer)

    def reprotect(self, failover: str | HasId, request: ReprotectRequest | None = None) -> tuple[ProtectionGroup, RecoveryPlan, Job]:
        """Protects the recovered instances in the other direction: a group of them, a plan that is the first one reversed, and a job that lets
        the old copies follow. When the job has succeeded, a failover by that plan is the failback: where the original instances are still
        there they are started on their own volumes, and its confirm puts everything back as it was before the failover. Both clusters must
        answer.

        Raises:
            ``NotFoundError`` without an offer; ``RefusedError`` when it was taken already (after a job that failed it may be asked for
            again), or the recovered instances are not there any more; ``approval.required`` or ``approval.rejected`` for a ``give_up``
            that a second person has to approve (SEC-25); ``InvalidError`` for a ``give_up`` without operator or reason;
            ``UnavailableError`` when the side that runs now does not answer.
        """
        made_0, made_1, job = self._call("failback.reprotect", {"failover": str(getattr(failover, 'id', failover)), "request": request or ReprotectRequest()}, tuple[ProtectionGroup, RecoveryPlan, str])
        return made_0, made_1, Job(self._session, job)


class ProtectionGroupsPart(Part):
    """``session.protection_groups``."""

    def create(self, request: GroupRequest) -> ProtectionGroup:
        """Puts instances into a new group (PG-05). Nothing is replicated before it has a plan.

        Raises:
            ``InvalidError`` or ``RefusedError`` with the field and the rule: name, unknown instance, another group's member (PG-08),
            several projects (PG-09), a shared volume whose other instance is missing (PG-07), a volume that cannot be recovered
            (LIM-01, LIM-02), an inventory that is not complete (PG-12), more instances than the licence allows, or one that has ended
            (PG-10, PG-11); ``DeniedError`` for an owner that is no group of the actor's (PG-14).
        """
        answer: ProtectionGroup = self._call("protection_groups.create", {"request": request}, ProtectionGroup)
        return answer

    def update(self, id: str | HasId, update: GroupUpdate) -> tuple[ProtectionGroup, Job | None]:
        """Changes a group (PG-15). Its plan follows in the same moment where an instance is taken out (PG-17); an instance that is added has
        to be mapped by an update of the plan, whose state is ``Warning`` until then (PG-16). With no members left the plan is deleted
        (PLAN-32): the job that does it is given.

        Raises:
            Those of ``ProtectionGroups.create`` for the group as it is to be (PG-19, PG-20); ``RefusedError``, ``group.jobs``, while a
            job of the group exists, naming it (PG-18); ``RefusedError``, ``group.end_protection``, when the last member is taken out
            without ``end_protection``, and then what ``Plans.delete`` refuses. Nothing is changed then.
        """
        made_0, job = self._call("protection_groups.update", {"id": str(getattr(id, 'id', id)), "update": update}, tuple[ProtectionGroup, str | None])
        return made_0, None if job is None else Job(self._session, job)

    def get(self, id: str | HasId) -> ProtectionGroup:
        """One group.

        Raises:
            ``NotFoundError``.
        """
        answer: ProtectionGroup = self._call("protection_groups.get", {"id": str(getattr(id, 'id', id))}, ProtectionGroup)
        return answer

    def rpo_breach(self, id: str | HasId) -> RpoBreach | None:
        """Since when a group misses its recovery point objective; none when it meets it, or nobody has looked (OPEN-07). A started engine
        looks every ``watch_interval``, and tells of it with an event.

        Raises:
            ``NotFoundError``.
        """
        answer: RpoBreach | None = self._call("protection_groups.rpo_breach", {"id": str(getattr(id, 'id', id))}, RpoBreach | None)
        return answer

    def list(self, query: Query | None = None) -> Paged[ProtectionGroup]:
        """A part of the groups that the actor sees (PG-03, UI-11).

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "protection_groups.list", {}, query or Query(), ProtectionGroup)

    def unprotected(self, cluster: str | HasId, query: Query | None = None) -> Paged[Instance]:
        """A part of the instances of a cluster that are in no group (PG-02, CON-09).

        Raises:
            ``NotFoundError`` for an unknown cluster, or one that was never synchronised; ``InvalidError`` for a query that cannot be
            answered.
        """
        return Paged(self, "protection_groups.unprotected", {"cluster": str(getattr(cluster, 'id', cluster))}, query or Query(), Instance)

    def delete(self, id: str | HasId) -> None:
        """Deletes a group that has no plan (PG-21).

        Raises:
            ``RefusedError`` while a plan exists (PG-22).
        """
        self._call("protection_groups.delete", {"id": str(getattr(id, 'id', id))}, None)


class HealthPart(Part):
    """``session.health``."""

    def report(self) -> HealthReport:
        """Looks at the store, at the clusters, groups and jobs that the actor sees, and at the licence, and tells what is not as it should be,
        each with what to do (OPS-30 … OPS-37). Clouds and storages are asked now, each for ``reach_limit`` at most; nothing is changed. A
        store that does not answer is a finding and no error.

        Raises:
            ``CorruptError`` for a store that answers and cannot be read.
        """
        answer: HealthReport = self._call("health.report", {}, HealthReport)
        return answer


class InventoryPart(Part):
    """``session.inventory``."""

    def list(self, kind: type[R], cluster: str | HasId, query: Query | None = None) -> Paged[R]:
        """A part of the things of one kind that a cluster holds, as they were read last; nothing is asked of the cloud.

        Raises:
            ``NotFoundError`` for an unknown cluster, or one that was never synchronised; ``InvalidError`` for a query that cannot be
            answered, naming its field.
        """
        return Paged(self, "inventory.list", {"kind": kind._kind, "cluster": str(getattr(cluster, 'id', cluster))}, query or Query(), kind)

    def get(self, kind: type[R], cluster: str | HasId, id: str | HasId) -> R:
        """One thing that a cluster holds.

        Raises:
            ``NotFoundError``.
        """
        answer: R = self._call("inventory.get", {"kind": kind._kind, "cluster": str(getattr(cluster, 'id', cluster)), "id": str(getattr(id, 'id', id))}, kind)
        return answer

    def whole(self, cluster: str | HasId) -> Inventory:
        """Everything that a cluster holds. It is shared, not copied, and stays as it was while it is looked at.

        Raises:
            ``NotFoundError`` for an unknown cluster, or one that was never synchronised.
        """
        answer: Inventory = self._call("inventory.whole", {"cluster": str(getattr(cluster, 'id', cluster))}, Inventory)
        return answer

    def events(self, cluster: str | HasId, after: int = 0, limit: int = 100) -> tuple[ClusterEvent, ...]:
        """What happened on a cluster after a position (0: from the oldest that is kept), oldest first, without waiting. The newest ten
        thousand events are kept.

        Raises:
            ``NotFoundError`` for an unknown cluster; ``NotFoundError``, ``events.gone``, when events after this position are not kept
            any more: read the inventory anew and go on after the newest; ``InvalidError`` for a limit that is not 1 to 1000.
        """
        answer: tuple[ClusterEvent, ...] = self._call("inventory.events", {"cluster": str(getattr(cluster, 'id', cluster)), "after": after, "limit": limit}, tuple[ClusterEvent, ...])
        return answer

    def watch(self, cluster: str | HasId, after: int = 0) -> Iterator[ClusterEvent]:
        """What happens on a cluster, after a position, for as long as it is listened to. Works from every engine on the store. Resume with the
        position of the last event seen.
        """
        return self._stream("inventory.watch", {"cluster": str(getattr(cluster, 'id', cluster)), "after": after}, ClusterEvent)


class LicencePart(Part):
    """``session.licence``."""

    def register(self, key: str) -> LicenseInfo:
        """Registers the first licence key (LIC-02). All engines on the store go by it from then on.

        Raises:
            ``InvalidError``, field ``key``: ``license.malformed``, ``license.version``, ``license.signature``, ``license.product``,
            ``license.expired``, ``license.issued`` (in the future) or ``license.older``; ``RefusedError``, ``license.registered``, when
            a licence of this installation is registered already, and ``license.not_required`` when this engine asks for none;
            ``DeniedError`` for all but an Admin. Nothing is changed then.
        """
        answer: LicenseInfo = self._call("licence.register", {"key": key}, LicenseInfo)
        return answer

    def get(self) -> LicenseInfo:
        """What the licence is worth, what it allows, and how much of that is used (LIC-03). The key itself is not shown.

        Raises:
            ``DeniedError`` for all but an Admin and a Manager.
        """
        answer: LicenseInfo = self._call("licence.get", {}, LicenseInfo)
        return answer

    def renew(self, key: str) -> LicenseInfo:
        """Puts a newer licence key in the place of the one that is registered, e.g. when that has expired or the number of instances changes
        (LIC-05). A licence for fewer instances than are protected is taken: they stay protected, and none is added until there are fewer.
        Renewing with the very key that is registered changes nothing.

        Raises:
            Those of ``register`` for the key; ``RefusedError``, ``license.missing``, when none is registered.
        """
        answer: LicenseInfo = self._call("licence.renew", {"key": key}, LicenseInfo)
        return answer


class PointsPart(Part):
    """``session.points``."""

    def create(self, group: str | HasId) -> tuple[PointId, Job]:
        """Makes a recovery point of a group (PG-23, REP-07): snapshots of all its volumes, shipped to the Target, proved there and put into
        the vault. Gives the job that does it; the point can be chosen once that has succeeded.

        Raises:
            ``RefusedError`` without a plan whose volumes are replicated.
        """
        made_0, job = self._call("points.create", {"group": str(getattr(group, 'id', group))}, tuple[PointId, str])
        return made_0, Job(self._session, job)

    def list(self, group: str | HasId, query: Query | None = None) -> Paged[RecoveryPoint]:
        """A part of the group's recovery points, oldest first unless the query says otherwise (REP-06).

        Raises:
            ``NotFoundError`` for an unknown group; ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "points.list", {"group": str(getattr(group, 'id', group))}, query or Query(), RecoveryPoint)

    def get(self, id: str | HasId) -> RecoveryPoint:
        """One recovery point.

        Raises:
            ``NotFoundError``.
        """
        answer: RecoveryPoint = self._call("points.get", {"id": str(getattr(id, 'id', id))}, RecoveryPoint)
        return answer

    def verify(self, id: str | HasId, scope: VerifyScope) -> tuple[VolumeVerification, ...]:
        """Reads what a recovery point holds and compares it with the source's snapshot, where that is still there, and with what was read
        before. It moves all the data of the volumes that are read, on both sides; nothing is locked meanwhile, and dropping the future ends
        it. What was read is kept with the point, for the next time; the first word stands.

        Raises:
            ``NotFoundError`` for an unknown point; ``InvalidError`` for a sample of nothing; ``CorruptError`` when the point's
            definitions are not as they were made (``point.manifest``) or a volume is not in the vault any more (``point.vault``); those
            of the Target's storage.
        """
        answer: tuple[VolumeVerification, ...] = self._call("points.verify", {"id": str(getattr(id, 'id', id)), "scope": scope}, tuple[VolumeVerification, ...])
        return answer


class ReportsPart(Part):
    """``session.reports``."""

    def get(self, job: str | HasId) -> RecoveryReport:
        """The report of a job (RES-03), as a value that gives JSON and a page.

        Raises:
            ``NotFoundError`` while the job has none.
        """
        answer: RecoveryReport = self._call("reports.get", {"job": str(getattr(job, 'id', job))}, RecoveryReport)
        return answer

    def list(self, query: Query | None = None) -> Paged[RecoveryReport]:
        """A part of the reports that the actor sees (RES-02), searched by ``kind`` and ``result`` (RES-06) among others. The history of a
        protection group (RES-01) is what is found by its ``group_id``, also when the group is gone.

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "reports.list", {}, query or Query(), RecoveryReport)

    def verify(self, document: str) -> VerifiedReport:
        """Whether a document that ``RecoveryReport.json`` or ``RecoveryReport.html`` gave is, byte for byte, what the engine made: its data is
        held against the digest in the job's journal, the journal against its own chain of hashes and the hash in the report. The report
        itself may have been deleted since.

        Raises:
            ``CorruptError``: ``report.decode`` when it is no report, ``report.changed`` when it is not as it was made; those of the
            journal when that was changed. ``NotFoundError`` when no such job is known here.
        """
        answer: VerifiedReport = self._call("reports.verify", {"document": document}, VerifiedReport)
        return answer

    def delete(self, job: str | HasId) -> None:
        """Deletes the report of a drill (RES-05). That of a failover is kept.

        Raises:
            ``NotFoundError``; ``DeniedError`` without the right; ``RefusedError``, ``report.kept``, for anything but a drill.
        """
        self._call("reports.delete", {"job": str(getattr(job, 'id', job))}, None)

    def html(self, job: str | HasId) -> str:
        """The report as one HTML page that needs nothing else; its JSON document is in it.

        Raises:
            As ```get```.
        """
        answer: str = self._call("reports.html", {"job": str(getattr(job, 'id', job))}, str)
        return answer

    def json(self, job: str | HasId) -> str:
        """The report as the JSON document that ```verify```` takes.

        Raises:
            As ````get```.
        """
        answer: str = self._call("reports.json", {"job": str(getattr(job, 'id', job))}, str)
        return answer

    def removal_script(self, job: str | HasId) -> str:
        """The commands that remove what a job left behind, a line each, as far as they are known (SM-68).

        Raises:
            As ```get```.
        """
        answer: str = self._call("reports.removal_script", {"job": str(getattr(job, 'id', job))}, str)
        return answer


class SchedulesPart(Part):
    """``session.schedules``."""

    def create(self, request: ScheduleRequest) -> DrillSchedule:
        """Makes a schedule. Its first run is the next one of its timetable. Each run is a job with all that a drill has: it begins when its
        group is free, and is cancelled when that is not so within the ``drill_start_window`` (JOB-54).

        Raises:
            ``InvalidError`` with field and rule: the name, the timetable, a plan that is not the group's (JOB-04), instances that are
            not in the group or all of it left out; ``DeniedError`` for a role that makes no jobs; ``NotFoundError``.
        """
        answer: DrillSchedule = self._call("schedules.create", {"request": request}, DrillSchedule)
        return answer

    def get(self, id: str | HasId) -> DrillSchedule:
        """One schedule.

        Raises:
            ``NotFoundError``.
        """
        answer: DrillSchedule = self._call("schedules.get", {"id": str(getattr(id, 'id', id))}, DrillSchedule)
        return answer

    def list(self, query: Query | None = None) -> Paged[DrillSchedule]:
        """A part of the schedules.

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "schedules.list", {}, query or Query(), DrillSchedule)

    def update(self, id: str | HasId, update: ScheduleUpdate) -> DrillSchedule:
        """Changes a schedule. Jobs that it has made already are left as they are.

        Raises:
            Those of ``Schedules.create`` for the schedule as it is to be. Nothing is changed then.
        """
        answer: DrillSchedule = self._call("schedules.update", {"id": str(getattr(id, 'id', id)), "update": update}, DrillSchedule)
        return answer

    def next_runs(self, id: str | HasId, count: int) -> tuple[datetime, ...]:
        """The next runs, as many as there are up to ``count`` (1000 at most); none while it is not enabled.

        Raises:
            ``NotFoundError``. Before there is a schedule, ask ``rules.next_runs``.
        """
        answer: tuple[datetime, ...] = self._call("schedules.next_runs", {"id": str(getattr(id, 'id', id)), "count": count}, tuple[datetime, ...])
        return answer

    def delete(self, id: str | HasId) -> None:
        """Deletes a schedule. Jobs that it has made stay.

        Raises:
            ``NotFoundError``; ``DeniedError``.
        """
        self._call("schedules.delete", {"id": str(getattr(id, 'id', id))}, None)


class SettingsPart(Part):
    """``session.settings``."""

    def get(self) -> Mapping[str, bool | int | str]:
        """The settings that the engine goes by now.

        Raises:
            ``DeniedError`` for all but an Admin; those of the store.
        """
        answer: Mapping[str, bool | int | str] = self._call("settings.get", {}, Mapping[str, bool | int | str])
        return answer

    def describe(self) -> tuple[SettingInfo, ...]:
        """Every setting: its name, unit, range, meaning, what it is now, and what it is when nobody has changed it.

        Raises:
            Those of ``get``.
        """
        answer: tuple[SettingInfo, ...] = self._call("settings.describe", {}, tuple[SettingInfo, ...])
        return answer

    def update(self, update: Mapping[str, bool | int | str]) -> Mapping[str, bool | int | str]:
        """Changes settings, all or none. This engine goes by them at once, other engines on the store within their ``watch_interval``; they
        outlast a restart, and stand above what an engine is built with. A wait that has begun ends as it began.

        Raises:
            ``InvalidError``, naming the setting as field: ``settings.unknown``, ``settings.form``, ``settings.range``; ``DeniedError``
            for all but an Admin. Nothing is changed then.
        """
        answer: Mapping[str, bool | int | str] = self._call("settings.update", {"update": update}, Mapping[str, bool | int | str])
        return answer

    def reset(self, names: Sequence[str]) -> Mapping[str, bool | int | str]:
        """Gives settings back what they are when nobody has changed them.

        Raises:
            ``InvalidError``, ``settings.unknown``; ``DeniedError`` for all but an Admin.
        """
        answer: Mapping[str, bool | int | str] = self._call("settings.reset", {"names": names}, Mapping[str, bool | int | str])
        return answer


class SubscriptionsPart(Part):
    """``session.subscriptions``."""

    def create(self, request: SubscriptionRequest) -> Subscription:
        """Subscribes the actor to events that happen from now on. They are told of what they may see with the role and the groups they have
        now (NTF-05): a host that changes these calls ``Subscriptions.update`` as that user, or deletes the subscription.

        Raises:
            ``InvalidError``, ``subscription.sink``, for a sink that this engine has not got, and what the sink says against the
            address; ``RefusedError``, ``subscription.count``, for more than 20 of one actor.
        """
        answer: Subscription = self._call("subscriptions.create", {"request": request}, Subscription)
        return answer

    def get(self, id: str | HasId) -> Subscription:
        """One subscription of the actor's; of anybody's for an Admin.

        Raises:
            ``NotFoundError``, also for one of somebody else's.
        """
        answer: Subscription = self._call("subscriptions.get", {"id": str(getattr(id, 'id', id))}, Subscription)
        return answer

    def list(self, query: Query | None = None) -> Paged[Subscription]:
        """A part of the subscriptions: the actor's, or everybody's for an Admin.

        Raises:
            ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "subscriptions.list", {}, query or Query(), Subscription)

    def update(self, id: str | HasId, update: SubscriptionUpdate) -> Subscription:
        """Changes a subscription. Changed by the one whose it is, even by nothing, it goes by the role and the groups they have now.

        Raises:
            ``NotFoundError``; those of ``Subscriptions.create`` for an address that is changed. Nothing is changed then.
        """
        answer: Subscription = self._call("subscriptions.update", {"id": str(getattr(id, 'id', id)), "update": update}, Subscription)
        return answer

    def delete(self, id: str | HasId) -> None:
        """Ends a subscription. What is still to be delivered for it is not.

        Raises:
            ``NotFoundError``.
        """
        self._call("subscriptions.delete", {"id": str(getattr(id, 'id', id))}, None)


class SupportPart(Part):
    """``session.support``."""

    def bundle(self) -> SupportBundle:
        """Makes a file for support (OPS-38): settings, versions, health, what the licence is worth, how many things each cluster holds, its
        last 500 events, all jobs, and the journals of the newest 50. Connections and licence keys are not in it. Secrets are taken out of
        all texts (SEC-23): those of stored connections by their value, others by how they look, which is no proof. Names, addresses and ids
        stay in it: encrypt it for its receiver.

        Raises:
            ``DeniedError`` for all but an Admin; those of the store.
        """
        answer: SupportBundle = self._call("support.bundle", {}, SupportBundle)
        return answer


class UserGroupsPart(Part):
    """``session.user_groups``."""

    def create(self, request: UserGroupRequest) -> UserGroup:
        """Makes a group. One that a Manager makes has that Manager as its first member (USR-21, CON-33).

        Raises:
            Those of ``rules.check_user_group``; ``DeniedError`` for a role that makes no groups.
        """
        answer: UserGroup = self._call("user_groups.create", {"request": request}, UserGroup)
        return answer

    def get(self, id: str | HasId) -> UserGroup:
        """One group.

        Raises:
            ``NotFoundError``, also for a group that a Manager does not belong to; ``DeniedError`` for a role that sees no groups.
        """
        answer: UserGroup = self._call("user_groups.get", {"id": str(getattr(id, 'id', id))}, UserGroup)
        return answer

    def list(self, query: Query | None = None) -> Paged[UserGroup]:
        """A part of the groups: an Admin sees all, a Manager the own ones (USR-19). Who belongs to one is asked of ``Session.users``.

        Raises:
            ``DeniedError`` for a role that sees no groups; ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "user_groups.list", {}, query or Query(), UserGroup)

    def update(self, id: str | HasId, update: UserGroupUpdate) -> UserGroup:
        """Changes a group (USR-23).

        Raises:
            Those of ``UserGroups.create``; ``NotFoundError``. Nothing is changed then.
        """
        answer: UserGroup = self._call("user_groups.update", {"id": str(getattr(id, 'id', id)), "update": update}, UserGroup)
        return answer

    def add_member(self, id: str | HasId, user: str | HasId) -> User:
        """Puts an account into a group (USR-22), and ends its logins. A Manager can put in whom they see; others are put in by an Admin.

        Raises:
            ``NotFoundError`` for a group or an account that is not the actor's to see; ``DeniedError``, ``user.admin``, for an Admin's
            account and another role (USR-09); ``DeniedError`` for a role that changes no groups.
        """
        answer: User = self._call("user_groups.add_member", {"id": str(getattr(id, 'id', id)), "user": str(getattr(user, 'id', user))}, User)
        return answer

    def remove_member(self, id: str | HasId, user: str | HasId) -> User:
        """Takes an account out of a group (USR-22), and ends its logins.

        Raises:
            Those of ``UserGroups.add_member``.
        """
        answer: User = self._call("user_groups.remove_member", {"id": str(getattr(id, 'id', id)), "user": str(getattr(user, 'id', user))}, User)
        return answer

    def delete(self, id: str | HasId) -> None:
        """Deletes a group that owns nothing (OPEN-41). Its members are in it no more, and maybe in none (USR-24, OPEN-40); their logins end.

        Raises:
            ``RefusedError``, ``user_group.owns``, naming the clusters and protection groups that belong to it; ``NotFoundError``;
            ``DeniedError`` for a role that deletes no groups.
        """
        self._call("user_groups.delete", {"id": str(getattr(id, 'id', id))}, None)


class UsersPart(Part):
    """``session.users``."""

    def create(self, request: UserRequest) -> tuple[User, Secret]:
        """Makes an account. Its first password is random and given here, and nowhere again (USR-06): it lasts three days and has to be changed
        at the first login (SEC-05).

        Raises:
            Those of ``rules.check_new_user``; ``DeniedError`` for a role that makes no accounts.
        """
        answer: tuple[User, Secret] = self._call("users.create", {"request": request}, tuple[User, Secret])
        return answer

    def get(self, id: str | HasId) -> User:
        """One account.

        Raises:
            ``NotFoundError``, also for an account that shares no group with a Manager; ``DeniedError`` for a role that sees no
            accounts.
        """
        answer: User = self._call("users.get", {"id": str(getattr(id, 'id', id))}, User)
        return answer

    def list(self, query: Query | None = None) -> Paged[User]:
        """A part of the accounts: an Admin sees all, a Manager those of the own groups (USR-04).

        Raises:
            ``DeniedError`` for a role that sees no accounts; ``InvalidError`` for a query that cannot be answered, naming its field.
        """
        return Paged(self, "users.list", {}, query or Query(), User)

    def update(self, id: str | HasId, update: UserUpdate) -> User:
        """Changes an account (USR-08 … USR-10). Another role or other groups end its logins.

        Raises:
            Those of ``rules.check_user_update``; ``NotFoundError``; ``DeniedError`` for a role that changes no accounts. Nothing is
            changed then.
        """
        answer: User = self._call("users.update", {"id": str(getattr(id, 'id', id)), "update": update}, User)
        return answer

    def delete(self, id: str | HasId) -> None:
        """Deletes an account, with its password and its logins (USR-16).

        Raises:
            Those of ``rules.check_user_delete`` (USR-15); ``NotFoundError``; ``DeniedError`` for a role that deletes no accounts.
        """
        self._call("users.delete", {"id": str(getattr(id, 'id', id))}, None)

    def reset_password(self, id: str | HasId) -> Secret:
        """Gives an account a random password, as ``Users.create`` does (USR-14, SEC-05), and ends its logins.

        Raises:
            ``DeniedError``, ``user.admin``, for the account of an Admin and another role (USR-09); ``NotFoundError``; ``DeniedError``
            for a role that changes no accounts.
        """
        answer: Secret = self._call("users.reset_password", {"id": str(getattr(id, 'id', id))}, Secret)
        return answer

    def unlock(self, id: str | HasId) -> None:
        """Forgets the failed logins of an account, wherever they came from: it can log in again at once (SEC-06).

        Raises:
            Those of ``Users.reset_password``.
        """
        self._call("users.unlock", {"id": str(getattr(id, 'id', id))}, None)

    def force_logout(self, id: str | HasId) -> None:
        """Ends every login of an account (USR-30).

        Raises:
            Those of ``Users.reset_password``.
        """
        self._call("users.force_logout", {"id": str(getattr(id, 'id', id))}, None)


class Areas:
    """What a session can do, part by part."""

    account: AccountPart
    approvals: ApprovalsPart
    audit: AuditPart
    clusters: ClustersPart
    events: EventsPart
    jobs: JobsPart
    plans: PlansPart
    failback: FailbackPart
    protection_groups: ProtectionGroupsPart
    health: HealthPart
    inventory: InventoryPart
    licence: LicencePart
    points: PointsPart
    reports: ReportsPart
    schedules: SchedulesPart
    settings: SettingsPart
    subscriptions: SubscriptionsPart
    support: SupportPart
    user_groups: UserGroupsPart
    users: UsersPart

    def _make_areas(self, session: object) -> None:
        self.account = AccountPart(session)
        self.approvals = ApprovalsPart(session)
        self.audit = AuditPart(session)
        self.clusters = ClustersPart(session)
        self.events = EventsPart(session)
        self.jobs = JobsPart(session)
        self.plans = PlansPart(session)
        self.failback = FailbackPart(session)
        self.protection_groups = ProtectionGroupsPart(session)
        self.health = HealthPart(session)
        self.inventory = InventoryPart(session)
        self.licence = LicencePart(session)
        self.points = PointsPart(session)
        self.reports = ReportsPart(session)
        self.schedules = SchedulesPart(session)
        self.settings = SettingsPart(session)
        self.subscriptions = SubscriptionsPart(session)
        self.support = SupportPart(session)
        self.user_groups = UserGroupsPart(session)
        self.users = UsersPart(session)
