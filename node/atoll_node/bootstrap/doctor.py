"""Wire the doctor: each line with what it looks at, in the order in which one leans on another."""

import json
from functools import partial

from atoll_node.agent.client import checked_hub
from atoll_node.bootstrap import World, is_running, read_enrolment
from atoll_node.bootstrap.examined import Machine, Subject
from atoll_node.bootstrap.releases import access_of, spark_of
from atoll_node.doctor import home as of_home
from atoll_node.doctor import machine as of_machine
from atoll_node.doctor import network as of_network
from atoll_node.doctor import store as of_store
from atoll_node.doctor.duckdb_adapter import Prepare, read_with_spill
from atoll_node.doctor.examination import Finding, Line, blocker, ok
from atoll_node.doctor.network_adapter import (
    ProxyDeclined,
    address_of,
    certificate_of,
    resolved,
    through,
)
from atoll_node.engine.choice import examine_spark
from atoll_node.engine.connection import reach
from atoll_node.errors import LakeError, SettingsError
from atoll_node.home import Home
from atoll_node.moves import Moves
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_node.settings import FolderStore, S3Store
from atoll_node.store.delta_adapter import live_files, race_commits
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.s3_adapter import Versioning
from atoll_node.tables.places import Places

_CANNOT_TELL = frozenset({"store.not_implemented", "store.denied", "store.failed"})


def lines_of(home: Home, world: World, machine: Machine | None = None) -> tuple[Line, ...]:
    """Return the doctor's lines for a node's home."""
    subject = Subject(home, world, machine or Machine())
    return (*_of_home(subject), *_of_network(subject), *_of_store(subject), *_of_machine(subject))


def _of_home(subject: Subject) -> tuple[Line, ...]:
    return (
        Line("configuration", lambda: of_home.configuration(subject.settings)),
        Line("secret files", partial(_secret_files, subject), ("configuration",)),
    )


def _secret_files(subject: Subject) -> Finding:
    store = subject.settings.store
    keys = () if isinstance(store, FolderStore) else (store.access_key_file, store.secret_key_file)
    spark = subject.settings.spark
    if spark is not None and spark.token_file is not None:
        keys = (*keys, spark.token_file)
    if subject.places.keys is not None and not subject.places.keys.access:
        return blocker("the access key's file is empty", "write the store's access key into it")
    return of_home.secret_files(subject.home, keys)


def _of_network(subject: Subject) -> tuple[Line, ...]:
    return (
        Line("DNS", partial(_names, subject), ("configuration",)),
        Line("proxy", partial(_proxy, subject), ("DNS",)),
        Line("TLS chain", partial(_chain, subject), ("DNS", "proxy")),
        Line("TLS interception", partial(_interception, subject), ("DNS", "proxy")),
        Line("hub", partial(_hub, subject), ("DNS", "proxy", "TLS chain")),
        Line("protocol version", partial(_protocol, subject), ("hub",)),
        Line("clock", partial(_clock, subject), ("hub",)),
    )


def _names(subject: Subject) -> Finding:
    settings = subject.settings
    wanted = [subject.proxy or checked_hub(settings.hub)]
    if isinstance(settings.store, S3Store):
        wanted.append(settings.store.endpoint)
    addresses = [address_of(url) for url in wanted]
    return of_network.names({one.host: resolved(one) for one in addresses})


def _proxy(subject: Subject) -> Finding:
    if subject.proxy is None:
        return of_network.no_proxy()
    address = address_of(subject.settings.hub)
    try:
        through(address, subject.proxy)
    except ProxyDeclined as declined:
        return of_network.proxy_declined(declined.status, address.host)
    except OSError:
        return of_network.proxy_away()
    return of_network.proxy_let_through()


def _chain(subject: Subject) -> Finding:
    if not address_of(subject.settings.hub).tls:
        return of_network.plain("the hub")
    certificate = subject.certificate
    if certificate is None:
        return of_network.nobody_there("the hub", "hub")
    return of_network.chain(certificate, "network.ca_file", subject.world.clock())


def _interception(subject: Subject) -> Finding:
    if not address_of(subject.settings.hub).tls:
        return of_network.plain("the hub")
    if subject.certificate is None:
        return of_network.nobody_there("the hub", "hub")
    return of_network.interception(subject.certificate)


def _hub(subject: Subject) -> Finding:
    health, _ = subject.health
    try:
        enrolled: str | None = read_enrolment(subject.home).hub_id
    except SettingsError as error:
        if error.code != "node.not_enrolled":
            raise
        enrolled = None
    return of_network.hub(health.hub_id, enrolled)


def _protocol(subject: Subject) -> Finding:
    health, _ = subject.health
    return of_network.protocol(health.protocol, health.software)


def _clock(subject: Subject) -> Finding:
    _, told = subject.health
    return of_network.clock(subject.world.clock(), told)


