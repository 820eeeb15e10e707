"""Read who stands behind an analysis' figures, so that the gate can compare them with earlier ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atoll_node.engine.measures import Runs
from atoll_node.engine.plan import AnalysisPlan, Cohort, CountPlan, CrosstabPlan, SurvivalPlan, Table1Plan
from atoll_node.engine.sql import Statement
from atoll_node.raw import PersonSet, RawContributions


def contributions(
    cohort: Cohort, analysis: AnalysisPlan, members: PersonSet, session: Runs
) -> RawContributions:
    """Return the contributions of the cohort's persons, from the frame that the measures left."""
    if isinstance(analysis, SurvivalPlan):
        grouped = analysis.by is not None
        found = session.numbers(
            Statement(f"SELECT person_id, day, event{', v0' if grouped else ''} FROM frame")
        )
        return RawContributions(
            persons=found["person_id"].astype(np.int64, copy=False),
            columns=(found["v0"].astype(np.float64),) if grouped else (),
            days=found["day"].astype(np.int64),
            died=found["event"].astype(np.bool_),
        )
    steps = _steps(cohort, session) if isinstance(analysis, CountPlan) else ()
    number = _width(analysis)
    if not number:
        return RawContributions(members, steps=steps)
    names = [f"v{place}" for place in range(number)]
    persons, *columns = _columns(names, session)
    return RawContributions(persons.astype(np.int64, copy=False), tuple(columns), steps=steps)


def _width(analysis: AnalysisPlan) -> int:
    if isinstance(analysis, CountPlan):
        return len(analysis.by)
    if isinstance(analysis, CrosstabPlan):
        return len(analysis.variables)
    if isinstance(analysis, Table1Plan):
        return len(analysis.variables) + (analysis.by is not None)
    return 0


def _columns(names: Sequence[str], session: Runs) -> list[NDArray[np.float64]]:
    """A number is finite or absent, so that NaN says absent and nothing else."""
    listed = ", ".join(f"coalesce({name}, 'nan'::DOUBLE)::DOUBLE AS {name}" for name in names)
    found = session.numbers(Statement(f"SELECT person_id, {listed} FROM frame"))
    return [found["person_id"], *(found[name] for name in names)]


def _steps(cohort: Cohort, session: Runs) -> tuple[PersonSet, ...]:
    """Return the persons after each attrition step but the last, which is the cohort."""
    rules = len(cohort.rules)
    if not rules and not cohort.end_can_exclude:
        return ()
    passes = [" AND ".join(f"rule_{k}" for k in range(number)) for number in range(1, rules + 1)]
    flags = "".join(f", bool_or({held}) AS s{place}" for place, held in enumerate(passes))
    found = session.numbers(
        Statement(
            f"SELECT q.person_id{flags} FROM qualified q JOIN passed USING (event_id) GROUP BY q.person_id"
        )
    )
    persons = found["person_id"].astype(np.int64, copy=False)
    sets = [persons, *(persons[found[f"s{place}"].astype(np.bool_)] for place in range(rules))]
    return tuple(sets if cohort.end_can_exclude else sets[:-1])
