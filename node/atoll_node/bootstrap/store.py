"""Wire the store: prove that it may hold the lake, before anything is written to it."""

import logging
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from atoll_node.bootstrap import Node, World, write_whole
from atoll_node.errors import LakeError, SettingsError
from atoll_node.home import Home
from atoll_node.settings import FolderStore, S3Store
from atoll_node.store.kept_proof import Proof, read_proof
from atoll_node.store.minio_admin_adapter import make_user
from atoll_node.store.policy import least_policy
from atoll_node.store.proof import UnsafeStore, own_folder, prove, refuse_unsafe
from atoll_node.store.race import Commits
from atoll_node.store.s3_adapter import S3Bucket, Versioning
from atoll_node.store.setup import Seen, Step, Wish, days_kept, planned
from atoll_node.tables.places import Places, S3Keys, keys_of, places_of

_NO_KEY = frozenset({"store.keys", "store.denied", "store.no_bucket"})
log = logging.getLogger(__name__)


def prove_store(node: Node, *, again: bool = False) -> Proof | None:
    """Try the S3 store and keep what was seen; ``None`` for a folder. ``again``: as if none was kept."""
    store = node.settings.store
    if isinstance(store, FolderStore):
        return None
    return proven(node.home, store, node.world, again=again)


def proven(home: Home, store: S3Store, world: World, *, again: bool) -> Proof:
    """Try a store, and keep what was seen in the node's home."""
    kept = None if again else read_proof(home.store_proof)
    proof = _tried(home, store, world, kept)
    if proof is not kept:
        write_whole(home.store_proof, proof.model_dump_json(indent=2))
    return proof


def prove_other(node: Node, store: S3Store) -> None:
    """Try a store that the node does not use yet. Raises ``UnsafeStore``."""
    refuse_unsafe(_tried(node.home, store, node.world, None))


def _tried(home: Home, store: S3Store, world: World, kept: Proof | None) -> Proof:
    places, keys = places_of(home, store), keys_of(store.access_key_file, store.secret_key_file)
    return prove(
        store,
        S3Bucket(store, keys),
        lambda key: _raced(places, f"s3://{store.bucket}/{key}"),
        kept,
        new_id=world.new_id,
        clock=world.clock,
    )


def _raced(places: Places, uri: str) -> Commits:
    """Let Delta writers race. deltalake loads only then: a node whose store is proven starts without it."""
    commits: Commits = import_module("atoll_node.store.delta_adapter").race_commits(places, uri)
    return commits


def require_safe_store(node: Node) -> None:
    """Raise ``UnsafeStore`` when the store may not hold tables. Called before each ingest."""
    proof = prove_store(node)
    if proof is not None:
        refuse_unsafe(proof)


def warn_of_store(node: Node) -> None:
    """Refuse an unsafe store when the node comes up; one that does not answer yet is only said.

    `up` writes no tables. A store that starts a minute after the node must not keep the node from its hub,
    and each ingest proves the store anyway.
    """
    try:
        require_safe_store(node)
    except UnsafeStore:
        raise
    except LakeError as error:
        log.warning("the store could not be tried", extra={"code": error.code})


@dataclass(frozen=True)
class Preparation:
    """What a store needs: the steps, and the policy for the node's key."""

    store: S3Store
    steps: tuple[Step, ...]
    policy: dict[str, Any]
    node_keys: S3Keys
    administrator: S3Keys | None
    wish: Wish


def plan_store(
    node: Node, *, keep_deleted: int | None, administrator: tuple[Path, Path] | None
) -> Preparation:
    """Look at the S3 store and plan what it needs; changes nothing."""
    store = node.settings.store
    places = places_of(node.home, store)
    if isinstance(store, FolderStore) or places.keys is None:
        raise SettingsError("store.folder", "this node's lake is a folder, which needs no preparation")
    admin = keys_of(*administrator) if administrator else None
    bucket = S3Bucket(store, admin or places.keys)
    there = _is_there(bucket, own_folder(store), by_administrator=admin is not None)
    seen = Seen(
        bucket=there,
        versioning=_versioning(bucket) if there else Versioning(on=False),
        key_works=bool(there)
        and _key_works(S3Bucket(store, places.keys), own_folder(store), node.world.new_id()),
        makes_users=bucket.server_name().startswith("MinIO"),
    )
    wish = Wish(keep_deleted, by_administrator=admin is not None)
    return Preparation(store, planned(seen, wish), least_policy(store), places.keys, admin, wish)


def prepare_store(preparation: Preparation) -> None:
    """Do every step that is to be done. Doing it again changes nothing more."""
    store = preparation.store
    bucket = S3Bucket(store, preparation.administrator or preparation.node_keys)
    for step in preparation.steps:
        if step.state != "to do":
            continue
        if step.name == "bucket":
            bucket.make()
        elif step.name == "versions":
            bucket.keep_versions(days_kept(preparation.wish))
        elif preparation.administrator is not None:
            make_user(store, preparation.administrator, preparation.node_keys)


def _is_there(bucket: S3Bucket, own: str, *, by_administrator: bool) -> bool | None:
    """Whether the bucket is there; ``None`` when the store does not tell the node's key."""
    try:
        next(bucket.list(f"{own}/"), None)
    except LakeError as error:
        if error.code == "store.no_bucket":
            return False
        if error.code in _NO_KEY and not by_administrator:
            return None
        raise
    return True


def _versioning(bucket: S3Bucket) -> Versioning | None:
    try:
        return bucket.versioning()
    except LakeError as error:
        if error.code not in ("store.not_implemented", "store.denied", "store.failed"):
            raise
        return None


def _key_works(bucket: S3Bucket, own: str, name: str) -> bool:
    """Whether the key can write, list, read and delete below the prefix."""
    key = f"{own}/key-{name}"
    try:
        bucket.put(key, b"atoll")
        works = [one.key for one in bucket.list(key)] == [key] and bucket.get(key) == b"atoll"
        bucket.remove([key])
    except LakeError as error:
        if error.code not in _NO_KEY:
            raise
        return False
    return works
