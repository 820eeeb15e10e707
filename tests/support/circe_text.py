"""Write Circe expressions in few words, for chapters that show what each construct means."""

from typing import Any

COLON, DRUG, TREE, CODES, OTHER_DRUG = 0, 1, 2, 3, 4
"""The concept sets of every expression below: concept 10; 20; 10 with descendants less 12; code C19; 21."""


def _concepts(number: int, *items: dict[str, Any], codes: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"id": number, "name": f"set {number}", "expression": {"items": list(items)}}
    if codes:
        found["SourceCodes"] = [{"vocabulary": "ICD10", "code": code} for code in codes]
    return found


def item(concept: int, **flags: bool) -> dict[str, Any]:
    """Return one line of a concept set."""
    return {"concept": {"CONCEPT_ID": concept}, **flags}


SETS = [
    _concepts(COLON, item(10)),
    _concepts(DRUG, item(20)),
    _concepts(TREE, item(10, includeDescendants=True), item(12, isExcluded=True)),
    _concepts(CODES, codes=("C19",)),
    _concepts(OTHER_DRUG, item(21)),
]


def cohort(*criteria: dict[str, Any], entry: str = "All", **parts: Any) -> dict[str, Any]:
    """Return an expression over entry criteria that keeps all events unless told otherwise."""
    window = parts.pop("ObservationWindow", {"PriorDays": 0, "PostDays": 0})
    return {
        "ConceptSets": parts.pop("ConceptSets", SETS),
        "PrimaryCriteria": {
            "CriteriaList": list(criteria) or [{"ObservationPeriod": {}}],
            "ObservationWindow": window,
            "PrimaryCriteriaLimit": {"Type": entry},
        },
        "QualifiedLimit": {"Type": "All"},
        "ExpressionLimit": {"Type": "All"},
        **parts,
    }


def condition(**attributes: Any) -> dict[str, Any]:
    """Return criteria of diagnoses."""
    return {"ConditionOccurrence": attributes}


def drug(**attributes: Any) -> dict[str, Any]:
    """Return criteria of drug exposures."""
    return {"DrugExposure": attributes}


def rule(group: dict[str, Any], name: str = "rule") -> dict[str, Any]:
    """Return a named inclusion rule."""
    return {"name": name, "expression": group}


def group(kind: str, *members: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    """Return a group; each member goes to the list that its own names tell."""
    found: dict[str, Any] = {"Type": kind, "CriteriaList": [], "DemographicCriteriaList": [], "Groups": []}
    if count is not None:
        found["Count"] = count
    for member in members:
        if "Criteria" in member:
            found["CriteriaList"].append(member)
        elif "Type" in member:
            found["Groups"].append(member)
        else:
            found["DemographicCriteriaList"].append(member)
    return found


def day(text: str) -> dict[str, Any]:
    """Return one end of a window: ``-30``, ``+0``, ``-all`` or ``+all`` days."""
    coefficient, days = (-1 if text[0] == "-" else 1), text[1:]
    return {"Coeff": coefficient} if days == "all" else {"Days": int(days), "Coeff": coefficient}


def window(start: str, end: str, **uses: bool) -> dict[str, Any]:
    """Return a window such as ``window("-30", "+0")``."""
    return {"Start": day(start), "End": day(end), **uses}


EXACTLY, AT_MOST, AT_LEAST = 0, 1, 2


def counted(
    criteria: dict[str, Any], number: int = 1, kind: int = AT_LEAST, *, distinct: bool = False, **rest: Any
) -> dict[str, Any]:
    """Return a correlated criterion: at least one event unless told otherwise."""
    occurrence: dict[str, Any] = {"Type": kind, "Count": number}
    if distinct:
        occurrence["IsDistinct"] = True
    return {"Criteria": criteria, "Occurrence": occurrence, **rest}
