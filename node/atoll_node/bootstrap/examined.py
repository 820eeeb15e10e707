"""Open what the doctor looks at: a node's settings, hub, store and machine, each once and when needed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path

from atoll_node.agent import HubClient
from atoll_node.agent.client import read_reply
from atoll_node.bootstrap import World
from atoll_node.bootstrap.store import proven
from atoll_node.doctor import network as of_network
from atoll_node.doctor.machine import Listener, Volume
from atoll_node.doctor.machine_adapter import listeners_of, memory_total, open_files_limit, volume_of
from atoll_node.doctor.network_adapter import (
    ProxyDeclined,
    address_of,
    certificate_of,
    proxy_of,
)
from atoll_node.home import Home
from atoll_node.outbound import Journal
from atoll_node.settings import FolderStore, NodeSettings, S3Store, read_settings
from atoll_node.state import State
from atoll_node.store.delta_adapter import race_commits
from atoll_node.store.folder_adapter import FolderBucket
from atoll_node.store.kept_proof import Proof
from atoll_node.store.proof import OWN_FOLDER, own_folder, raced_commits
from atoll_node.store.race import race
from atoll_node.store.s3_adapter import S3Bucket
from atoll_node.store.verdict import Verdict, judged_condition, judged_race
from atoll_node.tables.places import Places, keys_of, places_of
from atoll_schemas.people import Health


@dataclass(frozen=True)
class Machine:
    """The facts of this machine; a test gives others."""

    memory: Callable[[], int] = memory_total
    volume: Callable[[Path], Volume] = volume_of
    open_files: Callable[[], int] = open_files_limit
    listeners: Callable[[int], tuple[Listener, ...]] = listeners_of


class Subject:
    """The node that is examined. What several lines look at is looked at once, when the first one does."""

    def __init__(self, home: Home, world: World, machine: Machine) -> None:
        self.home = home
        self.world = world
        self.machine = machine

    @cached_property
    def settings(self) -> NodeSettings:
        """The settings, read strictly."""
        return read_settings(self.home.root)

    @cached_property
    def health(self) -> tuple[Health, datetime | None]:
        """What the hub says of itself, and its time."""
        world = self.world
        client = HubClient(
            self.settings.hub,
            self.settings.network,
            Journal(State(self.home.state), world.clock),
            clock=world.clock,
            new_id=world.new_id,
        )
        try:
            body, date = client.health()
        finally:
            client.close()
        return read_reply(Health, body), parsedate_to_datetime(date) if date else None

    @cached_property
    def certificate(self) -> of_network.Certificate | None:
        """The certificate that arrives from where the hub should be; ``None`` when nobody answers."""
        network = self.settings.network
        try:
            return certificate_of(address_of(self.settings.hub), self.proxy, network.ca_file)
        except (OSError, ProxyDeclined):
            return None

    @property
    def proxy(self) -> str | None:
        """The proxy on the way to the hub."""
        return proxy_of(self.settings.hub, self.settings.network.proxy)

    @property
    def volume(self) -> Volume:
        """The disk of the node's home."""
        return self.machine.volume(self.home.root)

    @cached_property
    def places(self) -> Places:
        """Where tables lie."""
        return places_of(self.home, self.settings.store)

    @cached_property
    def bucket(self) -> S3Bucket | FolderBucket:
        """The store, as one bucket."""
        store = self.settings.store
        if isinstance(store, FolderStore):
            return FolderBucket(Path(self.places.root))
        return S3Bucket(store, keys_of(store.access_key_file, store.secret_key_file))

    @cached_property
    def own(self) -> str:
        """A place in the store for this examination alone."""
        store = self.settings.store
        folder = OWN_FOLDER if isinstance(store, FolderStore) else own_folder(store)
        return f"{folder}/doctor-{self.world.new_id()}"

    def uri(self, key: str) -> str:
        """Return where a key of the bucket lies for a Delta writer."""
        store = self.settings.store
        root = self.places.root if isinstance(store, FolderStore) else f"s3://{store.bucket}"
        return f"{root}/{key}"

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """What the races say of the store, by code."""
        store = self.settings.store
        found = self._of_folder() if isinstance(store, FolderStore) else self._of_s3(store).verdicts
        return {verdict.code: verdict for verdict in found}

    def _of_s3(self, store: S3Store) -> Proof:
        return proven(self.home, store, self.world, again=True)

    def _of_folder(self) -> tuple[Verdict, ...]:
        bucket, mark = self.bucket, f"{self.own}-mark"
        bucket.put(mark, b"atoll")
        condition = judged_condition(bucket.put_new(mark, b"atoll"))
        bucket.remove([mark])
        raced = judged_race(race(bucket, f"{self.own}-race"))
        commits = raced_commits(
            bucket, f"{self.own}-table", lambda key: race_commits(self.places, self.uri(key))
        )
        return (condition, raced, commits)
