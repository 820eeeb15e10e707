"""Show one valid example of every wire type, as it travels: the JSON that docs and tests read.

Each example is the type's own canonical content: reading it and writing it again changes nothing.
A type without an example fails tests/contract/test_schemas_examples.py.
"""

from typing import Any

from atoll_schemas import audit, catalog, cells, people, permits, problems, protocol, query
from atoll_schemas import results as res
from atoll_schemas.circe import CohortExpression, concepts
from atoll_schemas.contract import Contract
from atoll_schemas.tables import model
from tests.support import circe_examples

Wire = dict[str, Any]


NOON = "2026-03-04T12:00:00Z"
LATER = "2026-03-04T12:05:00Z"
YEAR = "2027-03-04T12:00:00Z"
DIGEST = "sha256:" + "0123456789abcdef" * 4
HASH = "fedcba9876543210" * 4
TASK = "t-0123456789abcdef"
QUERY_ID = "q-0123456789abcdef"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"
JWK = {"crv": "P-256", "kid": "key-1", "kty": "EC", "x": "AAAA", "y": "BBBB"}


def counted(value: int) -> Wire:
    return {"kind": "counted", "value": value, "half_width": 2}


def pooled(value: int, *, sites: int = 3, withheld: int = 0) -> Wire:
    return {"kind": "pooled", "value": value, "half_width": 2 * sites, "sites": sites, "withheld": withheld}


def measured(value: float) -> Wire:
    return {"kind": "measured", "value": value}


WITHHELD: Wire = {"kind": "withheld", "reason": "protected"}

# Questions.
SOURCE_CODE: Wire = {"vocabulary": "ICD10", "code": "C18.9"}
CODES: Wire = {"concept_ids": [4180790], "descendants": True, "source_codes": [SOURCE_CODE]}
WINDOW: Wire = {"start": -365, "end": 0}
LEVEL: Wire = {"label": "Lev+5FU", "values": ["LEV5FU"]}
AGE: Wire = {
    "name": "age",
    "label": "Age at index",
    "unit": "years",
    "definition": {"kind": "demographic", "field": "age"},
    "edges": [50.0, 60.0, 70.0],
}
SEX: Wire = {"name": "sex", "definition": {"kind": "demographic", "field": "sex"}, "edges": []}
ARM_DEFINITION: Wire = {"kind": "trial_arm", "trial": "INT-0035", "levels": [LEVEL]}
ARM: Wire = {"name": "arm", "definition": ARM_DEFINITION, "edges": []}
EVENT: Wire = {"kind": "event", "domain": "condition", "codes": CODES}
DEATH: Wire = {"name": "death", "label": "Death from any cause", "definition": {"kind": "death"}}
RELAPSE: Wire = {
    "name": "relapse_or_death",
    "definition": {"kind": "any_of", "outcomes": [{"kind": "death"}, EVENT]},
}

# Cohorts, in Circe's own spelling.
COHORT: Wire = circe_examples.PARTS[CohortExpression]
COUNT: Wire = {"method": "count", "by": [SEX]}
QUERY: Wire = {
    "data_model": "core@1",
    "project": "P-001",
    "dataset": "colon",
    "cohort": COHORT,
    "analysis": COUNT,
    "tighten": {"minimum_persons": 20},
}
SUBMISSION: Wire = {
    "query": QUERY,
    "sites": ["north", "south"],
    "deadline_seconds": 300,
    "idempotency_key": "0f2c6d4e8a",
}

