"""The whole way in and out on two real S3 stores over TLS of a private authority equals a folder's."""

import logging
import os
import time
from functools import partial

import duckdb
import pytest

from atoll_node.catalog import describe, profile_of
from atoll_node.catalog.duckdb_adapter import opened
from atoll_node.disclosure import clear_parts
from atoll_node.engine import DuckDbEngine, S3Access
from atoll_node.engine.connection import reach
from atoll_node.errors import LakeError, NodeError
from atoll_node.settings import EngineSettings, GateSettings
from atoll_node.tables.places import places_of
from atoll_schemas.query import Count, Crosstab, KaplanMeier, Outcome, Table1
from tests.support.hospital import hospital, small_export
from tests.support.minio import ACCESS, BUCKET, SECRET, running_minio
from tests.support.questions import cohort, concept_set, query, variable
from tests.support.same_aggregates import differences
from tests.support.scripted_hub import private_ca
from tests.support.versity import running_versity

ENGINE = EngineSettings(memory="500MB", threads=1)
SEX = variable("sex", {"kind": "demographic", "field": "sex"})
AGE = variable("age", {"kind": "demographic", "field": "age"}, edges=[0, 60, 64, 120])
LABS = concept_set(0, 3000963)
DEATH = Outcome.model_validate({"name": "death", "definition": {"kind": "death"}})
QUESTIONS = {
    "everybody": query(dataset="lab"),
    "by sex": query(analysis=Count(by=(SEX,)), dataset="lab"),
    "labs": query(cohort({"Measurement": {"CodesetId": 0}}, ConceptSets=[LABS], Entry="All"), dataset="lab"),
    "crosstab": query(analysis=Crosstab(variables=(SEX, AGE)), dataset="lab"),
    "table 1": query(analysis=Table1(variables=(SEX, AGE)), dataset="lab"),
    "survival": query(analysis=KaplanMeier(outcome=DEATH, by=SEX), dataset="lab"),
}


def export():
    tables = small_export(persons=40)
    for row in tables["person"]:
        row["gender_concept_id"] = 8507 if row["person_id"] % 3 else 8532
    tables["death"] = [
        {"person_id": n, "death_date": f"2018-03-{n % 28 + 1:02d}", "cause_source_value": "C18"}
        for n in range(1, 26)
    ]
    return tables


SERVERS = {"minio": running_minio, "versitygw": running_versity}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    with SERVERS[request.param](folder / "data", authority=private_ca(folder / "ca")) as running:
        yield running


@pytest.fixture(scope="module")
def places(server, tmp_path_factory):
    """The same export, ingested and released in the bucket and in a folder."""
    root = tmp_path_factory.mktemp("sites")
    remote = hospital(root / "remote", store=server.store(root / "keys", prefix="one"))
    local = hospital(root / "local")
    for place in (remote, local):
        place.export(export())
        place.ingest()
    return remote, local


@pytest.fixture(scope="module")
def releases(places):
    remote, local = places
    return remote.release(), local.release()


def access(place) -> S3Access:
    found = places_of(place.home, place.store)
    return S3Access(
        endpoint=found.s3.endpoint,
        access_key=found.keys.access,
        secret_key=found.keys.secret,
        region=found.s3.region,
        path_style=found.s3.path_style,
        ca_file=found.s3.ca_file,
    )


@pytest.fixture(scope="module")
def engines(places, tmp_path_factory):
    remote, _ = places
    scratch = tmp_path_factory.mktemp("engines")
    found = DuckDbEngine(ENGINE, scratch / "a", access(remote)), DuckDbEngine(ENGINE, scratch / "b")
    yield found
    for engine in found:
        engine.close()


def catalog(release, prepare=None):
    with opened(release, ENGINE, prepare=prepare) as view:
        profile = profile_of(view, release)
    return describe(
        profile, release, title="Lab", description="", settings=GateSettings(), clear_parts=clear_parts
    )


def test_the_releases_are_one_but_for_their_place(releases):
    there, here = releases

    assert there.content_digest == here.content_digest
    assert there.quality == here.quality
    assert [table.uri for table in there.tables] == [
        f"s3://{BUCKET}/one/lab/{table.name}" for table in here.tables
    ]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_has_the_folder_s_answer(releases, engines, name):
    there, here = (
        engine.run(QUESTIONS[name], release, clock=time.monotonic)
        for engine, release in zip(engines, releases, strict=True)
    )

    assert differences(there, here) == []
    assert len(there.members) > 0


def test_the_catalog_is_the_folder_s(places, releases):
    remote, _ = places
    there, here = releases

    assert catalog(there, partial(reach, s3=access(remote))) == catalog(here)
    assert catalog(here).persons.value == 40


def test_the_bucket_holds_exactly_what_the_release_pins(server, releases):
    there, _ = releases
    objects = server.client.list_objects(BUCKET, prefix="one/", recursive=True)
    stored = {f"s3://{BUCKET}/{one.object_name}": one.size for one in objects}

    data = {path: size for path, size in stored.items() if path.endswith(".parquet")}

    assert data == {
        path: file.bytes
        for table in there.tables
        for path, file in zip(table.paths(), table.files, strict=True)
    }


