"""Find a cohort and its values by statements: what is too large for columns in memory."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from atoll_node.engine.cohorts import cohort_statements, index_statement, steps_statement
from atoll_node.engine.found import Frame, Members
from atoll_node.engine.frames import frame_statement, survival_statement
from atoll_node.engine.measures import columns_of
from atoll_node.engine.plan import AnalysisPlan, Cohort, CountPlan, Plan, SurvivalPlan
from atoll_node.engine.sql import Statement
from atoll_node.raw import PersonSet


class Runs(Protocol):
    """What this needs of a session."""

    def run(self, statement: Statement) -> None: ...
    def numbers(self, statement: Statement) -> Mapping[str, NDArray[Any]]: ...


def statements_of(planned: Plan) -> tuple[Statement, ...]:
    """Return the statements of a plan, in order."""
    cohort, analysis = planned.cohort, planned.analysis
    found = [*cohort_statements(cohort), index_statement(cohort)]
    if isinstance(analysis, CountPlan):
        found.append(steps_statement(cohort, best_event=analysis.best_event))
    frame = _frame_statement(analysis)
    return tuple(found if frame is None else [*found, frame])


def find(planned: Plan, session: Runs) -> tuple[Members, Frame]:
    """Return who is in the cohort, and each person's values."""
    cohort, analysis = planned.cohort, planned.analysis
    for statement in (*cohort_statements(cohort), index_statement(cohort)):
        session.run(statement)
    found = session.numbers(Statement("SELECT person_id FROM cohort_index"))["person_id"]
    persons = np.sort(found.astype(np.int64, copy=False))
    steps = _steps(cohort, analysis, persons, session) if isinstance(analysis, CountPlan) else ()
    return Members(persons, steps), _framed(analysis, persons, session)


def _framed(analysis: AnalysisPlan, persons: PersonSet, session: Runs) -> Frame:
    statement = _frame_statement(analysis)
    if statement is None:
        return Frame(persons)
    session.run(statement)
    names = [f"v{place}" for place in range(len(columns_of(analysis)))]
    # A number is finite or absent, so that NaN says absent and nothing else.
    values = [f"coalesce({name}, 'nan'::DOUBLE)::DOUBLE AS {name}" for name in names]
    timed = isinstance(analysis, SurvivalPlan)
    listed = ", ".join(["person_id", *(("day", "event") if timed else ()), *values])
    found = session.numbers(Statement(f"SELECT {listed} FROM frame"))
    return Frame(
        found["person_id"].astype(np.int64, copy=False),
        tuple(found[name] for name in names),
        found["day"].astype(np.int64) if timed else None,
        found["event"].astype(np.bool_) if timed else None,
    )


def _frame_statement(analysis: AnalysisPlan) -> Statement | None:
    if isinstance(analysis, SurvivalPlan):
        return survival_statement(analysis)
    columns = columns_of(analysis)
    return frame_statement(columns) if columns else None


def _steps(cohort: Cohort, analysis: CountPlan, members: PersonSet, session: Runs) -> tuple[PersonSet, ...]:
    """Return the persons after each attrition step."""
    rules = len(cohort.rules)
    if not rules and not cohort.end_can_exclude:
        return (members,)
    found = session.numbers(steps_statement(cohort, best_event=analysis.best_event))
    persons = found["person_id"].astype(np.int64, copy=False)
    sets = [persons, *(persons[found[f"s{place}"].astype(np.bool_)] for place in range(rules))]
    return tuple([*sets, members] if cohort.end_can_exclude else [*sets[:-1], members])
