"""The closed code sets, and the fields that use them.

Owns the list of fields whose value must be a code from a fixed list: FHIR's required bindings and a few lists that
CareRelay defines. In Avro these fields are enums, and the JSON form refuses other codes, so both forms allow the same
values. A field with an open code list (encounter class, disposition, activity code) is plain text and is not listed
here; its description names the code system. Knows no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN = "unknown"
"""The default of every enum: a reader sees it in place of a code that its own schema does not have."""


@dataclass(frozen=True, slots=True)
class CodeSet:
    """A closed list of codes: the name of its Avro enum, the code system, and the codes as FHIR writes them."""

    name: str
    system: str
    codes: tuple[str, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The Avro symbols: the default, then each code with underscores, because a symbol cannot contain a hyphen."""
        return tuple(code.replace("-", "_") for code in self.wire_codes)

    @property
    def wire_codes(self) -> tuple[str, ...]:
        """The code of each symbol, in the order of `symbols`."""
        return (UNKNOWN, *(code for code in self.codes if code != UNKNOWN))


TASK_STATUS = CodeSet(
    "TaskStatus",
    "http://hl7.org/fhir/task-status",
    (
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    ),
)
APPOINTMENT_STATUS = CodeSet(
    "AppointmentStatus",
    "http://hl7.org/fhir/appointmentstatus",
    (
        "proposed",
        "pending",
        "booked",
        "arrived",
        "fulfilled",
        "cancelled",
        "noshow",
        "entered-in-error",
        "checked-in",
        "waitlist",
    ),
)
GOAL_STATUS = CodeSet(
    "GoalLifecycleStatus",
    "http://hl7.org/fhir/goal-status",
    ("proposed", "planned", "accepted", "active", "on-hold", "completed", "cancelled", "entered-in-error", "rejected"),
)
REQUEST_PRIORITY = CodeSet("RequestPriority", "http://hl7.org/fhir/request-priority", ("routine", "urgent", "asap", "stat"))
EVENT_STATUS = CodeSet(
    "EventStatus",
    "http://hl7.org/fhir/event-status",
    ("preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error", "unknown"),
)
CLINICAL_STATUS = CodeSet(
    "ConditionClinicalStatus",
    "http://terminology.hl7.org/CodeSystem/condition-clinical",
    ("active", "recurrence", "relapse", "inactive", "remission", "resolved"),
)
CONSENT_DECISION = CodeSet("ConsentDecision", "http://hl7.org/fhir/consent-provision-type", ("permit", "deny"))
REFERRAL_SIDE = CodeSet("ReferralSide", "CareRelay: who changed the referral", ("requester", "target"))
GAP_STATUS = CodeSet("GapStatus", "CareRelay: how a gap stands", ("due-soon", "open", "closed"))
CLOSURE = CodeSet("Closure", "CareRelay: how a handoff ended", ("met", "met-late", "cancelled", "superseded", "not-applicable"))

CODES: Mapping[tuple[str, str], CodeSet] = {
    ("ReferralRequested", "priority"): REQUEST_PRIORITY,
    ("ReferralChanged", "priority"): REQUEST_PRIORITY,
    ("ReferralStatusChanged", "status"): TASK_STATUS,
    ("ReferralStatusChanged", "by"): REFERRAL_SIDE,
    ("AppointmentChanged", "status"): APPOINTMENT_STATUS,
    ("GoalUpdated", "lifecycle_status"): GOAL_STATUS,
    ("ConsentChanged", "decision"): CONSENT_DECISION,
    ("CareActivityRecorded", "status"): EVENT_STATUS,
    ("ConditionRecorded", "clinical_status"): CLINICAL_STATUS,
    ("TaskState", "state"): TASK_STATUS,
    ("TaskState", "closure"): CLOSURE,
    ("GapState", "state"): GAP_STATUS,
    ("GapState", "closure"): CLOSURE,
}
"""The code set of a field, by record name and field name."""
