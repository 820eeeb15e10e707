"""The scanner finds a token that is planted on purpose, in every channel and every rendering."""

import base64
import hashlib
import json
from datetime import date, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.leaks.planted import Token, omop_tokens, person_tokens, tables, text_token, write_flat
from tests.leaks.scanning import Scanner, columns_of
from tests.leaks.wire import recorded
from tests.support.small_hub import Reply, small_hub

NAME = Token("flat.name", "Zq12345678 Zqabcdefgh")
NUMBER = Token("person.person_id", 640_000_000_007_919)
DAY = Token("death.death_date", date(1987, 3, 4))
MOMENT = Token("note.note_datetime", datetime(1988, 5, 6, 7, 8, 9))
LAB = Token("measurement.value_as_number", 31_234_567.8125)
TOKENS = (NAME, NUMBER, DAY, MOMENT, LAB)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner(TOKENS)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (NAME, "error: no such person zq12345678 zqabcdefgh."),
        (NAME, '{"level":"debug","where":"ZQ12345678 ZQABCDEFGH"}'),
        (NAME, "only the family name: Zqabcdefgh"),
        (NAME, "/v1/persons/Zq12345678%20Zqabcdefgh"),
        (NAME, base64.b64encode(b"{'name': 'Zq12345678 Zqabcdefgh'}").decode()),
        (NAME, base64.urlsafe_b64encode(b"x Zq12345678 Zqabcdefgh").decode()),
        (NAME, base64.b64encode(b"xx-Zq12345678 Zqabcdefgh").decode()),
        (NAME, b"Zq12345678 Zqabcdefgh".hex()),
        (NAME, hashlib.sha256(b"Zq12345678 Zqabcdefgh").hexdigest()),
        (NUMBER, '{"person_id": 640000000007919}'),
        (NUMBER, hashlib.sha256(b"640000000007919").hexdigest()),
        (NUMBER, f"id={640_000_000_007_919:x}"),
        (DAY, "died 1987-03-04"),
        (DAY, "gestorben am 04.03.1987"),
        (DAY, "1987-03-04T00:00:00"),
        (DAY, "19870304"),
        (MOMENT, "1988-05-06 07:08:09"),
        (MOMENT, "1988-05-06"),
        (LAB, "mean 31234567.8125"),
        (LAB, "31234567,8125"),
    ],
)
def test_a_rendering_is_found(scanner: Scanner, token: Token, text: str) -> None:
    assert [one.place for one in scanner.in_bytes("log", text.encode())] == [token.place]


def test_clean_text_holds_nothing(scanner: Scanner) -> None:
    assert scanner.in_bytes("log", b'{"task":"t-1","persons":40,"at":"2026-01-02T03:04:05Z"}') == []


def test_a_token_on_the_wire_is_found_both_ways(scanner: Scanner) -> None:
    with small_hub() as hub, recorded(int(hub.url.rpartition(":")[2])) as recorder:
        hub.says("POST", "/v1/node/poll", Reply({"detail": "1987-03-04"}))
        httpx.post(f"{recorder.url}/v1/node/poll", json={"mrn": NUMBER.value}, trust_env=False)
        found = scanner.in_bytes("wire", recorder.content())
    assert {one.place for one in found} == {NUMBER.place, DAY.place}


@pytest.mark.parametrize("token", [NAME, NUMBER, DAY, MOMENT, LAB])
def test_a_token_in_a_compressed_column_or_its_statistics_is_found(
    scanner: Scanner, token: Token, tmp_path: Path
) -> None:
    file = tmp_path / "part.parquet"
    pq.write_table(pa.table({"hidden": [token.value] * 3}), file, compression="zstd")
    columns = list(columns_of(file))
    assert len(columns) == 2, "the column, and its statistics"
    for name, values in columns:
        assert [one.place for one in scanner.in_values(name, values)] == [token.place]


def test_a_token_in_a_delta_logs_statistics_is_found(scanner: Scanner) -> None:
    stats = json.dumps({"minValues": {"death_date": "1987-03-04"}})
    line = json.dumps({"add": {"path": "part-0.parquet", "stats": stats}})
    assert scanner.in_bytes("delta log", line.encode())


def test_every_column_of_every_table_about_a_person_has_a_token() -> None:
    tokens = omop_tokens()
    columns = {f"{table.name}.{field.name}" for table in tables() for field in table.fields}
    planted = {place for place in columns if place in tokens}
    assert len(planted) > 0.8 * len(columns)
    left = {place.partition(".")[2] for place in columns - planted}
    assert not {name for name in left if not name.endswith("_id")} - {
        "year_of_birth", "month_of_birth", "day_of_birth", "term_exists", "trial_code", "arm_code",
    }  # fmt: skip


def test_tokens_are_unique(tmp_path: Path) -> None:
    values = [token.value for token in (*omop_tokens().values(), *person_tokens())]
    assert len(values) == len(set(values))
    assert len({text_token(str(place)) for place in range(1000)}) == 1000
    assert len(write_flat(tmp_path).tokens) > 300
