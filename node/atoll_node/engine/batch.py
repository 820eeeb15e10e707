"""Run many cohorts on one release at once: plan all, read each table once, evaluate block by block.

Cohort logic is per person, so persons are taken in blocks: memory is bounded by a block, not by the release.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atoll_node.engine.arrays.cohorts import Selection, select
from atoll_node.engine.arrays.scans import EVERYBODY, Needs, PersonRange, needs_of, read_block
from atoll_node.engine.arrays.streams import Block
from atoll_node.engine.cohort_planning import plan_cohort
from atoll_node.engine.connection import ReleaseDatabase, S3Access, Stop
from atoll_node.engine.hierarchy import Hierarchy
from atoll_node.engine.plan import Cohort
from atoll_node.engine.sql import Statement
from atoll_node.engine.vocabulary import parents_of
from atoll_node.errors import EngineError
from atoll_node.release import Release
from atoll_node.settings import EngineSettings
from atoll_schemas.circe import CohortExpression

Ids = NDArray[np.int64]
Days = NDArray[np.int32]
MOST_MASKED = 63
"""Inclusion rules whose results fit into one mask."""
_ROWS_AT_ONCE = 30_000_000
"""Records of one reading: about 2 GB of columns."""
_PERSONS_AT_ONCE = 520_000
"""Persons of one block: more leave the caches, of fewer each cohort's steps begin too often."""


@dataclass(frozen=True, repr=False, eq=False)
class Stays:
    """Rows of the cohort table; days count from 1970-01-01."""

    cohort: Days
    person: Ids
    start: Days
    end: Days


@dataclass(eq=False)
class Tally:
    """What is added up for one cohort: events by rule mask, all of them (0) and each person's best (1)."""

    rules: int
    masks: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    seconds: float = 0.0
    """Its share of the time on the clock: threads side by side do not count twice."""
    failed: EngineError | None = None
    """Why the cohort has no answer, though it was planned."""

    def add(self, selection: Selection) -> None:
        """Count the events of one block; with too many rules for a mask, only who passes all is told."""
        if not self.rules:
            return
        masks = selection.masks if self.rules <= MOST_MASKED else selection.passed.all(axis=0).astype(int)
        for counted, part in zip(self.masks, (masks, masks[selection.best]), strict=True):
            for mask, number in zip(*np.unique(part, return_counts=True), strict=True):
                counted[int(mask)] = counted.get(int(mask), 0) + int(number)

    def base(self, mode: int) -> int:
        """Return the number of events."""
        return sum(self.masks[mode].values())

    def final(self, mode: int) -> int:
        """Return the number of events that pass every rule."""
        return self.masks[mode].get((1 << self.rules) - 1 if self.rules <= MOST_MASKED else 1, 0)


@dataclass(frozen=True)
class Planned:
    """The cohorts that can run, with the seconds that planning took, and why the others cannot."""

    cohorts: Mapping[int, Cohort]
    seconds: Mapping[int, float]
    failed: Mapping[int, EngineError]