def test_an_earlier_release_is_read_after_later_ingests(server, tmp_path):
    place = hospital(tmp_path / "node", store=server.store(tmp_path / "keys", prefix="earlier"))
    place.export(export())
    place.ingest()
    first = place.release()
    place.export(small_export(persons=3))
    place.ingest()
    second = place.release()

    engine = DuckDbEngine(ENGINE, tmp_path / "scratch", access(place))
    found = [
        engine.run(query(dataset="lab"), release, clock=time.monotonic).analysis.persons
        for release in (first, second)
    ]
    engine.close()

    assert found == [40, 3]
    assert second.table("death").rows == 0


def test_scratch_holds_nothing_of_the_bucket_afterwards(places):
    remote, _ = places

    assert not [file for file in remote.home.scratch.rglob("*") if file.is_file()]
    assert not list((remote.home.root).glob("lake/**/*.parquet"))


def test_the_private_authority_is_not_left_in_the_environment(releases):
    assert "SSL_CERT_FILE" not in os.environ or "store" not in os.environ["SSL_CERT_FILE"]


def test_a_store_of_an_unknown_authority_is_not_spoken_to(server, tmp_path):
    store = server.store(tmp_path / "keys", prefix="stranger").model_copy(update={"ca_file": None})
    place = hospital(tmp_path / "node", store=store)
    place.export(small_export())

    with pytest.raises(LakeError) as refused:
        place.ingest()

    assert refused.value.code == "lake.unreachable"


@pytest.fixture
def everything_logged():
    """Catch every record of every library at its lowest level."""
    seen: list[str] = []

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(f"{record.getMessage()} {record.args} {record.exc_text}")

    root, handler = logging.getLogger(), Seen(0)
    level = root.level
    root.addHandler(handler)
    root.setLevel(0)
    yield seen
    root.removeHandler(handler)
    root.setLevel(level)


def chain(error: BaseException | None) -> str:
    texts = []
    while error is not None:
        texts += [repr(error), str(error), *map(str, vars(error).values())]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


def test_keys_are_in_no_log_while_all_goes_well(server, tmp_path, everything_logged):
    place = hospital(tmp_path / "node", store=server.store(tmp_path / "keys", prefix="quiet"))
    place.export(small_export())
    place.ingest()
    release = place.release()
    engine = DuckDbEngine(ENGINE, tmp_path / "scratch", access(place))
    engine.run(query(dataset="lab"), release, clock=time.monotonic)

    told = [engine.explain(query(dataset="lab"), release), repr(access(place)), release.model_dump_json()]
    engine.close()

    for text in (*everything_logged, *told):
        assert SECRET not in text
        assert ACCESS not in text


def test_keys_are_in_no_statement_that_duckdb_sees(places):
    remote, _ = places
    with duckdb.connect(":memory:") as database:
        database.execute("CALL enable_logging('QueryLog')")
        reach(database, access(remote))
        statements = database.execute("SELECT string_agg(message, chr(10)) FROM duckdb_logs").fetchone()[0]

    assert "CREATE SECRET" in statements
    assert SECRET not in statements
    assert ACCESS not in statements


@pytest.mark.parametrize("missing", ["a wrong secret", "no bucket", "nobody answers"])
def test_keys_are_in_no_error_when_the_store_fails(server, tmp_path, everything_logged, missing):
    store = server.store(tmp_path / "keys", prefix="loud")
    secret = SECRET
    if missing == "a wrong secret":
        secret = "maquila-7-wrong"
        (tmp_path / "keys" / "secret").write_text(secret)
    elif missing == "no bucket":
        store = store.model_copy(update={"bucket": "absent"})
    else:
        store = store.model_copy(update={"endpoint": "https://127.0.0.1:9"})
    place = hospital(tmp_path / "node", store=store)
    place.export(small_export())

    with pytest.raises(NodeError) as failed:
        place.ingest()

    for text in (chain(failed.value), *everything_logged):
        assert secret not in text
    assert failed.value.code in {"lake.unreachable", "lake.commit", "store.failed"}
    assert failed.value.next_step


def test_an_object_that_is_gone_is_a_clear_failure(server, tmp_path):
    place = hospital(tmp_path / "node", store=server.store(tmp_path / "keys", prefix="gone"))
    place.export(small_export())
    place.ingest()
    release = place.release()
    (path,) = release.table("person").paths()
    server.client.remove_object(BUCKET, path.removeprefix(f"s3://{BUCKET}/"))

    engine = DuckDbEngine(ENGINE, tmp_path / "scratch", access(place))
    sexes = query(analysis=Count(by=(SEX,)), dataset="lab")
    with pytest.raises(NodeError) as failed:
        engine.run(sexes, release, clock=time.monotonic)
    engine.close()
    with pytest.raises(LakeError) as unreleased:
        place.release()

    assert failed.value.code.startswith("engine.")
    assert unreleased.value.code == "quality.failed"
    assert unreleased.value.next_step
    assert SECRET not in chain(failed.value) + chain(unreleased.value)
