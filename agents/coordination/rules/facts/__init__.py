"""The facts that conditions of rules may use: one function each, in files by subject.

Owns the whole vocabulary: importing this package registers every fact. Must not know a rule.
"""

from agents.coordination.rules.facts import goal, notice, referral
from agents.coordination.rules.facts.clinical import groups_of, known_groups, lace_of, risk_words
from agents.coordination.rules.facts.context import FACTS, PLAIN, FactContext, Value, described
from agents.coordination.rules.facts.encounter import DISPOSITION_GROUP, SETTING

__all__ = [
    "DISPOSITION_GROUP",
    "FACTS",
    "PLAIN",
    "SETTING",
    "FactContext",
    "Value",
    "described",
    "goal",
    "groups_of",
    "known_groups",
    "lace_of",
    "notice",
    "referral",
    "risk_words",
]
