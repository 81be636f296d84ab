"""One release as a document: all that is known of it between two looks, kept in Redis and shown over HTTP."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.releases.model.plan import ReleasePlan

Phase = Literal[
    "preparing",  # the challenger is deployed and warmed, at weight 0
    "step",  # it has its step's share, or is about to get it
    "confirming",  # every step is through; a person decides
    "switching",  # all the traffic moves to it
    "settling",  # the old champion stays for an instant way back
    "committing",  # the registry learns of it: the alias moves last
    "retiring",  # the old champion is drained and deleted
    "promoted",
    "restoring",  # the champion's capacity, then its weight
    "removing",  # the challenger is drained and deleted, the registry told
    "rolled_back",
    "cancelled",
]
Ending = Literal["rolled_back", "cancelled"]
FINAL: frozenset[Phase] = frozenset({"promoted", "rolled_back", "cancelled"})
LEAVING: frozenset[Phase] = frozenset({"restoring", "removing"})
COMMITTED: frozenset[Phase] = frozenset({"committing", "retiring"})
"""Phases in which the challenger is the champion, and is deployed again whatever fails."""
HISTORY = 200
"""Entries that a release keeps of its history; the audit log has all."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HistoryEntry(_Frozen):
    """An entry of the history: time (seconds since the epoch), author, and event in words."""

    at: float
    who: str
    what: str


class Note(_Frozen):
    """One write to the registry that is still to be made. Notes are made in the order of their numbers, each until
    the registry has it; made twice they leave what they leave made once.

    Attributes:
        kind: ``alias``: ``name`` points to ``version``; ``tag``: of ``version``.
        version: None: the alias is to point to nothing, if it points to the version in ``value``. One that somebody
            has moved on meanwhile asks for a release to come, or is theirs to say.
        number: 1 for the first of a release.
    """

    kind: Literal["alias", "tag"]
    name: str
    version: str | None
    value: str = ""
    number: int = 0


class Release(_Frozen):
    """One attempt to make a challenger champion.

    Attributes:
        id: unique; sorts by the time of its start.
        champion: the version that had all the traffic at the start; None: the model had none.
        before: the weights at the start, to which the way back leads.
        replicas: replicas that the champion had at the start: what all the traffic needs.
        phase, step: where it is; ``step`` counts from 0 and means something in the phase ``step``.
        since: when phase or step was entered; followed_since: when every gateway replica was first seen to follow its
            weights, None until then. Seconds since the epoch.
        counted: requests judged before the step, the smaller arm's.
        approved: whether a person has opened the present gate; paused: whether nothing goes forward.
        ending: how it ends, once it is on the way back; reason: why, or what ended it.
        waiting_for: what the present phase waits for, in words; waiting_because: why that is not there yet,
            its last error; empty where nothing failed.
        outbox: what the registry has not been told yet; notes: how many notes there were in all.
        inline: whether the model's serving entry wants its champion in the gateway replicas.
        given_alias: whether the registry was ever told that the challenger is champion.
        judge: the judge's state (``app.releases.judge``), as plain values; report: what it said last.
    """

    id: str
    model: str
    challenger: str
    champion: str | None
    before: dict[str, float]
    replicas: int
    plan: ReleasePlan
    phase: Phase = "preparing"
    step: int = 0
    created: float
    since: float
    followed_since: float | None = None
    counted: int = 0
    approved: bool = False
    paused: bool = False
    ending: Ending | None = None
    reason: str = ""
    waiting_for: str = ""
    waiting_because: str = ""
    outbox: tuple[Note, ...] = ()
    notes: int = 0
    inline: bool = False
    given_alias: bool = False
    judge: dict[str, Any] | None = None
    report: dict[str, Any] | None = None
    history: tuple[HistoryEntry, ...] = Field(default=())
    ended: float | None = None

    @property
    def is_final(self) -> bool:
        """True once the release has ended."""
        return self.phase in FINAL

    @property
    def weight(self) -> float | None:
        """The challenger's share that the phase wants; None: whatever it is now."""
        match self.phase:
            case "preparing" | "removing" | "rolled_back" | "cancelled":
                return 0.0
            case "step":
                return self.plan.steps[self.step].weight
            case "confirming":
                return self.plan.steps[-1].weight
            case "restoring":
                return None
            case _:
                return 1.0