# Answers of one site.
ARM_SIDE: Wire = {"name": "arm", "levels": ["Obs", "Lev"]}
TABLE: Wire = {
    "dimensions": [ARM_SIDE],
    "cells": [
        {"levels": ["Obs"], "persons": counted(150)},
        {"levels": ["Lev"], "persons": WITHHELD},
        {"levels": ["*"], "persons": counted(160)},
    ],
}
MOMENTS: Wire = {"kind": "moments", "n": 160, "mean": 60.25, "m2": 12800.5}
BIN: Wire = {"low": 50.0, "high": 60.0, "persons": counted(45)}
NUMBER_GROUP: Wire = {
    "group": "*",
    "persons": counted(160),
    "missing": WITHHELD,
    "moments": MOMENTS,
    "bins": [{"high": 50.0, "persons": counted(55)}, BIN, {"low": 60.0, "persons": counted(60)}],
}
NUMBER: Wire = {"kind": "number", "variable": "age", "unit": "years", "groups": [NUMBER_GROUP]}
CATEGORY: Wire = {"kind": "category", "variable": "arm", "table": TABLE}
STEP: Wire = {"day": 180, "survival": 0.9, "std_err": 0.024, "at_risk": counted(135)}
CURVE: Wire = {
    "group": "Obs",
    "persons": counted(150),
    "events": counted(60),
    "steps": [STEP],
    "median": {"kind": "withheld", "reason": "edge"},
}
LOG_RANK: Wire = {
    "kind": "log_rank",
    "groups": ["Obs", "Lev"],
    "observed": [30.0, 20.0],
    "expected": [22.5, 27.5],
    "variance": [[12.0, -12.0], [-12.0, 12.0]],
}
SITE_COUNT: Wire = {
    "method": "count",
    "persons": counted(160),
    "attrition": [{"name": "entry events", "persons": counted(180)}],
    "by": TABLE,
}
GATE: Wire = {
    "minimum_persons": 10,
    "round_to": 5,
    "minimum_events": 10,
    "rules": ["minimum_persons", "complementary"],
    "withheld_cells": 1,
}
CLEARED: Wire = {
    "kind": "cleared",
    "site": "north",
    "query_digest": DIGEST,
    "release": "colon-3",
    "release_digest": DIGEST,
    "payload": SITE_COUNT,
    "gate": GATE,
    "engine_milliseconds": 42,
}

# Answers over the sites.
MERGED_TABLE: Wire = {
    "dimensions": [ARM_SIDE],
    "cells": [
        {"levels": ["Obs"], "persons": pooled(450)},
        {"levels": ["Lev"], "persons": pooled(120, sites=2, withheld=1)},
    ],
}
MERGED_COUNT: Wire = {
    "method": "count",
    "persons": pooled(480),
    "attrition": [{"name": "entry events", "persons": pooled(540)}],
    "by": MERGED_TABLE,
}
QUANTILE: Wire = {"probability": 0.5, "value": 61.0, "half_width": 2.5}
MERGED_BIN: Wire = {"low": 50.0, "high": 60.0, "persons": pooled(135)}
MERGED_GROUP: Wire = {
    "group": "*",
    "persons": pooled(480),
    "missing": WITHHELD,
    "mean": measured(60.25),
    "sd": {"kind": "withheld", "reason": "dominance"},
    "sites": 3,
    "bins": [MERGED_BIN],
    "quantiles": [QUANTILE],
}
MERGED_NUMBER: Wire = {"kind": "number", "variable": "age", "unit": "years", "groups": [MERGED_GROUP]}
MERGED_CATEGORY: Wire = {"kind": "category", "variable": "arm", "table": MERGED_TABLE}
STRATIFIED: Wire = {
    "kind": "stratified_log_rank",
    "groups": ["Obs", "Lev"],
    "observed": [60.0, 40.0],
    "expected": [45.0, 55.0],
    "variance": [[24.0, -24.0], [-24.0, 24.0]],
    "chi_square": 9.375,
    "degrees_of_freedom": 1,
    "p": 0.0022,
    "sites": ["north", "south"],
}
PROBLEM: Wire = {
    "type": "about:blank",
    "title": "Forbidden",
    "status": 403,
    "code": "permit.missing",
    "detail": "no site has an active permit for this project",
    "next_step": "ask the stewards; see atoll projects",
    "trace_id": "4bf92f3577b34da6",
    "instance": "/v1/queries",
}
OUTCOME_AT_SITE: Wire = {
    "site": "north",
    "state": "answered",
    "release": "colon-3",
    "release_digest": DIGEST,
    "engine_milliseconds": 42,
    "milliseconds": 310,
    "gate": GATE,
}
LATE: Wire = {"site": "south", "state": "late", "problem": {"type": "about:blank", "title": "Late",
              "status": 504, "code": "task.late", "detail": "the node was offline"}}  # fmt: skip