class CohortBatch:
    """Plans and runs many cohorts on the files of one release."""

    def __init__(
        self,
        release: Release,
        settings: EngineSettings,
        scratch: Path,
        s3: S3Access | None = None,
        *,
        persons_at_once: int = _PERSONS_AT_ONCE,
    ) -> None:
        self._release = release
        self._threads = settings.threads
        self._persons_at_once = persons_at_once
        self._database = ReleaseDatabase(release, settings, scratch, s3)
        self._hierarchy = Hierarchy(release, self._database.require)

    def close(self) -> None:
        """Let go of files and memory."""
        self._database.close()

    def plan(self, expressions: Mapping[int, CohortExpression]) -> Planned:
        """Plan every cohort; concept sets of the whole batch are expanded by one look-up."""
        cohorts: dict[int, Cohort] = {}
        seconds: dict[int, float] = {}
        failed: dict[int, EngineError] = {}
        with self._database.reading(Stop()) as reader:
            vocabulary = self._hierarchy.reading(reader.numbers)
            started = time.perf_counter()
            vocabulary.fetch(parents_of(one for each in expressions.values() for one in each.concept_sets))
            share = (time.perf_counter() - started) / max(1, len(expressions))
            for number, expression in expressions.items():
                started = time.perf_counter()
                try:
                    cohorts[number] = plan_cohort(expression, vocabulary)
                except EngineError as error:
                    failed[number] = error
                seconds[number] = share + time.perf_counter() - started
        return Planned(cohorts, seconds, failed)

    def run(
        self,
        cohorts: Mapping[int, Cohort],
        take: Callable[[Stays], None],
        done: Callable[[float], None] | None = None,
    ) -> Mapping[int, Tally]:
        """Evaluate the cohorts; ``take`` is given rows block by block, ``done`` the share that is done."""
        tallies = {number: Tally(len(cohort.rules)) for number, cohort in cohorts.items()}
        needs = needs_of(cohorts.values())
        self._database.require(needs.tables)
        with self._database.reading(Stop()) as reader, ThreadPoolExecutor(self._threads) as pool:
            regions = _regions(self._release, needs, reader.numbers)
            lock = threading.Lock()
            for place, region in enumerate(regions):
                started = time.perf_counter()
                block = read_block(needs, region, reader, pool)
                _share(tallies, time.perf_counter() - started)
                _fail_unread(block, cohorts, tallies)
                started = time.perf_counter()
                parts = self._parts(block)
                spent = dict.fromkeys(cohorts, 0.0)

                evaluated = partial(_evaluated, cohorts=cohorts, tallies=tallies, spent=spent, lock=lock)
                for number, stays in enumerate(pool.map(evaluated, parts), start=1):
                    take(stays)
                    if done is not None:
                        done((place + number / len(parts)) / len(regions))
                _share_spent(tallies, spent, time.perf_counter() - started)
        return tallies

    def _parts(self, block: Block) -> list[Block]:
        """Cut a block into so many parts that every thread has as many."""
        count = -(-len(block.periods.ids) // self._persons_at_once)
        if count > 1:
            count = -(-count // self._threads) * self._threads
        return block.cut(max(1, count))


def _share(tallies: Mapping[int, Tally], seconds: float) -> None:
    """Reading is for all alike."""
    for tally in tallies.values():
        tally.seconds += seconds / len(tallies)


def _share_spent(tallies: Mapping[int, Tally], spent: Mapping[int, float], seconds: float) -> None:
    """Share the time on the clock as the threads spent theirs."""
    total = sum(spent.values())
    for number, tally in tallies.items():
        tally.seconds += seconds * spent[number] / total if total else seconds / len(tallies)


def _regions(
    release: Release, needs: Needs, numbers: Callable[[Statement], Mapping[str, Ids]]
) -> tuple[PersonRange, ...]:
    """Cut the persons so that no reading takes too many records."""
    rows = sum(table.rows for table in release.tables if table.name in needs.tables)
    count = -(-rows // _ROWS_AT_ONCE)
    if count <= 1:
        return (EVERYBODY,)
    ids = numbers(Statement("SELECT DISTINCT person_id FROM observation_period ORDER BY person_id"))[
        "person_id"
    ]
    cuts = [int(part[0]) for part in np.array_split(ids, count) if len(part)]
    bounds = [*cuts[1:], 2**63 - 1]
    return tuple(PersonRange(low, high - 1) for low, high in zip(cuts, bounds, strict=True))


def _fail_unread(block: Block, cohorts: Mapping[int, Cohort], tallies: Mapping[int, Tally]) -> None:
    """Give up the cohorts that need what could not be read, and no others."""
    for number, cohort in cohorts.items() if block.unread else ():
        lacking = sorted(needs_of((cohort,)).domains.keys() & block.unread.keys())
        if lacking:
            tallies[number].failed = block.unread[lacking[0]]


def _evaluated(
    block: Block,
    cohorts: Mapping[int, Cohort],
    tallies: Mapping[int, Tally],
    spent: dict[int, float],
    lock: threading.Lock,
) -> Stays:
    found = []
    for number, cohort in cohorts.items():
        if tallies[number].failed is not None:
            continue
        started = time.perf_counter()
        try:
            selection = select(block, cohort)
        except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError) as fault:
            tallies[number].failed = EngineError(
                "engine.failed", f"the engine failed ({type(fault).__name__})"
            )
            continue
        stays = selection.stays
        ids = block.periods.ids[stays.person]
        found.append(Stays(np.full(len(ids), number, dtype=np.int32), ids, stays.start, stays.end))
        with lock:
            tallies[number].add(selection)
            spent[number] += time.perf_counter() - started
    return _together(found)


def _together(parts: list[Stays]) -> Stays:
    """Return the rows of several blocks, in their order."""

    def column(name: str, kind: type[np.generic]) -> NDArray[Any]:
        found = [getattr(part, name) for part in parts]
        return np.concatenate(found).astype(kind, copy=False) if found else np.empty(0, dtype=kind)

    return Stays(
        column("cohort", np.int32),
        column("person", np.int64),
        column("start", np.int32),
        column("end", np.int32),
    )
