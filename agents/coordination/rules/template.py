"""The file that `carerelay rules new` writes: a rule that loads without changes, with a comment for each field.

Owns the text. A test loads it.
"""

from __future__ import annotations

import re
from typing import Final

_ID: Final = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)*")

_TEXT: Final = """\
# A handoff rule: after an event, a role is accountable for a follow-up until it is due.
# The fields in one table: docs/write-a-rule.md. In a `where` all conditions must hold; a list means "one of these".
#   carerelay rules facts     what a condition may use
#   carerelay rules codes     events, activity codes, statuses, roles, units
#   carerelay rules groups    groups of diagnoses

id: {id}
version: 1 # raise it when you change the rule: open handoffs keep the version that they were opened with

# What is to be done. The neutral title is for readers who may not know the reason: it must not reveal a condition.
title: Call the person after the emergency visit
neutral_title: Call the person
about: >-
  Two or three sentences for `carerelay rules show`: what is to be done, by whom, by when, and what does not count.
# Where the numbers come from. Your own choice is "CareRelay default".
source: CareRelay default

# Profiles in which the rule is on. Without this line: in all.
# profiles: [us]

# What a handoff is about: at most one is open for each encounter, referral, goal, appointment, notification or person.
subject: encounter

# What opens it. Any of these.
triggers:
  - event: PatientDischarged
    where:
      setting: emergency
      disposition_group: [community, unknown]

# How long it may take. Hours run at night and at weekends; days and business days end at 24:00 local time.
clock: {{amount: 1, unit: business-day}}

# Who is accountable: a role of the person's care team or of the organisation.
accountable: care-coordinator
urgency: routine # or urgent

# What closes it. Any of these.
closes:
  - event: CareActivityRecorded
    where: {{code: interactive-contact, status: completed}}
  - event: OutreachAttempted
    where: {{outcome: reached}}

# What ends it because it is no longer needed. Death and the cancellation of the trigger always do.
ends:
  - event: PatientAdmitted
    where: {{setting: [inpatient, observation], other_stay: true}}

# What happens until it is closed. `at` is a share of the time, or an amount and a unit after due or trigger.
steps:
  - at: 50% # the worklist shows "due soon"
  - at: due # the gap is open
    tells:
      - {{role: owner, required: true}}
      - {{role: coordinator-lead, required: true}}
  - at: due + 1 business-day # the next role is accountable
    owner: next
    tells:
      - {{role: owner, required: true}}
"""


def new_rule(id_: str) -> str:
    """Return the file of a new rule. Raises ValueError if *id_* cannot be the id of a rule."""
    if not _ID.fullmatch(id_):
        raise ValueError(f"{id_!r} cannot be the id of a rule: write capitals and digits with hyphens, for example HF-24")
    return _TEXT.format(id=id_)
