"""Read the opt-out list: persons who are left out of every table before anything is written."""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from atoll_node.errors import SettingsError

_DIGITS = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True)
class OptOuts:
    """The staged numbers of persons who opted out, and how many lines name nobody of the batch's list."""

    persons: frozenset[int] = frozenset()
    unmatched: int = 0


def read_opt_outs(file: Path | None, person_ids: Path | None) -> OptOuts:
    """Read one source identifier a line. Raises ``SettingsError``: without its list, nothing is ingested.

    ``person_ids`` (``source_id``, ``person_id``) translates identifiers; without it they are numbers.
    Blank lines and lines that start with ``#`` are skipped.
    """
    if file is None:
        return OptOuts()
    identifiers = _lines(file)
    if person_ids is None:
        return OptOuts(persons=frozenset(_number(line, text) for line, text in identifiers))
    known = pq.read_table(person_ids, columns=["source_id", "person_id"])
    wanted = {text for _, text in identifiers}
    found = known.filter(pc.is_in(known["source_id"], value_set=pa.array(sorted(wanted), pa.string())))
    matched = set(found["source_id"].to_pylist())
    return OptOuts(frozenset(found["person_id"].to_pylist()), len(wanted - matched))


def _lines(file: Path) -> tuple[tuple[int, str], ...]:
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "opt_out.unreadable",
            "the opt-out list cannot be read",
            "see opt_out_file in the dataset's settings",
        ) from error
    lines = ((number, line.strip()) for number, line in enumerate(content.splitlines(), start=1))
    return tuple((number, text) for number, text in lines if text and not text.startswith("#"))


def _number(line: int, text: str) -> int:
    number = int(text) if _DIGITS.fullmatch(text) else None
    if number is None or not -(2**63) <= number < 2**63:
        raise SettingsError(
            "opt_out.identifier",
            f"line {line} of the opt-out list is not a person number",
            "write one person_id of the source a line",
        )
    return number
