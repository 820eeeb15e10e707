"""Which engine a release is for, what the settings must say for it, and what is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from atoll_node.bootstrap.releases import spark_of
from atoll_node.engine.choice import is_for_spark
from atoll_node.engine.spark.access import SparkAccess
from atoll_node.errors import SettingsError
from atoll_node.release import Release
from atoll_node.settings import SETTINGS_FILE, NodeSettings, SparkSettings, read_settings
from tests.support.lake import release_of

HEAD = 'site = "atoll-a"\ntitle = "A"\nhub = "https://hub.example"\n'
SPARK = SparkSettings(address="spark.hospital:15002", rows=3, tls=False)


def node(kind: str, spark: SparkSettings = SPARK) -> NodeSettings:
    content = {
        "site": "a",
        "title": "A",
        "hub": "https://hub.example",
        "engine": {"kind": kind},
        "spark": spark,
    }
    return NodeSettings.model_validate(content)


def release(folder: Path, rows: int) -> Release:
    return release_of({"person": [{"person_id": number} for number in range(rows)]}, folder)


@pytest.mark.parametrize(
    ("kind", "rows", "there"),
    [("duckdb", 9, False), ("spark", 1, True), ("by_size", 2, False), ("by_size", 3, True)],
)
def test_a_release_is_asked_where_the_settings_say(tmp_path: Path, kind: str, rows: int, there: bool) -> None:
    settings = node(kind)
    assert is_for_spark(release(tmp_path, rows), settings) is there


def written(home: Path, text: str) -> Path:
    (home / SETTINGS_FILE).write_text(HEAD + text, encoding="utf-8")
    return home


def test_a_section_of_spark_is_read_with_its_files_beside_the_settings(tmp_path: Path) -> None:
    text = (
        '[engine]\nkind = "by_size"\n[spark]\naddress = "127.0.0.1:15002"\ntls = true\n'
        'ca_file = "ca.pem"\ntoken_file = "secrets/spark"\n'
    )
    spark = read_settings(written(tmp_path, text)).spark
    assert spark is not None
    assert (spark.ca_file, spark.token_file) == (tmp_path / "ca.pem", tmp_path / "secrets/spark")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[engine]\nkind = "spark"\n', "no [spark] with an address"),
        ('[spark]\naddress = "sc://a:1/;token=x"\n', "spark.address"),
        ('[spark]\naddress = "a:1"\ntls = false\ntoken_file = "t"\n', "token_file needs tls"),
        ('[spark]\naddres = "a:1"\n', "did you mean address"),
    ],
)
def test_settings_that_mean_no_endpoint_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(written(tmp_path, text))
    assert told in str(caught.value)


def test_the_token_comes_from_its_file_and_is_in_no_text_form(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cr3t\n")
    spark = SPARK.model_copy(update={"tls": True, "token_file": file})
    access = spark_of(node("spark", spark))
    assert access is not None
    assert access.token == "s3cr3t"
    assert "s3cr3t" not in repr(access)
    file.unlink()
    with pytest.raises(SettingsError):
        spark_of(node("spark", spark))


def test_an_endpoint_that_is_not_used_is_not_reached() -> None:
    assert spark_of(node("duckdb")) is None
    assert spark_of(node("by_size")) == SparkAccess("spark.hospital:15002")


def told_by(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


def test_a_node_that_uses_duckdb_never_imports_sparks_client() -> None:
    program = """
import sys
from pathlib import Path
from atoll_node.cli import app
from atoll_node.bootstrap.answering import open_stages
from atoll_node.engine import ChosenEngine
from atoll_node.settings import NodeSettings
ChosenEngine(NodeSettings(site="a", title="A", hub="https://hub"), Path("unused"))
print(sorted({"pyspark", "sqlglot", "grpc", "pandas"} & sys.modules.keys()))
"""
    assert told_by(program) == "[]"


def test_a_client_that_is_not_installed_is_named_with_its_extra() -> None:
    program = """
import sys
from pathlib import Path
sys.modules["pyspark"] = None
from atoll_node.engine import ChosenEngine, SparkAccess
from atoll_node.errors import EngineError
from atoll_node.settings import NodeSettings
try:
    settings = NodeSettings(site="a", title="A", hub="https://hub")
    ChosenEngine(settings, Path("unused"), None, SparkAccess("127.0.0.1:9"))
except EngineError as error:
    print(error.code, error.next_step)
"""
    assert told_by(program) == "engine.spark_extra run: pip install 'atoll-node[spark]'"
