"""Copy a folder of CDM files under new ids, dates kept: more persons of the same kind, and shares of them."""

from pathlib import Path

import duckdb

STEP = 100_000_000
"""New ids are the old ones plus a multiple of this."""


def copy_cdm(source: Path, target: Path, copies: int, *, share: int = 0, of: int = 1) -> Path:
    """Write ``copies`` of the persons whose id leaves ``share`` when divided by ``of``; return ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:", config={"threads": 2}) as database:
        for file in sorted(source.glob("*.parquet")):
            query = _copied(database, file, copies, share, of)
            database.execute(f"COPY ({query}) TO '{target / file.name}' (FORMAT parquet)")
    return target


def _copied(database: duckdb.DuckDBPyConnection, file: Path, copies: int, share: int, of: int) -> str:
    columns = [row[0] for row in database.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()]
    if "person_id" not in columns:
        return f"SELECT * FROM '{file}'"
    moved = [name for name in columns if name in {"person_id", "visit_occurrence_id", f"{file.stem}_id"}]
    replaced = ", ".join(f"({name}::BIGINT + copy * {STEP}) AS {name}" for name in dict.fromkeys(moved))
    return (
        f"SELECT * EXCLUDE (copy) REPLACE ({replaced}) "
        f"FROM '{file}', (SELECT range AS copy FROM range({copies})) WHERE person_id % {of} = {share}"
    )