def _of_store(subject: Subject) -> tuple[Line, ...]:
    first = "store: credentials"
    return (
        Line("store: TLS", partial(_store_chain, subject), ("configuration",)),
        Line(first, partial(_credentials, subject), ("secret files", "store: TLS")),
        Line("store: free space", partial(_room, subject), (first,)),
        Line("store: multipart", partial(_multipart, subject), (first, "store: free space")),
        Line(
            "store: list after write",
            lambda: of_store.list_after_write(subject.bucket, subject.own),
            (first,),
        ),
        Line("store: versioning", partial(_versioning, subject), (first,)),
        Line("store: conditional PUT", partial(_verdict, subject, "store.condition"), (first,)),
        Line("store: raced PUT", partial(_verdict, subject, "store.race"), ("store: conditional PUT",)),
        Line("Delta race", partial(_verdict, subject, "store.commits"), ("store: raced PUT",)),
        Line("DuckDB reads Delta and spills", partial(_duckdb, subject), ("Delta race",)),
        Line("Spark Connect", partial(_spark, subject), ("configuration", "secret files")),
        Line("old lakes", partial(_old_lakes, subject), ("secret files",)),
    )


def _store_chain(subject: Subject) -> Finding:
    store = subject.settings.store
    if isinstance(store, FolderStore):
        return ok("the lake is a folder of this machine")
    address = address_of(store.endpoint)
    try:
        if not address.tls:
            through(address, None)
            return of_store.without_tls(address.host)
        certificate = certificate_of(address, None, store.ca_file)
    except OSError:
        return of_network.nobody_there("the store", "store.endpoint")
    return of_network.chain(certificate, "store.ca_file", subject.world.clock())


def _credentials(subject: Subject) -> Finding:
    told = "the node can write, read and delete in the folder of its lake"
    if isinstance(subject.settings.store, S3Store):
        told = "the key can write, read and delete below the prefix"
    return of_store.credentials(subject.bucket, f"{subject.own}-key", told=told)


def _room(subject: Subject) -> Finding:
    if isinstance(subject.bucket, FolderBucket):
        return of_store.room_of_folder(subject.machine.volume(subject.bucket.root))
    return of_store.room(subject.bucket, f"{subject.own}-room")


def _multipart(subject: Subject) -> Finding:
    if isinstance(subject.bucket, FolderBucket):
        return ok("a folder takes files of any size")
    return of_store.multipart(subject.bucket, f"{subject.own}-parts")


def _versioning(subject: Subject) -> Finding:
    if isinstance(subject.bucket, FolderBucket):
        return of_store.versioning(Versioning(on=False))
    try:
        found: Versioning | None = subject.bucket.versioning()
    except LakeError as error:
        if error.code not in _CANNOT_TELL:
            raise
        found = None
    return of_store.versioning(found)


def _verdict(subject: Subject, good: str) -> Finding:
    return of_store.from_verdict(subject.verdicts, good)


def _duckdb(subject: Subject) -> Finding:
    place = f"{subject.own}-duckdb"
    try:
        written = race_commits(subject.places, subject.uri(place), writers=1, commits=3)
        files = live_files(subject.places, subject.uri(place))
        seen = read_with_spill(
            files, subject.settings.engine, subject.home.scratch, _reaching(subject.places)
        )
    finally:
        subject.bucket.remove([one.key for one in subject.bucket.list(f"{place}/")])
    if seen.rows != written.acknowledged or seen.spilled == 0:
        return blocker(
            f"DuckDB read {seen.rows} of {written.acknowledged} rows and spilled {seen.spilled} bytes",
            "see that scratch/ in the node's home can be written",
        )
    return ok(f"DuckDB read a Delta table, and spilled {seen.spilled // 1_000_000} MB to disk")


def _spark(subject: Subject) -> Finding:
    settings = subject.settings
    access = spark_of(settings)
    if access is None:
        return ok("the node does not use one")
    release = _newest(subject)
    examine_spark(access, release, SPARK_SECONDS)
    read = "there is no release yet to read" if release is None else f"reads {release.name}"
    return ok(f"{access.address} keeps rows between statements; {read}")


SPARK_SECONDS = 10.0
"""Less than a line may take, so that it is told what was waited for."""


def _newest(subject: Subject) -> Release | None:
    releases = Releases(subject.home)
    found = [releases.load(names[-1]) for names in map(releases.answering, _datasets(subject)) if names]
    return max(found, key=lambda release: release.created_at, default=None)


def _datasets(subject: Subject) -> tuple[str, ...]:
    return tuple(dataset.name for dataset in subject.settings.datasets)


def _reaching(places: Places) -> Prepare | None:
    access = access_of(places)
    return None if access is None else partial(reach, s3=access)


def _old_lakes(subject: Subject) -> Finding:
    return of_home.old_lakes(Moves(subject.home).all(), subject.places.root)


def _of_machine(subject: Subject) -> tuple[Line, ...]:
    return (
        Line(
            "memory",
            lambda: of_machine.memory(
                subject.settings.engine, subject.settings.agent, subject.machine.memory()
            ),
            ("configuration",),
        ),
        Line("disk", lambda: of_machine.disk(subject.settings.engine, subject.volume), ("configuration",)),
        Line("inodes", lambda: of_machine.inodes(subject.volume), ("configuration",)),
        Line("open files", lambda: of_machine.open_files(subject.machine.open_files())),
        Line("listening ports", partial(_listening, subject), ("configuration",)),
    )


def _listening(subject: Subject) -> Finding:
    home = subject.home
    if not is_running(home) or not home.standing.exists():
        return of_machine.listening((), running=False)
    process = json.loads(home.standing.read_text(encoding="utf-8"))["process"]
    return of_machine.listening(subject.machine.listeners(int(process)), running=True)
