"""A release is read where its files lie now, however often the lake was moved, and stays the same release."""

import pytest

from atoll_node.errors import LakeError
from atoll_node.home import Home
from atoll_node.moves import Move, Moves, followed
from atoll_node.releases import Releases
from tests.support.hospital import NOW, hospital, small_export

A, B, C = "/srv/lake", "s3://one/atoll", "s3://two"


def moves(*pairs: tuple[str, str]) -> tuple[Move, ...]:
    return tuple(Move(before=before, after=after, at=NOW) for before, after in pairs)


@pytest.fixture
def release(tmp_path):
    place = hospital(tmp_path / "node")
    place.export(small_export())
    place.ingest()
    return place.release()


def at(release, root: str):
    tables = tuple(table.model_copy(update={"uri": f"{root}/lab/{table.name}"}) for table in release.tables)
    return release.model_copy(update={"tables": tables})


@pytest.mark.parametrize(
    ("written", "history", "now"),
    [
        (A, [], A),
        (A, [(A, B)], B),
        (A, [(A, B), (B, C)], C),
        (A, [(A, B), (B, A)], A),
        (B, [(A, B), (B, A)], A),
        (A, [(A, B), (B, A), (A, C)], C),
        (C, [(A, B)], C),
    ],
)
def test_every_move_since_a_release_was_written_is_followed(release, written, history, now):
    found = followed(at(release, written), moves(*history))

    assert {table.uri for table in found.tables} == {f"{now}/lab/{table.name}" for table in release.tables}
    assert found.content_digest == release.content_digest


def test_a_place_whose_name_only_begins_alike_is_another(release):
    elsewhere = at(release, f"{A}-old")

    assert followed(elsewhere, moves((A, B))) == elsewhere


def test_a_release_loaded_after_a_move_lies_at_the_new_place_and_its_file_is_untouched(release, tmp_path):
    home = Home(tmp_path / "node")
    file = home.releases / "lab" / f"{release.name}.json"
    before = file.read_bytes()

    root = release.tables[0].uri.rpartition("/lab/")[0]
    Moves(home).add(Move(before=root, after=B, at=NOW))

    loaded = Releases(home).load(release.name)
    assert loaded.tables[0].uri.startswith(f"{B}/lab/")
    assert loaded.content_digest == release.content_digest
    assert file.read_bytes() == before
    assert Releases(home).datasets() == ("lab",)


def test_the_same_move_twice_is_one(tmp_path):
    kept = Moves(Home(tmp_path))
    for _ in range(2):
        kept.add(Move(before=A, after=B, at=NOW))

    assert len(kept.all()) == 1


def test_a_damaged_record_is_told_and_never_guessed(tmp_path):
    home = Home(tmp_path)
    home.releases.mkdir()
    home.moves.write_text("[{]")

    with pytest.raises(LakeError) as failed:
        Moves(home).all()
    assert failed.value.code == "store.moves"
