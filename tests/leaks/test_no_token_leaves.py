"""Unique tokens in every column of a hospital's files turn up in no channel that they must not reach."""

from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.leaks.consortium import Consortium, consortium
from tests.leaks.planted import PERSONS, Token, tables
from tests.leaks.scanning import Scanner, columns_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    with consortium(tmp_path_factory.mktemp("leaks")) as found:
        yield found


@pytest.fixture(scope="module")
def scanner(ran: Consortium) -> Scanner:
    return Scanner(ran.tokens)


def test_every_column_was_planted_and_taken(ran: Consortium) -> None:
    assert len(ran.omop) > 250
    report = ran.screens["ingest omop as json"].json()
    assert report["quarantined"] == []
    assert len(report["tables"]) == len(tables())


def test_the_questions_were_answered(ran: Consortium) -> None:
    states = [answer["state"] for answer in ran.answers]
    assert states == ["complete"] * 8 + ["failed", "complete"], ran.answers
    assert ran.answers[0]["merged"]["persons"]["value"] == PERSONS


@pytest.mark.parametrize(
    "channel",
    [
        "wire",
        "hub's home",
        "hub's answers over HTTP",
        "sdk",
        "node's terminal",
        "node's logs",
        "node's records",
        "releases",
        "delta logs",
        "names in the lake",
        "atoll-node status",
        "atoll-node status in words",
        "atoll-node audit list",
        "atoll-node audit list in words",
        "atoll-node permits list",
        "atoll-node permits list in words",
        "atoll-node outbound --polls",
        "atoll-node outbound --polls in words",
    ],
)
def test_no_token_stands_in(ran: Consortium, scanner: Scanner, channel: str) -> None:
    assert len(ran.texts[channel]) > 50
    assert scanner.in_bytes(channel, ran.texts[channel]) == []


def test_every_channel_that_was_collected_is_scanned(ran: Consortium, scanner: Scanner) -> None:
    found = [one for name, content in ran.texts.items() for one in scanner.in_bytes(name, content)]
    assert found == []


def test_no_value_stands_on_the_hospitals_own_screen(ran: Consortium) -> None:
    """File names may: hospital IT must know which file is meant."""
    values = Scanner(token for token in ran.tokens if token.place != "flat file name")
    said = {name: (done.out + done.err).encode() for name, done in ran.screens.items()}
    assert [one for name, content in said.items() for one in values.in_bytes(name, content)] == []


def test_the_lake_holds_exactly_the_columns_that_stay_by_rule(ran: Consortium) -> None:
    """Codes and facts stay, everything else does not; both ways, column by column."""
    columns = Scanner(ran.omop.values())
    found = {one.place for file in _data_files(ran, "omop") for one in _tokens_in(file, columns)}
    assert found == {token.place for token in ran.omop.values() if token.kept}


def test_the_lake_holds_no_hospital_number_and_nothing_of_the_flat_file_but_the_lab(ran: Consortium) -> None:
    gone = [token for token in ran.tokens if not token.kept]
    scanner = Scanner(gone)
    assert [one for file in _data_files(ran) for one in _tokens_in(file, scanner)] == []


def test_no_file_of_the_lake_holds_a_token_in_its_bytes(ran: Consortium) -> None:
    gone = Scanner(token for token in ran.tokens if not token.kept)
    files = [file for file in ran.lake.rglob("*") if file.is_file()]
    assert [one for file in files for one in gone.in_bytes(file.suffix, file.read_bytes())] == []


def _data_files(ran: Consortium, dataset: str = "") -> list[Path]:
    files = [file for file in ran.lake.rglob("*.parquet") if "_delta_log" not in file.parts]
    assert files
    return [file for file in files if dataset in file.parts or not dataset]


def _tokens_in(file: Path, scanner: Scanner) -> list[object]:
    found: list[object] = []
    for name, values in columns_of(file):
        found += scanner.in_values(name, values)
    return found


def test_a_shifted_date_is_no_planted_date(ran: Consortium) -> None:
    days = [token.value for token in ran.omop.values() if isinstance(token.value, date)]
    plain = sorted(day.date() if isinstance(day, datetime) else day for day in days)
    assert all((b - a).days > 364 for a, b in pairwise(plain))


def test_kept_tokens_are_codes_and_facts_alone(ran: Consortium) -> None:
    kept: list[Token] = [token for token in ran.tokens if token.kept]
    assert not any(isinstance(token.value, date) for token in kept)
