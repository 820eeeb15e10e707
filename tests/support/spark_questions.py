"""Ask the compiler's named questions about a small dense site, of engines that are compared."""

from pathlib import Path
from random import Random

from atoll_node.release import Release
from atoll_schemas.query import Query
from tests.support.dense_sites import site
from tests.support.golden_questions import QUESTIONS
from tests.support.lake import release_of
from tests.support.text_tables import rows_of

_TABLES = frozenset(
    {
        "person",
        "observation_period",
        "condition_occurrence",
        "drug_exposure",
        "measurement",
        "observation",
        "death",
        "visit_occurrence",
        "trial_subject",
    }
)


def small_release(folder: Path, persons: int = 30) -> Release:
    """Return a release of a dense site, with a concept hierarchy for the questions that ask for it."""
    ancestors = "ancestor_concept_id | descendant_concept_id\n10 | 10\n10 | 11\n10 | 12"
    tables = dict(site(Random(7), persons, _TABLES))
    return release_of({**tables, "concept_ancestor": rows_of("concept_ancestor", ancestors)}, folder)


def question(name: str, dataset: str = "test") -> Query:
    """Return a named question as a query."""
    expression, analysis = QUESTIONS[name]
    return Query.from_wire({"project": "P-1", "dataset": dataset, "cohort": expression, "analysis": analysis})
