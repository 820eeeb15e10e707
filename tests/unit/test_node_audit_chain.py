"""The node's chain shows every flip, deletion, cut end and forgery."""

import json
import sqlite3
import threading
from contextlib import closing

import pytest

from atoll_node.audit import Decision
from atoll_schemas.audit import chained, head_of
from tests.support.node_records import NOW, a_node


@pytest.fixture
def node(tmp_path):
    node = a_node(tmp_path)
    for number in range(5):
        node.audit.record(Decision("permit.requested", "hub", f"P-00{number}.north", {"number": number}))
    return node


def change(node, statement, *values):
    with closing(sqlite3.connect(node.home.state)) as connection, connection:
        connection.execute(statement, values)


def test_a_chain_that_nobody_touched_holds(node):
    verdict = node.audit.verify()
    assert verdict.holds
    assert verdict.entries == 5


def test_an_empty_chain_holds(tmp_path):
    assert a_node(tmp_path).audit.verify().holds


@pytest.mark.parametrize("sequence", range(1, 6))
def test_a_flipped_entry_is_found(node, sequence):
    change(node, "UPDATE audit SET entry = replace(entry, 'hub', 'you') WHERE sequence = ?", sequence)
    assert not node.audit.verify().holds


@pytest.mark.parametrize("sequence", range(1, 6))
def test_a_deleted_entry_is_found(node, sequence):
    change(node, "DELETE FROM audit WHERE sequence = ?", sequence)
    assert not node.audit.verify().holds


@pytest.mark.parametrize("kept", range(5))
def test_a_cut_end_is_found(node, kept):
    change(node, "DELETE FROM audit WHERE sequence > ?", kept)
    assert not node.audit.verify().holds


def test_an_unreadable_entry_is_found(node):
    change(node, "UPDATE audit SET entry = '{' WHERE sequence = 3")
    assert "the entry cannot be read" in [flaw.what for flaw in node.audit.verify().flaws]


def test_an_entry_that_someone_without_the_key_appends_is_found(node):
    last = node.audit.entries()[-1]
    forged = chained(head_of(last), at=NOW, actor="steward", action="permit.approved", subject="P-666.north")
    change(node, "INSERT INTO audit VALUES (?, ?, ?)", 6, forged.model_dump_json(), "0" * 64)
    assert "the entry's seal is not this node's" in [flaw.what for flaw in node.audit.verify().flaws]


def test_a_head_file_that_was_changed_or_removed_is_found(node):
    file = node.home.state.with_name("audit-head.json")
    head = json.loads(file.read_text())
    file.write_text(json.dumps(head | {"sequence": 4}))
    assert not node.audit.verify().holds
    file.unlink()
    assert not node.audit.verify().holds


def test_a_stop_between_entry_and_head_is_no_flaw(node):
    file = node.home.state.with_name("audit-head.json")
    before = file.read_text()
    node.audit.record(Decision("permit.requested", "hub", "P-009.north"))
    file.write_text(before)
    assert node.audit.verify().holds


def stop_half_way(node):
    with node.audit.recorded(Decision("permit.requested", "hub", "P-010.north")) as connection:
        connection.execute("CREATE TABLE half (done INTEGER)")
        raise RuntimeError("stopped half way")


def test_an_entry_and_what_it_decides_are_written_together_or_not_at_all(node):
    with pytest.raises(RuntimeError):
        stop_half_way(node)
    assert node.audit.verify().entries == 5
    found = node.state.connection().execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'")
    assert found.fetchone()[0] == 0


def test_several_writers_keep_one_chain(node):
    def write() -> None:
        for _ in range(10):
            node.audit.record(Decision("permit.requested", "hub", "P-011.north"))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    verdict = node.audit.verify()
    assert verdict.holds
    assert verdict.entries == 45
