"""Two writers that read the same version: one of them commits, and the other one is told."""

import pytest

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.settings import FolderStore
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from bench.faults.writer import ROWS, SPEC, mark_of, rows_of
from tests.support.minio import running_minio


@pytest.fixture(params=["folder", "minio"])
def lake(request, tmp_path) -> Lake:
    """A lake with one batch."""
    if request.param == "folder":
        lake = Lake(places_of(Home(tmp_path), FolderStore()), "race", tmp_path / "scratch")
        _add(lake, lake.table(SPEC), 0)
        yield lake
        return
    with running_minio(tmp_path / "minio") as server:
        store = server.store(tmp_path / "keys", prefix="race")
        lake = Lake(places_of(Home(tmp_path), store), "race", tmp_path / "scratch")
        _add(lake, lake.table(SPEC), 0)
        yield lake


def _add(lake, target, batch, removed=()):
    lake.commit(target, rows_of(batch), (mark_of(batch),), removed=removed, content=batch, written_at=0)


def _compact(lake, target):
    """Put every row into one new file, as maintenance does."""
    lake.commit(
        target, rows_of(0), (), removed=target.pinned().files, content=9, written_at=0, same_rows=True
    )


def test_two_that_take_out_the_same_file_do_not_double_its_rows(lake):
    first, second = lake.table(SPEC), lake.table(SPEC)
    _compact(lake, first)

    with pytest.raises(LakeError) as raced:
        _compact(lake, second)

    assert raced.value.code == "lake.raced"
    assert lake.table(SPEC).pinned().rows == ROWS


def test_the_one_that_lost_writes_after_it_looked_again(lake):
    first, second = lake.table(SPEC), lake.table(SPEC)
    _add(lake, first, 1)
    with pytest.raises(LakeError):
        _add(lake, second, 2)

    _add(lake, lake.table(SPEC), 2)

    assert lake.table(SPEC).pinned().rows == 3 * ROWS


def test_the_same_batch_of_two_nodes_is_there_once(lake):
    first, second = lake.table(SPEC), lake.table(SPEC)
    _add(lake, first, 1)
    with pytest.raises(LakeError):
        _add(lake, second, 1)

    assert lake.table(SPEC).has(mark_of(1))
    assert lake.table(SPEC).pinned().rows == 2 * ROWS


def test_a_table_that_committed_knows_what_it_holds_now(lake):
    table = lake.table(SPEC)
    for batch in (1, 2, 3):
        _add(lake, table, batch)

    opened = lake.table(SPEC)
    assert table.pinned() == opened.pinned()
    assert table.next_version == opened.next_version == 4
    assert all(table.has(mark_of(batch)) for batch in range(4))


def test_of_two_that_make_the_table_one_makes_it(lake, tmp_path):
    places = lake._places
    empty = Lake(places, "other", tmp_path / "scratch")
    first, second = empty.table(SPEC), empty.table(SPEC)
    _add(empty, first, 1)

    with pytest.raises(LakeError):
        _add(empty, second, 2)

    assert empty.table(SPEC).pinned().rows == ROWS
