"""What a table needs, judged from what stands on its store."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll_node.maintenance.rules import (
    AT_ONCE,
    MANY_COMMITS,
    MANY_FILES,
    RULES,
    SMALL_FILE,
    TableState,
    Work,
    due,
    to_retire,
    to_rewrite,
)
from atoll_node.release import PinnedFile, Release

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def files(count, size=SMALL_FILE, kind="k", first=0):
    return tuple(PinnedFile(path=f"{kind}{first + n}.parquet", bytes=size, rows=1) for n in range(count))


def table(live=(), stored=None, pinned=(), version=0, checkpoint=None):
    held = tuple(live)
    return TableState(
        "measurement", version, 9, held, held if stored is None else stored, frozenset(pinned), checkpoint
    )


def test_a_fresh_table_needs_nothing():
    assert due(table(files(2, kind="v"))) == ()


def test_every_work_has_its_rule():
    assert [work for work, _ in RULES] == list(Work)


@pytest.mark.parametrize(("count", "needs"), [(MANY_FILES - 1, False), (MANY_FILES, True)])
def test_many_small_files_are_rewritten(count, needs):
    small = files(count, size=SMALL_FILE - 1)

    assert (Work.CLUSTER in due(table(small))) is needs


@pytest.mark.parametrize(("count", "needs"), [(MANY_FILES - 1, False), (MANY_FILES, True)])
def test_many_unsorted_files_are_sorted(count, needs):
    assert (Work.CLUSTER in due(table(files(count, kind="v")))) is needs


def test_large_sorted_files_are_left_alone():
    state = table(files(50) + files(3, kind="v"))

    assert Work.CLUSTER not in due(state)


def test_only_small_and_unsorted_files_are_rewritten():
    small, large, new = files(9, size=1), files(3, first=20), files(2, kind="v")

    assert set(to_rewrite(table(small + large + new))) == {*small, *new}


def test_a_huge_table_is_rewritten_part_by_part():
    chosen = to_rewrite(table(files(40, size=AT_ONCE // 4, kind="v")))

    assert len(chosen) == 4


def test_a_part_has_at_least_two_files():
    assert len(to_rewrite(table(files(9, size=2 * AT_ONCE, kind="v")))) == 2


@pytest.mark.parametrize(
    ("version", "checkpoint", "needs"),
    [(MANY_COMMITS - 2, None, False), (MANY_COMMITS - 1, None, True), (30, 21, False), (30, 20, True)],
)
def test_many_commits_want_a_checkpoint(version, checkpoint, needs):
    assert (Work.CHECKPOINT in due(table(version=version, checkpoint=checkpoint))) is needs


def test_files_of_the_newest_version_and_of_releases_are_needed():
    live, pinned, dead = files(1), files(1, first=5), files(1, first=9)
    state = table(live, live + pinned + dead, [pinned[0].path])

    assert state.unneeded == dead
    assert due(state) == (Work.VACUUM,)


def release(number, days):
    return Release(
        name=f"lab-{number:04d}", site="a", dataset="lab", created_at=NOW - timedelta(days=days), tables=(),
        content_digest="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "days", "retired"),
    [(3, 0, []), (2, 0, [1]), (1, 0, [1, 2]), (1, 60, [1]), (1, 91, []), (1, 90, [1])],
)
def test_a_release_is_retired_when_it_is_both_old_and_followed(keep, days, retired):
    releases = (release(1, 90), release(2, 50), release(3, 1))

    found = to_retire(releases, keep=keep, days=days, now=NOW)

    assert [one.name for one in found] == [f"lab-{number:04d}" for number in retired]


def test_the_newest_release_is_never_retired():
    assert to_retire((release(1, 9000),), keep=1, days=0, now=NOW) == ()
