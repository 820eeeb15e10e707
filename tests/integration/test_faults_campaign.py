"""A short campaign of faults on a real store, and proof that its checks can fail."""

import random

import pytest

from atoll_node.home import Home
from atoll_node.tables.places import places_of
from atoll_node.tables.writer import Lake
from bench.faults.campaign import Outcome, Plan, campaign
from bench.faults.kinds import ALL, PROCESSES, REQUESTS, Harmful
from bench.faults.truth import Pinned, Truth
from bench.faults.writer import SPEC, mark_of, rows_of, write_batch
from tests.support.hospital import now
from tests.support.minio import running_minio
from tests.support.unsafe_store import Reply, Request

HARMLESS = Reply(200, {}, b"whole")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture
def lake(server, tmp_path) -> Lake:
    """A lake with three batches."""
    store = server.store(tmp_path / "keys", prefix=tmp_path.name)
    lake = Lake(places_of(Home(tmp_path), store), "faults", tmp_path / "scratch")
    for batch in range(3):
        write_batch(lake, batch, now())
    return lake


def test_a_sound_lake_has_no_breach(server, lake):
    truth = Truth(server, lake)

    assert truth.breaches(range(3), 3, [truth.pin()]) == []


def test_the_same_batch_again_is_known(server, lake):
    version = lake.table(SPEC).next_version
    write_batch(lake, 1, now())

    assert lake.table(SPEC).next_version == version


def test_a_lost_batch_is_found(server, lake):
    assert Truth(server, lake).breaches(range(4), 4, ()) == ["batch 3 was acknowledged and is gone"]


def test_a_doubled_batch_is_found(server, lake):
    target = lake.table(SPEC)
    lake.commit(target, rows_of(2), (mark_of(99),), removed=(), content=99, written_at=0)

    assert Truth(server, lake).breaches(range(3), 3, ()) == ["batch 2 has (8, 4) rows"]


def test_a_batch_from_nowhere_is_found(server, lake):
    assert Truth(server, lake).breaches(range(2), 2, ()) == ["batch 2 was never written"]


def test_a_missing_version_is_found(server, lake):
    log = lake.table(SPEC).uri.removeprefix("s3://atoll/") + "/_delta_log/00000000000000000001.json"
    truth = Truth(server, lake)
    server.client.remove_object("atoll", log)

    assert truth._gaps() == ["the log has a gap"]


def test_a_release_with_other_bytes_is_found(server, lake):
    truth = Truth(server, lake)
    pinned = truth.pin()

    assert truth.breaches(range(3), 3, [Pinned(pinned.table, "0")]) == [
        "release at version 2 has other bytes"
    ]


@pytest.mark.parametrize("kind", sorted(REQUESTS))
def test_each_fault_of_a_request_harms_it(kind):
    harm = Harmful(kind, 1.0, random.Random(1))
    request = Request("PUT", "/atoll/x.parquet", {}, b"body")

    try:
        reply = harm(request, lambda _: HARMLESS)
    except ConnectionResetError:
        reply = None
    assert harm.done == 1
    assert kind == "stalls" or reply != HARMLESS


def test_reads_are_spared_where_only_writes_are_harmed():
    harm = Harmful("read-only bucket", 1.0, random.Random(1))

    assert harm(Request("GET", "/atoll/x", {}, b""), lambda _: HARMLESS) == HARMLESS
    assert harm.done == 0


def test_the_same_seed_draws_the_same_requests():
    def drawn(seed):
        harm = Harmful("500", 0.3, random.Random(seed))
        return [harm(Request("PUT", "/", {}, b""), lambda _: HARMLESS).status for _ in range(50)]

    assert drawn(4) == drawn(4) != drawn(5)


def test_requests_and_processes_make_all_kinds():
    assert set(ALL) == {*REQUESTS, *PROCESSES}


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("cut after the commit", "writer killed"), ("ingest killed",)])
def test_nothing_is_lost_or_doubled_under_the_worst_of_them(tmp_path, kinds):
    outcome: Outcome = campaign(running_minio, tmp_path, commits=12, seed=2, plan=Plan(kinds=kinds))

    assert outcome.breaches == []
    assert outcome.commits >= 12
