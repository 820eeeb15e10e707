"""Whatever racing writers see, a verdict is good only for one winner; a copy that is cut ends whole."""

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_node.errors import LakeError
from atoll_node.moves import Move, followed
from atoll_node.store.copy_journal import CopyJournal
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.migration import Place, copy_lake
from atoll_node.store.verdict import Reply, Round, judged_commits, judged_race
from tests.support.hospital import NOW
from tests.support.lake import release_of_files

REPLIES = st.lists(st.sampled_from(Reply), min_size=2, max_size=6).map(tuple)
ROUNDS = st.lists(st.builds(Round, REPLIES, st.none() | st.integers(0, 5)), max_size=5)


@given(ROUNDS)
def test_a_race_is_good_only_when_each_round_has_one_winner_whose_bytes_stand(rounds):
    right = bool(rounds) and all(
        race.replies.count(Reply.WON) == 1 and race.standing == race.replies.index(Reply.WON)
        for race in rounds
    )

    assert judged_race(rounds).safe is right


@given(ROUNDS)
def test_every_refusal_says_what_to_do(rounds):
    verdict = judged_race(rounds)

    assert verdict.safe or verdict.fix


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_commits_are_good_only_when_nothing_is_lost_or_doubled(acknowledged, visible, versions):
    verdict = judged_commits(4, acknowledged, visible, versions)

    assert verdict.safe is (0 < acknowledged == visible <= versions)


FILES = st.integers(0, 9).flatmap(
    lambda number: st.sampled_from([f"_delta_log/{number:020d}.json", f"v{number}.parquet"])
)
NAMES = st.lists(
    st.builds("lab/{}/{}".format, st.sampled_from(["person", "death"]), FILES), unique=True, max_size=10
)
LAKES = NAMES.flatmap(lambda names: st.fixed_dictionaries({name: st.binary(max_size=40) for name in names}))


class Cutting(FolderBucket):
    """A folder whose disk goes away after so many files."""

    left = 10**9

    def put_file(self, key, file):
        if self.left == 0:
            raise LakeError("store.disk", "gone")
        self.left -= 1
        super().put_file(key, file)


@settings(max_examples=60, deadline=None)
@given(LAKES, LAKES, st.lists(st.integers(0, 6), max_size=4))
def test_a_copy_that_is_cut_and_changed_under_at_any_point_ends_as_its_source(first, second, cuts):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        source, target = FolderBucket(root / "from"), Cutting(root / "to")

        def copy() -> None:
            journal = CopyJournal(root / "journal", "copy")
            copy_lake(Place(source), Place(target), journal, root, lambda step: None)

        for name, content in first.items():
            source.put(name, content)
        for cut in cuts:
            target.left = cut
            with contextlib.suppress(LakeError):
                copy()
        source.remove(set(first) - set(second))
        for name, content in second.items():
            source.put(name, content)
        target.left = 10**9
        copy()

        assert {name: target.get(name) for name in Place(target).objects()} == second


@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_a_chain_of_moves_ends_where_the_last_one_led(way):
    """Each move begins where the one before ended, as ``store migrate --switch`` sees to."""
    places, moves = ["a"], []
    for after in way:
        if after != places[-1]:
            moves.append(Move(before=f"/{places[-1]}", after=f"/{after}", at=NOW))
            places.append(after)

    found = followed(_release_at("/a"), moves)
    assert {table.uri for table in found.tables} == {f"/{places[-1]}/lab/person"}


def _release_at(root: str):
    empty = release_of_files({})
    table = {"name": "person", "uri": f"{root}/lab/person", "version": 0, "rows": 0, "files": []}
    return type(empty).from_wire(empty.wire() | {"tables": [table]})
