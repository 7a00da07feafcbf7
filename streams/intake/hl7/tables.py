"""The tables that translate HL7 codes to the codes of events. Data only.

Owns the translation and gives the source of each table. A code in no table is never guessed: the mapping keeps it
unchanged or reports it as unknown. Table numbers are HL7's. "v2-to-FHIR" is HL7's implementation guide, version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping

# ---- triggers (table 0003)

ADMIT = frozenset({"A01", "A04"})
PLAN = frozenset({"A05", "A14"})
CANCEL_ADMISSION: Mapping[str, str] = {
    "A11": "admission-cancelled",
    "A23": "visit-deleted",
    "A27": "pending-admission-cancelled",
    "A38": "pre-admission-cancelled",
}
LEAVE: Mapping[str, bool] = {"A21": True, "A22": False}
MERGE = frozenset({"A18", "A30", "A34", "A36", "A39", "A40"})
"""Merges of persons: A40, and the triggers used before version 2.3.1 or for an identifier in MRG-4 (chapters 3.3.18 to 3.3.40)."""
PERSON = frozenset({"A28", "A29", "A31"})

IGNORED_ADT: Mapping[str, str] = {
    "A09": "tracking-only",
    "A10": "tracking-only",
    "A32": "tracking-only",
    "A33": "tracking-only",
    "A15": "pending-only",
    "A16": "pending-only",
    "A25": "pending-only",
    "A26": "pending-only",
    "A35": "account-or-visit-moved",
    "A41": "account-or-visit-moved",
    "A42": "account-or-visit-moved",
    "A43": "account-or-visit-moved",
    "A44": "account-or-visit-moved",
    "A45": "account-or-visit-moved",
    "A46": "identifier-changed",
    "A47": "identifier-changed",
    "A48": "identifier-changed",
    "A49": "account-or-visit-moved",
    "A50": "account-or-visit-moved",
    "A51": "account-or-visit-moved",
    **dict.fromkeys(("A17", "A19", "A20", "A24", "A37", "A52", "A53", "A54", "A55", "A60", "A61", "A62"), "trigger-not-mapped"),
}
"""The reason why a known ADT trigger produces no event."""

APPOINTMENT: Mapping[str, str] = {
    "S12": "booked",
    "S13": "booked",
    "S14": "booked",
    "S15": "cancelled",
    "S16": "cancelled",
    "S17": "entered-in-error",
    "S26": "noshow",
}
"""The status of an appointment by trigger (domain notes 2.1; FHIR Appointment.status)."""

FILLER_STATUS: Mapping[str, str] = {
    "PENDING": "pending",
    "WAITLIST": "waitlist",
    "BOOKED": "booked",
    "OVERBOOK": "booked",
    "STARTED": "arrived",
    "COMPLETE": "fulfilled",
    "COMPLETED": "fulfilled",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
    "DC": "cancelled",
    "DELETED": "entered-in-error",
    "NOSHOW": "noshow",
}
"""SCH-25, table 0278, as v2-to-FHIR maps it to Appointment.status."""

SCHEDULING_REFINEMENTS: Mapping[str, frozenset[str]] = {
    "S12": frozenset({"pending", "waitlist"}),
    "S13": frozenset({"pending", "waitlist"}),
    "S14": frozenset({"pending", "waitlist", "arrived", "fulfilled", "cancelled", "noshow", "entered-in-error"}),
}
"""The statuses from SCH-25 that replace the status of the trigger. Schedulers use S14 to report that a visit took place."""

# ---- PV1-2, table 0004, to v3 ActCode (v2-to-FHIR "HL70004 to V3 ActCode"). B, R, C and N have no ActCode and are kept unchanged.

CLASS: Mapping[str, str] = {
    "E": "EMER",
    "I": "IMP",
    "O": "AMB",
    "P": "PRENC",
    "B": "B",
    "R": "R",
    "C": "C",
    "N": "N",
    "U": "UNK",
    **{code: code for code in ("AMB", "EMER", "FLD", "HH", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR")},
    "EMERGENCY": "EMER",
    "INPATIENT": "IMP",
    "OUTPATIENT": "AMB",
    "AMBULATORY": "AMB",
    "OBSERVATION": "OBSENC",
    "PREADMIT": "PRENC",
}
INPATIENT = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC", "B"})
"""The classes that are valid in an A06 (outpatient to inpatient) but not in an A07."""

# ---- PV1-36, table 0112. In the United States, the table refers to the discharge status of UB-04 (NUBC FL 17).
# Events use `hospice` for FHIR's "hosp" (hospice), which looks like "hospital", and `other-hcf` for another hospital.

DISPOSITION: Mapping[str, str] = {
    "01": "home",
    "02": "other-hcf",  # short-term general hospital
    "03": "snf",
    "04": "long",  # custodial or intermediate care
    "05": "other-hcf",  # cancer centre or children's hospital
    "06": "home",  # home, under care of a home health agency
    "07": "aadvice",
    "08": "home",  # home, under care of a home intravenous provider (ended in 2005)
    "09": "other-hcf",  # admitted as an inpatient to this hospital, so not in the community
    "20": "exp",
    "21": "oth",  # court or law enforcement
    "40": "exp",
    "41": "exp",
    "42": "exp",
    "43": "other-hcf",  # federal hospital
    "50": "hospice",
    "51": "hospice",
    "61": "snf",  # swing bed
    "62": "rehab",
    "63": "long",  # long-term care hospital
    "64": "long",  # nursing facility
    "65": "psy",
    "66": "other-hcf",  # critical access hospital
    "69": "other-hcf",  # disaster alternative care site
    "70": "other-hcf",
    # 81 to 95 mean the same as 01 to 70, with a planned readmission.
    "81": "home",
    "82": "other-hcf",
    "83": "snf",
    "84": "long",
    "85": "other-hcf",
    "86": "home",
    "87": "oth",
    "88": "other-hcf",
    "89": "snf",
    "90": "rehab",
    "91": "long",
    "92": "long",
    "93": "psy",
    "94": "other-hcf",
    "95": "other-hcf",
    # FHIR's own codes (discharge-disposition).
    "HOME": "home",
    "ALT-HOME": "alt-home",
    "OTHER-HCF": "other-hcf",
    "HOSP": "hospice",
    "LONG": "long",
    "AADVICE": "aadvice",
    "EXP": "exp",
    "PSY": "psy",
    "REHAB": "rehab",
    "SNF": "snf",
    "OTH": "oth",
    "HOSPICE": "hospice",
    # Text that senders write if they have no code set.
    "AMA": "aadvice",
    "LEFT AGAINST MEDICAL ADVICE": "aadvice",
    "EXPIRED": "exp",
    "DECEASED": "exp",
    "DIED": "exp",
    "DEATH": "exp",
    "DISCHARGED HOME": "home",
    "DISCHARGED TO HOME": "home",
    "HOME HEALTH": "home",
    "SELF CARE": "home",
    "SKILLED NURSING FACILITY": "snf",
    "REHABILITATION": "rehab",
    "PSYCHIATRIC HOSPITAL": "psy",
    "LONG TERM CARE": "long",
    "LONG-TERM CARE": "long",
    "OTHER HOSPITAL": "other-hcf",
    "TRANSFERRED": "other-hcf",
}

# ---- PV1-4, table 0007, and PV1-14, table 0023. Both are user-defined; digits are UB-04 types and sources of admission.

EMERGENCY_TYPES = frozenset({"E", "1"})
OTHER_TYPES = frozenset({"A", "C", "L", "N", "R", "U", "2", "3", "4", "5"})
PLANNED_TYPES: Mapping[str, bool] = {
    "C": True,
    "R": True,
    "3": True,
    "E": False,
    "A": False,
    "U": False,
    "1": False,
    "2": False,
    "5": False,
}
EMERGENCY_SOURCES = frozenset({"7"})
OTHER_SOURCES = frozenset({"1", "2", "3", "4", "5", "6", "8", "9"})

# ---- DG1-3.3, table 0396, and other names, OIDs and URLs that senders use

CODE_SYSTEM: Mapping[str, str] = {
    **dict.fromkeys(("I10", "I10C", "ICD10", "ICD-10", "ICD10CM", "ICD-10-CM", "ICD-10CM", "10", "ICD10-CM"), "icd10"),
    **dict.fromkeys(("2.16.840.1.113883.6.90", "2.16.840.1.113883.6.3", "URN:OID:2.16.840.1.113883.6.90"), "icd10"),
    **dict.fromkeys(("HTTP://HL7.ORG/FHIR/SID/ICD-10-CM", "HTTP://HL7.ORG/FHIR/SID/ICD-10"), "icd10"),
    **dict.fromkeys(("I9", "I9C", "I9CDX", "ICD9", "ICD-9", "ICD9CM", "ICD-9-CM", "ICD9-CM", "9", "2.16.840.1.113883.6.103"), "icd9"),
    **dict.fromkeys(
        ("SCT", "SCT2", "SNOMED", "SNOMEDCT", "SNOMED-CT", "SNOMED CT", "2.16.840.1.113883.6.96", "HTTP://SNOMED.INFO/SCT"), "snomed"
    ),
}

# ---- roles: ROL-3, table 0443, and PRT-4, table 0912, its successor

ROLE: Mapping[str, str] = {
    "PP": "pcp",
    "FHCP": "pcp",
    "AT": "attending",
    "AD": "admitting",
    "CP": "consulting",
    "RP": "referring",
    "RT": "referred-to",
    "PH": "pharmacist",
}
PV1_ROLES: tuple[tuple[int, str], ...] = ((7, "attending"), (8, "referring"), (9, "consulting"), (17, "admitting"))
"""The field of PV1 for each role (v2-to-FHIR, segment PV1: ATND, REF, CON, ADM)."""

ROLE_ENDED = frozenset({"DE", "UN", "D", "X"})
"""The actions that end a role: delete and unlink (ROL-2 and PRT-2, table 0287)."""

# ---- referrals: RF1-1 (table 0283), RF1-2 (table 0280)

REFERRAL_STATUS: Mapping[str, tuple[str, str]] = {"A": ("accepted", "target"), "R": ("rejected", "target"), "E": ("cancelled", "requester")}
"""Task.status and the side that sets it, for each RF1-1 that is not pending. E means expired."""

REFERRAL_PRIORITY: Mapping[str, str] = {
    "S": "stat",
    "STAT": "stat",
    "A": "asap",
    "ASAP": "asap",
    "U": "urgent",
    "URGENT": "urgent",
    "R": "routine",
    "ROUTINE": "routine",
}
YES = frozenset({"Y", "YES", "T", "TRUE", "1"})
NO = frozenset({"N", "NO", "F", "FALSE", "0"})
"""Yes and no: table 0136, and other values that senders use."""