RESULT: Wire = {
    "query_id": QUERY_ID,
    "query_digest": DIGEST,
    "project": "P-001",
    "dataset": "colon",
    "method": "count",
    "state": "partial",
    "asked": 2,
    "answered": 1,
    "sites": [OUTCOME_AT_SITE, LATE],
    "merged": MERGED_COUNT,
    "submitted_at": NOON,
    "finished_at": LATER,
}
SUMMARY: Wire = {
    "query_id": QUERY_ID,
    "project": "P-001",
    "dataset": "colon",
    "method": "count",
    "state": "partial",
    "asked": 2,
    "answered": 1,
    "submitted_at": NOON,
    "submitted_by": "ada",
}

# Permits and what node and hub say to each other.
SCOPE: Wire = {
    "datasets": ["colon"],
    "methods": ["count", "kaplan_meier"],
    "valid_from": NOON,
    "valid_until": YEAR,
}
PERMIT_REQUEST: Wire = {
    "permit_id": "permit-7",
    "project": "P-001",
    "title": "Adjuvant therapy in colon cancer",
    "purpose": "To compare survival by treatment arm.",
    "people": ["ada"],
    "scope": SCOPE,
    "requested_at": NOON,
}
LEASE: Wire = {"kind": "task", "task_id": TASK, "token": TOKEN, "fence": 1, "lease_expires_at": LATER}
CANCELLED: Wire = {"kind": "cancelled", "task_id": TASK}
ASKS_FOR_PERMIT: Wire = {"kind": "permit_request", "request": PERMIT_REQUEST}
REFUSAL: Wire = {
    "kind": "refusal",
    "code": "permit.missing",
    "detail": "this site has not granted the project a permit",
    "next_step": "ask the site's steward",
}

# The catalog.
FIELD: Wire = {"name": "condition_concept_id", "datatype": "bigint", "filled": counted(900)}
ENTRY_TABLE: Wire = {
    "name": "condition_occurrence",
    "persons": counted(900),
    "rows": counted(2400),
    "fields": [FIELD],
}
YEAR_ENTRY: Wire = {"table": "condition_occurrence", "year": 2020, "persons": WITHHELD}
CONCEPT_ENTRY: Wire = {
    "table": "condition_occurrence",
    "concept_id": 4180790,
    "vocabulary": "ICD10",
    "code": "C18.9",
    "name": "Malignant neoplasm of colon",
    "persons": counted(900),
    "rows": counted(2400),
}
RULE_ENTRY: Wire = {
    "rule": "free_text",
    "description": "Words that somebody typed are dropped.",
    "fields": ["note.note_text"],
}
CHECK: Wire = {
    "check": "dates_in_order",
    "description": "No record ends before it starts.",
    "passed": True,
    "severity": "blocker",
}
ENTRY: Wire = {
    "site": "north",
    "dataset": "colon",
    "title": "Colon cancer trial",
    "description": "Persons of the adjuvant trial.",
    "data_model": "core@1",
    "release": "colon-3",
    "release_digest": DIGEST,
    "released_at": NOON,
    "synthetic": True,
    "first_year": 2015,
    "last_year": 2025,
    "persons": counted(900),
    "tables": [ENTRY_TABLE],
    "years": [YEAR_ENTRY],
    "concepts": [CONCEPT_ENTRY],
    "variables": [ARM],
    "outcomes": [DEATH],
    "vocabulary_version": "v5.0 2026-02",
    "shared_tables": ["concept", "concept_ancestor"],
    "deidentification": [RULE_ENTRY],
    "date_shift": True,
    "quality": [CHECK],
    "gate_minimum_persons": 10,
}
AT_SITE: Wire = {
    "site": "north",
    "release": "colon-3",
    "released_at": NOON,
    "persons": counted(900),
    "first_year": 2015,
    "last_year": 2025,
    "synthetic": True,
    "date_shift": True,
    "last_ingest": "2026-03-01",
}
SITE_PERMIT: Wire = {
    "site": "north",
    "permit_id": "permit-7",
    "state": "active",
    "revision": 1,
    "scope": SCOPE,
    "decided_at": LATER,
}
PROJECT: Wire = {
    "id": "P-001",
    "title": "Adjuvant therapy in colon cancer",
    "purpose": "To compare survival by treatment arm.",
    "people": ["ada", "grace@north.example"],
    "scope": SCOPE,
    "applied_by": "ada",
    "applied_at": NOON,
    "permits": [SITE_PERMIT],
}

