"""One Delta table as the node sees it: marks, versions, pinned files, and a log that is not whole."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from atoll_node.errors import LakeError
from atoll_node.tables import delta_adapter
from atoll_node.tables.delta_adapter import LakeTable, Mark, NewFile, local_root, schema_of
from atoll_node.tables.places import Places
from atoll_schemas.tables import core_1, table

SPEC = table("observation_period")
BATCH = Mark("atoll-batch", 7)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(root=str(tmp_path / "lake"))


@pytest.fixture
def opened(places: Places) -> LakeTable:
    """A table that was never written."""
    return LakeTable(places, "lab", SPEC)


def file_of(opened: LakeTable, name: str, rows: int) -> NewFile:
    """Write a Parquet file below the table's root."""
    root = Path(opened.uri)
    root.mkdir(parents=True, exist_ok=True)
    columns = {
        field.name: pa.array(range(rows), pa.int64()).cast(_type(field.datatype.delta))
        for field in SPEC.fields
    }
    pq.write_table(pa.table(columns), root / name)
    return NewFile(name, (root / name).stat().st_size, rows)


def _type(delta: str) -> pa.DataType:
    return {"long": pa.int64(), "integer": pa.int32(), "date": pa.int32(), "string": pa.string()}[delta]


def commit(opened: LakeTable, number: int, **more: Any) -> int:
    """Add one file of ``number`` rows under the number's mark."""
    return opened.change(
        [file_of(opened, f"v{number}.parquet", number)],
        (),
        [Mark("atoll-batch", number)],
        written_at=0,
        **more,
    )


def log_of(opened: LakeTable, version: int) -> Path:
    return Path(opened.uri) / "_delta_log" / f"{version:020d}.json"


def actions(opened: LakeTable, version: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_of(opened, version).read_text().splitlines()]


def test_a_table_that_was_never_written_has_nothing(opened: LakeTable) -> None:
    assert not opened.exists
    assert opened.next_version == 0
    assert opened.pinned() is None
    assert opened.mark("atoll-batch") is None
    assert not opened.has(BATCH)
    opened.checkpoint()
    assert not Path(opened.uri).exists()


def test_the_first_commit_makes_the_table(opened: LakeTable, places: Places) -> None:
    assert commit(opened, 3) == 0

    again = LakeTable(places, "lab", SPEC)
    assert again.exists
    assert again.next_version == 1
    assert again.pinned() == opened.pinned()


def test_what_a_table_pins_is_its_files_in_the_order_of_their_names(opened: LakeTable) -> None:
    for number in (5, 2, 9):
        commit(opened, number)

    pinned = opened.pinned()
    assert pinned is not None
    assert [(file.path, file.rows) for file in pinned.files] == [
        ("v2.parquet", 2),
        ("v5.parquet", 5),
        ("v9.parquet", 9),
    ]
    assert (pinned.name, pinned.version, pinned.rows) == (SPEC.name, 2, 16)
    assert pinned.paths() == tuple(f"{opened.uri}/v{number}.parquet" for number in (2, 5, 9))


def test_a_mark_is_of_one_application_and_one_number(opened: LakeTable) -> None:
    commit(opened, 7)

    assert opened.has(BATCH)
    assert not opened.has(Mark("atoll-batch", 8))
    assert not opened.has(Mark("atoll-content", 7))
    assert opened.mark("atoll-batch") == 7


def test_a_later_mark_takes_the_place_of_the_one_before(opened: LakeTable) -> None:
    commit(opened, 7)
    commit(opened, 8)

    assert opened.mark("atoll-batch") == 8
    assert not opened.has(BATCH)


def test_replacing_leaves_only_the_new_files(opened: LakeTable) -> None:
    commit(opened, 4)
    opened.replace([file_of(opened, "whole.parquet", 6)], [BATCH], written_at=0)

    pinned = opened.pinned()
    assert pinned is not None
    assert [file.path for file in pinned.files] == ["whole.parquet"]
    assert Path(opened.uri, "v4.parquet").exists(), "the file of the older version stays for its releases"


def test_changing_takes_out_what_is_named_and_nothing_else(opened: LakeTable) -> None:
    commit(opened, 1)
    commit(opened, 2)
    before = opened.pinned()
    assert before is not None
    opened.change([file_of(opened, "new.parquet", 5)], before.files[:1], (), written_at=0)

    pinned = opened.pinned()
    assert pinned is not None
    assert [file.path for file in pinned.files] == ["new.parquet", "v2.parquet"]


def test_rows_that_only_move_are_told_so(opened: LakeTable) -> None:
    commit(opened, 3)
    before = opened.pinned()
    assert before is not None
    opened.change([file_of(opened, "k.parquet", 3)], before.files, (), written_at=0, same_rows=True)

    kinds = {
        kind: action[kind]["dataChange"]
        for action in actions(opened, 1)
        for kind in ("add", "remove")
        if kind in action
    }
    assert kinds == {"add": False, "remove": False}


def test_a_commit_tells_how_many_rows_and_nothing_of_their_values(opened: LakeTable) -> None:
    commit(opened, 3)

    (added,) = [action["add"] for action in actions(opened, 0) if "add" in action]
    assert json.loads(added["stats"]) == {"numRecords": 3}
    (made,) = [action["metaData"] for action in actions(opened, 0) if "metaData" in action]
    assert made["configuration"]["delta.dataSkippingNumIndexedCols"] == "0"


