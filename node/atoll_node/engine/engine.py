"""Run queries on one release: check → resolve → plan → emit → run → measure; here with DuckDB."""

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from atoll_node.engine import by_arrays, by_statements, connection
from atoll_node.engine.checking import check
from atoll_node.engine.cohort_planning import plan_cohort
from atoll_node.engine.cohorts import cohort_statements
from atoll_node.engine.connection import ReleaseDatabase, Row, S3Access, Stop
from atoll_node.engine.facts import tables_read
from atoll_node.engine.found import Frame, Members
from atoll_node.engine.hierarchy import Hierarchy
from atoll_node.engine.kept import Kept
from atoll_node.engine.measures import contributions, measure
from atoll_node.engine.plan import DrugEraEnd, Events, Plan, TrialLevel
from atoll_node.engine.planning import plan
from atoll_node.engine.sql import Statement
from atoll_node.errors import EngineError
from atoll_node.raw import RawAggregate
from atoll_node.release import Release
from atoll_node.settings import EngineSettings, size_of
from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from atoll_schemas.tables import DOMAINS

_MOST_OPEN = 2
_COHORT_ROWS = Statement(
    "SELECT person_id, start_date, end_date FROM cohort ORDER BY person_id, start_date, end_date"
)


class Session(by_statements.Runs, Protocol):
    """What a run needs of an engine."""

    def rows(self, statement: Statement) -> list[Row]:
        """Return all rows of a small answer."""

    def check(self) -> None:
        """Raise the reason, if the run must end."""


Given = TypeVar("Given", bound=Session)
Given_co = TypeVar("Given_co", bound=Session, covariant=True)


class Database(Protocol[Given_co]):
    """One release as tables of an engine."""

    def require(self, tables: frozenset[str]) -> None:
        """Make tables readable under their names."""

    def session(self, stop: Stop) -> AbstractContextManager[Given_co]:
        """Give a session for one run."""

    def text(self, statement: Statement) -> str:
        """Return what the engine is told."""

    def close(self) -> None:
        """Let go of the release."""


class PlanEngine(ABC, Generic[Given]):
    """Answers queries from exactly the files that a release pins; one query at a time.

    Databases of the releases used last stay open, so that a query starts at once.
    """

    def __init__(self, settings: EngineSettings, scratch: Path) -> None:
        self._settings = settings
        self._scratch = scratch
        self._open: OrderedDict[tuple[str, ...], _OpenRelease[Given]] = OrderedDict()
        self._turn = threading.Lock()
        self._columns = size_of(settings.columns) // 2

    @abstractmethod
    def _database(self, release: Release) -> Database[Given]:
        """Open a release."""

    def run(
        self,
        query: Query,
        release: Release,
        *,
        clock: Callable[[], float],
        stoppable: Callable[[Callable[[], None]], None] | None = None,
    ) -> RawAggregate:
        """Run the query; a table that the release lacks is empty. ``clock`` counts seconds.

        Raises ``EngineError``.
        ``stoppable`` is handed what stops this run from another thread (``engine.stopped``).
        """
        started = clock()
        stop = Stop()
        if stoppable is not None:
            stoppable(partial(stop.now, EngineError("engine.stopped", "the query was stopped")))
        check(query, release)
        with self._session(release, stop) as (opened, session):
            planned = plan(query, opened.hierarchy.reading(session.numbers))
            found, frame = self._found(planned, opened, session)
            analysis = measure(planned.cohort, planned.analysis, found, frame)
            behind = contributions(planned.analysis, found, frame)
        return RawAggregate(analysis, found.persons, round((clock() - started) * 1000), behind)

    def _found(self, planned: Plan, opened: "_OpenRelease[Given]", session: Given) -> tuple[Members, Frame]:
        """Return who is in the cohort, and each person's values."""
        opened.database.require(tables_of(planned))
        return by_statements.find(planned, session)

    def explain(self, query: Query, release: Release) -> str:
        """Return the SQL that the query becomes, with placeholders for every value."""
        check(query, release)
        with self._session(release) as (opened, session):
            planned = plan(query, opened.hierarchy.reading(session.numbers))
            texts = [opened.database.text(statement) for statement in by_statements.statements_of(planned)]
            way = self._way(planned, release)
        return f"{way}\n" + ";\n\n".join(texts) + ";\n"

    def _way(self, planned: Plan, release: Release) -> str:
        """Say how the plan is run, as a comment above its statements."""
        del planned, release
        return "-- by these statements"

    def cohort_rows(
        self, expression: CohortExpression, release: Release
    ) -> tuple[tuple[int, date, date], ...]:
        """Return (person, start, end) rows in order, for tests against other Circe implementations."""
        with self._session(release) as (opened, session):
            cohort = plan_cohort(expression, opened.hierarchy.reading(session.numbers))
            opened.database.require(tables_of(cohort))
            for statement in cohort_statements(cohort):
                session.run(statement)
            rows = session.rows(_COHORT_ROWS)
        return tuple((int(person), start, end) for person, start, end in rows)

    def close(self) -> None:
        """Close every database."""
        with self._turn:
            while self._open:
                self._open.popitem()[1].database.close()

    @contextmanager
    def _session(
        self, release: Release, stop: Stop | None = None
    ) -> Iterator[tuple["_OpenRelease[Given]", Given]]:
        with self._turn:
            opened = self._opened(release)
            with opened.database.session(stop or Stop()) as session:
                yield opened, session

    def _opened(self, release: Release) -> "_OpenRelease[Given]":
        key = (release.content_digest, *(f"{table.uri}@{table.version}" for table in release.tables))
        if key not in self._open:
            kept = Kept(self._columns // _MOST_OPEN)
            self._open[key] = _OpenRelease(release, self._database(release), kept)
        self._open.move_to_end(key)
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].database.close()
        return self._open[key]


