"""Every law of the house fails when it is broken: a breach of each is planted in a copy and must be found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas/atoll_schemas", "node/atoll_node", "hub/atoll_hub", "sdk/atoll")

BREACHES = {
    "the hub imports the node": (
        "hub-node-and-sdk-apart", "hub/atoll_hub/planted.py", "import atoll_node.errors"),
    "the SDK imports the hub": (
        "hub-node-and-sdk-apart", "sdk/atoll/planted.py", "import atoll_hub.errors"),
    "the schemas import the node": (
        "schemas-know-nobody", "schemas/atoll_schemas/planted.py", "import atoll_node.errors"),
    "the schemas import an HTTP library": (
        "schemas-import-pydantic-only", "schemas/atoll_schemas/planted.py", "import httpx"),
    "the engine knows the gate": (
        "node-stages-apart", "node/atoll_node/engine/planted.py", "import atoll_node.disclosure"),
    "a source knows de-identification": (
        "node-stages-apart", "node/atoll_node/sources/planted.py", "import atoll_node.deidentify"),
    "the agent reaches the engine through another module": (
        "agent-cannot-reach-data", "node/atoll_node/agent/planted.py", "import atoll_node.bootstrap"),
    "the agent loads DuckDB": (
        "agent-cannot-reach-data", "node/atoll_node/agent/planted.py", "import duckdb"),
    "the permits read raw aggregates": (
        "raw-aggregates-have-few-readers", "node/atoll_node/permits/planted.py", "import atoll_node.raw"),
    "a rule imports DuckDB": (
        "duckdb-in-adapters", "node/atoll_node/disclosure/planted.py", "import duckdb"),
    "a rule imports deltalake": (
        "delta-and-s3-in-adapters", "node/atoll_node/engine/planted.py", "import deltalake"),
    "the planner imports a parser of SQL": (
        "spark-in-its-adapter", "node/atoll_node/engine/planted.py", "import sqlglot"),
    "the gate opens a connection": (
        "http-in-adapters", "node/atoll_node/disclosure/planted.py", "import httpx"),
    "a hub rule imports SQLAlchemy": (
        "hub-rules-are-pure", "hub/atoll_hub/queries/rules.py", "import sqlalchemy"),
    "the merge imports FastAPI": (
        "hub-rules-are-pure", "hub/atoll_hub/queries/merge.py", "import fastapi"),
    "accounts know queries": (
        "hub-features-one-way", "hub/atoll_hub/accounts/service.py", "import atoll_hub.queries.rules"),
    "the SDK pulls in DuckDB": (
        "sdk-is-light", "sdk/atoll/planted.py", "import duckdb"),
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests/architecture", copy / "tests/architecture")
    (copy / "tests/__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(house: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(house / package.split("/")[0]) for package in PACKAGES)
    only = ["--contract", contract] if contract else []
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", *only],
        cwd=house, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_house_keeps_its_laws(house: Path) -> None:
    done = lint(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("breach", BREACHES)
def test_a_planted_breach_is_found(house: Path, breach: str) -> None:
    contract, file, line = BREACHES[breach]
    place = house / file
    before = place.read_text(encoding="utf-8") if place.exists() else None
    place.write_text((before or "") + f"\n{line}\n", encoding="utf-8")
    try:
        done = lint(house, contract)
    finally:
        if before is None:
            place.unlink()
        else:
            place.write_text(before, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_every_contract_has_a_planted_breach() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = {line.split('"')[1] for line in settings.splitlines() if line.startswith('id = "')}
    assert contracts == {contract for contract, _, _ in BREACHES.values()}