def test_the_log_of_old_versions_stays_for_years(opened: LakeTable) -> None:
    commit(opened, 3)

    settings = DeltaTable(opened.uri).metadata().configuration
    assert settings["delta.logRetentionDuration"] == "interval 3650 days"
    assert settings["delta.deletedFileRetentionDuration"] == "interval 3650 days"


def test_a_checkpoint_stands_beside_the_commits_and_changes_nothing(
    opened: LakeTable, places: Places
) -> None:
    for number in range(1, 4):
        commit(opened, number)
    before = opened.pinned()
    opened.checkpoint()

    assert list((Path(opened.uri) / "_delta_log").glob("*.checkpoint.parquet"))
    assert LakeTable(places, "lab", SPEC).pinned() == before


def test_a_checkpoint_that_cannot_be_written_is_told(
    opened: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(opened, 1)
    monkeypatch.setattr(opened, "_table", _Failing(DeltaError("no room")))

    with pytest.raises(LakeError) as failed:
        opened.checkpoint()
    assert failed.value.code == "lake.checkpoint"


class _Failing:
    """A table whose every use fails in one way."""

    def __init__(self, fault: BaseException) -> None:
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> Any:
            raise self._fault

        return fail


def test_half_a_commit_in_the_log_is_told_and_not_taken(opened: LakeTable, places: Places) -> None:
    commit(opened, 1)
    commit(opened, 2)
    whole = log_of(opened, 1).read_bytes()
    log_of(opened, 1).write_bytes(whole[: len(whole) // 2])

    with pytest.raises(LakeError) as failed:
        _read_whole(places)
    assert failed.value.code == "lake.unreachable"


def _read_whole(places: Places) -> None:
    opened = LakeTable(places, "lab", SPEC)
    opened.mark("atoll-batch")
    opened.pinned()


@pytest.mark.parametrize("asked", ["mark", "pinned"])
def test_what_deltalake_reads_late_fails_as_an_unreachable_table(
    opened: LakeTable, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    commit(opened, 1)
    monkeypatch.setattr(opened, "_table", _Failing(DeltaError("Truncated record whilst reading string")))

    with pytest.raises(LakeError) as failed:
        opened.mark("atoll-batch") if asked == "mark" else opened.pinned()
    assert failed.value.code == "lake.unreachable"
    assert "Truncated" not in failed.value.message


class PanicException(BaseException):
    """What a panic of deltalake looks like in Python: no ordinary handler catches it."""


def test_a_panic_is_an_error_and_not_the_end_of_the_process(
    opened: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(opened, 1)
    monkeypatch.setattr(opened, "_table", _Failing(PanicException("range start must not be greater")))

    with pytest.raises(LakeError) as failed:
        opened.pinned()
    assert failed.value.code == "lake.unreachable"


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SystemExit(3)])
def test_whoever_ends_the_process_is_not_held_up(
    opened: LakeTable, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    commit(opened, 1)
    monkeypatch.setattr(opened, "_table", _Failing(fault))

    with pytest.raises(type(fault)):
        opened.pinned()


def test_a_commit_that_fails_is_told_with_what_to_do(
    opened: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(opened, 1)
    monkeypatch.setattr(opened, "_table", _Failing(OSError("no space left")))

    with pytest.raises(LakeError) as failed:
        commit(opened, 2)
    assert failed.value.code == "lake.commit"
    assert failed.value.next_step is not None


def test_a_commit_on_an_old_version_is_refused(opened: LakeTable, places: Places) -> None:
    commit(opened, 1)
    late = LakeTable(places, "lab", SPEC)
    commit(opened, 2)

    with pytest.raises(LakeError) as raced:
        commit(late, 3)
    assert raced.value.code == "lake.raced"
    assert LakeTable(places, "lab", SPEC).mark("atoll-batch") == 2


def test_many_commits_over_one_opened_table_are_those_of_many_openings(
    opened: LakeTable, places: Places
) -> None:
    for number in range(1, 26):
        assert commit(opened, number) == number - 1
        assert opened.has(Mark("atoll-batch", number))

    again = LakeTable(places, "lab", SPEC)
    assert again.pinned() == opened.pinned()
    assert again.next_version == opened.next_version == 25


@pytest.mark.parametrize("spec", core_1().tables, ids=lambda spec: spec.name)
def test_every_table_of_the_model_has_a_schema_in_its_fields_order(spec: Any) -> None:
    schema = json.loads(schema_of(spec).to_json())
    assert [field["name"] for field in schema["fields"]] == [field.name for field in spec.fields]
    assert all(field["nullable"] for field in schema["fields"])


def test_only_a_folder_has_a_local_root() -> None:
    assert local_root("/srv/lake/lab/person") == Path("/srv/lake/lab/person")
    assert local_root("s3://bucket/lab/person") is None


def test_nothing_but_the_adapter_makes_deltas_configuration() -> None:
    assert set(delta_adapter.CONFIGURATION) == {
        "delta.dataSkippingNumIndexedCols",
        "delta.checkpointInterval",
        "delta.logRetentionDuration",
        "delta.deletedFileRetentionDuration",
    }
