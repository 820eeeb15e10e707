"""Count what left the hospitals, and search every byte of it for anything of a patient."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from demo.parts import Hospital

EVERYTHING = "1000000"


@dataclass(frozen=True)
class Left:
    """What left: per site and reason, and what the search found."""

    totals: tuple[tuple[str, str, int, int], ...]
    """Site, reason, messages, bytes."""
    rows: int
    """Messages in which a medical record number, name or pseudonym of a patient stands."""
    searched: int

    @property
    def messages(self) -> int:
        """All messages."""
        return sum(total[2] for total in self.totals)

    @property
    def bytes(self) -> int:
        """All bytes."""
        return sum(total[3] for total in self.totals)

    def table(self) -> list[tuple[str, ...]]:
        """Return rows for the screen."""
        return [(site, why, f"{count:,}", f"{size / 1000:,.1f}") for site, why, count, size in self.totals]

    def facts(self) -> dict[str, Any]:
        """Return the figures."""
        by_reason = [
            {"site": site, "why": why, "messages": count, "bytes": size}
            for site, why, count, size in self.totals
        ]
        return {
            "messages": self.messages, "bytes": self.bytes, "patient_rows": self.rows,
            "values_searched_for": self.searched, "by_reason": by_reason,
        }  # fmt: skip


def left_the_hospitals(hospitals: list[Hospital], *, search: bool = True) -> Left:
    """Ask each node for its outbound messages and search them."""
    totals: list[tuple[str, str, int, int]] = []
    found = searched = 0
    for hospital in hospitals:
        report = hospital.node.call("outbound", "--polls", "--last", EVERYTHING)
        totals += [(hospital.site, t["why"], t["messages"], t["bytes"]) for t in report["totals"]]
        if search:
            secrets = {*identifiers(hospital), *pseudonyms(hospital)}
            searched += len(secrets)
            found += sum(_holds(message["content"], secrets) for message in report["messages"])
    return Left(tuple(totals), found, searched)


def _holds(content: str, secrets: set[str]) -> bool:
    return any(secret in content for secret in secrets)


def pseudonyms(hospital: Hospital) -> Iterator[str]:
    """Yield every pseudonym in the node's person tables."""
    files = [str(file) for file in hospital.node.home.glob("lake/**/person/*.parquet")]
    with duckdb.connect() as connection:
        for (person,) in connection.execute(
            "SELECT DISTINCT person_id FROM read_parquet(?)", [files]
        ).fetchall():
            yield str(person)


def identifiers(hospital: Hospital) -> Iterator[str]:
    """Yield every medical record number and name in the hospital's files."""
    for file in sorted(hospital.files.rglob("patient.csv")):
        text = _text(file.read_bytes())
        delimiter = next(sign for sign in (";", "\t", ",") if sign in text.splitlines()[0])
        for row in csv.DictReader(text.splitlines(), delimiter=delimiter):
            yield row["mrn"]
            yield row["name"]


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")