class _OpenRelease(Generic[Given]):
    """A release with its database, and what was looked up or read before."""

    def __init__(self, release: Release, database: Database[Given], kept: Kept) -> None:
        self.release = release
        self.database = database
        self.kept = kept
        self.hierarchy = Hierarchy(release, database.require)


class DuckDbEngine(PlanEngine[connection.Session]):
    """Runs plans with DuckDB in the node's own process.

    ``scratch`` takes what does not fit into memory. ``s3`` is needed when tables lie in a bucket.
    """

    def __init__(self, settings: EngineSettings, scratch: Path, s3: S3Access | None = None) -> None:
        super().__init__(settings, scratch)
        self._s3 = s3

    def _database(self, release: Release) -> ReleaseDatabase:
        return ReleaseDatabase(release, self._settings, self._scratch, self._s3)

    def _found(
        self, planned: Plan, opened: _OpenRelease[connection.Session], session: connection.Session
    ) -> tuple[Members, Frame]:
        """Work in memory where all that is read fits, else by statements, which spill to the disk."""
        room = by_arrays.Room(opened.release, self._columns)
        if not room.takes(planned):
            return super()._found(planned, opened, session)
        opened.database.require(tables_of(planned))
        return by_arrays.find(planned, session, opened.kept, room)

    def _way(self, planned: Plan, release: Release) -> str:
        if by_arrays.Room(release, self._columns).takes(planned):
            return "-- over columns in memory (engine.columns), which find what these statements would"
        return super()._way(planned, release)


def tables_of(planned: object) -> frozenset[str]:
    """Return the tables that a plan reads."""
    found = {"person", "observation_period"}
    stack = [planned]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(item)
        elif is_dataclass(item):
            stack.extend(getattr(item, part.name) for part in fields(item))
            found |= _own_tables(item)
    return frozenset(found)


def _own_tables(item: object) -> set[str]:
    if isinstance(item, TrialLevel):
        return {"trial_subject"}
    if isinstance(item, Events):
        return set(tables_read(item))
    if isinstance(item, DrugEraEnd):
        return {DOMAINS["drug"].table}
    domain = getattr(item, "domain", None)
    return {DOMAINS[domain].table} if domain is not None else set()