# The data model.
PERSON_ID: Wire = {
    "name": "person_id",
    "datatype": "bigint",
    "content": "person_key",
    "required": True,
    "primary_key": False,
    "foreign_table": "person",
    "foreign_field": "person_id",
    "description": "The person.",
}
NOTE_LINK: Wire = {"field": "note_id", "table": "note"}
DEATH_TABLE: Wire = {
    "name": "death",
    "group": "clinical",
    "scope": "person",
    "fields": [PERSON_ID],
    "natural_key": ["person_id"],
}

EXAMPLES: dict[type[Contract], Wire] = {
    # audit
    audit.AuditEntry: {
        "sequence": 1,
        "at": NOON,
        "actor": "steward",
        "action": "permit.approved",
        "subject": "permit-7",
        "detail": {"revision": 1},
        "previous": audit.GENESIS,
        "hash": HASH,
    },
    audit.AuditHead: {"sequence": 1, "hash": HASH},
    # catalog
    catalog.FieldEntry: FIELD,
    catalog.TableEntry: ENTRY_TABLE,
    catalog.YearEntry: YEAR_ENTRY,
    catalog.ConceptEntry: CONCEPT_ENTRY,
    catalog.DeidentificationEntry: RULE_ENTRY,
    catalog.QualityEntry: CHECK,
    catalog.CatalogEntry: ENTRY,
    catalog.CatalogPush: {
        "site": "north",
        "entries": [ENTRY],
        "pushed_at": NOON,
        "last_ingest": "2026-03-01",
    },
    catalog.SiteView: {
        "site": "north",
        "title": "North Hospital",
        "state": "online",
        "last_seen": NOON,
        "software": "atoll-node/0.1.0",
        "protocol": "1",
        "datasets": ["colon"],
    },
    # cells
    cells.Counted: counted(1250),
    cells.Withheld: WITHHELD,
    cells.Pooled: pooled(120, sites=2, withheld=1),
    cells.Measured: measured(60.25),
    # circe
    concepts.SourceCode: SOURCE_CODE,
    **circe_examples.PARTS,
    # people
    people.Me: {
        "name": "ada",
        "role": "researcher",
        "projects": ["P-001"],
        "hub_id": "consortium",
        "token_expires_at": YEAR,
    },
    people.NewPerson: {"name": "ada", "role": "researcher", "token_days": 90},
    people.Person: {"name": "ada", "role": "researcher", "added_at": NOON, "token_expires_at": YEAR},
    people.PersonToken: {"name": "ada", "role": "researcher", "token": "atp_0123", "expires_at": YEAR},
    people.NewInvitation: {"title": "North Hospital", "valid_hours": 72},
    people.Invitation: {"site": "north", "code": "atoll1-secret-mark", "expires_at": LATER},
    people.DatasetAtSite: AT_SITE,
    people.DatasetView: {
        "dataset": "colon",
        "title": "Colon cancer trial",
        "description": "Persons of the adjuvant trial.",
        "sites": [AT_SITE],
        "matches": ["arm"],
    },
    people.VariableAtSites: {"variable": ARM, "sites": ["north", "south"]},
    people.OutcomeAtSites: {"outcome": RELAPSE, "sites": ["north"]},
    people.DatasetVariables: {
        "dataset": "colon",
        "variables": [{"variable": ARM, "sites": ["north", "south"]}],
        "outcomes": [{"outcome": RELAPSE, "sites": ["north"]}],
    },
    people.ProjectApplication: {
        "title": "Adjuvant therapy in colon cancer",
        "purpose": "To compare survival by treatment arm.",
        "people": ["grace@north.example"],
        "datasets": ["colon"],
        "methods": ["count"],
        "valid_from": NOON,
        "valid_until": YEAR,
        "sites": ["north"],
        "idempotency_key": "0f2c6d4e8a",
    },
    people.SitePermit: SITE_PERMIT,
    people.ProjectView: PROJECT,
    people.QueryView: {
        "summary": SUMMARY,
        "submission": SUBMISSION,
        "query_digest": DIGEST,
        "deadline_at": LATER,
        "sites": [OUTCOME_AT_SITE, LATE],
    },
    people.Health: {"status": "ok", "hub_id": "consortium", "protocol": "1", "software": "atoll-hub/0.1.0"},
    # permits
    permits.Scope: SCOPE,
    permits.PermitRequest: PERMIT_REQUEST,
    permits.Permit: {
        "permit_id": "permit-7",
        "project": "P-001",
        "site": "north",
        "state": "active",
        "scope": SCOPE,
        "purpose": "To compare survival by treatment arm.",
        "decided_by": "Steward of North",
        "decided_at": LATER,
        "revision": 1,
    },
    # problems
    problems.Problem: PROBLEM,
    # protocol
    protocol.Enrolment: {
        "code": "atoll1-secret-mark",
        "protocol": "1",
        "public_key": JWK,
        "software": "atoll-node/0.1.0",
    },
    protocol.Enrolled: {
        "site": "north",
        "node_id": "node-1",
        "hub_id": "consortium",
        "hub_keys": [JWK],
        "audience": "https://hub.example.org/v1/node/token",
    },
    protocol.Task: {
        "id": TASK,
        "protocol": "1",
        "hub_id": "consortium",
        "site": "north",
        "query_id": QUERY_ID,
        "query": QUERY,
        "query_digest": DIGEST,
        "project": "P-001",
        "permit_id": "permit-7",
        "purpose": "To compare survival by treatment arm.",
        "issued_at": NOON,
        "expires_at": LATER,
    },
    protocol.Lease: LEASE,
    protocol.PermitApplication: ASKS_FOR_PERMIT,
    protocol.Cancelled: CANCELLED,
    protocol.Inbox: {"protocol": "1", "now": NOON, "deliveries": [LEASE, ASKS_FOR_PERMIT, CANCELLED]},
    protocol.Poll: {"wait_seconds": 25.0, "running": [TASK], "software": "atoll-node/0.1.0"},
    protocol.Refusal: REFUSAL,
    protocol.Answer: {"task_id": TASK, "fence": 1, "outcome": CLEARED},
    protocol.Accepted: {"task_id": TASK, "replayed": False},
    protocol.Progress: {"task_id": TASK, "fence": 1, "stage": "running"},
    protocol.PermitStatement: {"token": TOKEN},
    protocol.TokenReply: {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 300},
    protocol.QueryEvent: {
        "sequence": 3,
        "at": NOON,
        "kind": "stage",
        "site": "north",
        "stage": "running",
        "detail": "taken",
    },
    protocol.QuerySummary: SUMMARY,
    # query
    query.Codes: CODES,
    query.Window: WINDOW,
    query.Level: LEVEL,
    query.Demographic: {"kind": "demographic", "field": "age"},
    query.NumberValue: {
        "kind": "number",
        "domain": "measurement",
        "codes": CODES,
        "window": WINDOW,
        "take": "latest",
    },
    query.CategoryValue: {
        "kind": "category",
        "domain": "observation",
        "codes": CODES,
        "levels": [LEVEL],
        "window": WINDOW,
        "take": "first",
    },
    query.Presence: {"kind": "presence", "domain": "drug", "codes": CODES, "window": WINDOW},
    query.TrialArm: ARM_DEFINITION,
    query.Variable: AGE,
    query.Death: {"kind": "death"},
    query.Event: EVENT,
    query.AnyOf: {"kind": "any_of", "outcomes": [{"kind": "death"}, EVENT]},
    query.Outcome: RELAPSE,
    query.Count: COUNT,
    query.Table1: {"method": "table1", "variables": [AGE, SEX], "by": ARM},
    query.Crosstab: {"method": "crosstab", "variables": [SEX, ARM]},
    query.KaplanMeier: {"method": "kaplan_meier", "outcome": DEATH, "by": ARM, "max_days": 3650},
    query.Tighten: {"minimum_persons": 20, "round_to": 10},
    query.Query: QUERY,
    query.Submission: SUBMISSION,
    # results of a site
    res.Dimension: ARM_SIDE,
    res.TableCell: {"levels": ["Obs"], "persons": counted(150)},
    res.CountTable: TABLE,
    res.AttritionStep: {"name": "entry events", "persons": counted(180)},
    res.SiteCount: SITE_COUNT,
    res.Moments: MOMENTS,
    res.Bin: BIN,
    res.NumberGroup: NUMBER_GROUP,
    res.NumberSummary: NUMBER,
    res.CategorySummary: CATEGORY,
    res.SiteTable1: {
        "method": "table1",
        "persons": counted(160),
        "groups": TABLE,
        "summaries": [NUMBER, CATEGORY],
    },
    res.SiteCrosstab: {"method": "crosstab", "persons": counted(160), "table": TABLE},
    res.CurveStep: STEP,
    res.Curve: CURVE,
    res.LogRank: LOG_RANK,
    res.SiteKaplanMeier: {
        "method": "kaplan_meier",
        "outcome": "death",
        "curves": [CURVE],
        "log_rank": LOG_RANK,
    },
    res.Gate: GATE,
    res.ClearedResult: CLEARED,
    # results over the sites
    res.MergedTableCell: {"levels": ["Obs"], "persons": pooled(450)},
    res.MergedTable: MERGED_TABLE,
    res.MergedStep: {"name": "entry events", "persons": pooled(540)},
    res.MergedCount: MERGED_COUNT,
    res.Quantile: QUANTILE,
    res.MergedNumberGroup: MERGED_GROUP,
    res.MergedBin: MERGED_BIN,
    res.MergedNumber: MERGED_NUMBER,
    res.MergedCategory: MERGED_CATEGORY,
    res.MergedTable1: {
        "method": "table1",
        "persons": pooled(480),
        "groups": MERGED_TABLE,
        "summaries": [MERGED_NUMBER, MERGED_CATEGORY],
    },
    res.MergedCrosstab: {"method": "crosstab", "persons": pooled(480), "table": MERGED_TABLE},
    res.SiteCurves: {"site": "north", "curves": [CURVE]},
    res.StratifiedLogRank: STRATIFIED,
    res.MergedKaplanMeier: {
        "method": "kaplan_meier",
        "outcome": "death",
        "sites": [{"site": "north", "curves": [CURVE]}],
        "log_rank": STRATIFIED,
    },
    res.SiteOutcome: OUTCOME_AT_SITE,
    res.Result: RESULT,
    # tables
    model.Field: PERSON_ID,
    model.Link: NOTE_LINK,
    model.Table: DEATH_TABLE,
    model.DataModel: {"name": "core@1", "tables": [DEATH_TABLE]},
}


def example(kind: type[Contract]) -> Contract:
    """Return the example of a type, read."""
    return kind.from_wire(EXAMPLES[kind])
