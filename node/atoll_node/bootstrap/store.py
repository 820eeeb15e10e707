"""Wire the store: prove that it may hold the lake, before anything is written to it."""

import logging

from atoll_node.bootstrap import Node, write_whole
from atoll_node.errors import LakeError
from atoll_node.settings import FolderStore
from atoll_node.store.delta_adapter import race_commits
from atoll_node.store.proof import Proof, UnsafeStore, prove, read_proof, refuse_unsafe
from atoll_node.store.s3_adapter import S3Bucket
from atoll_node.tables.places import places_of

log = logging.getLogger(__name__)


def prove_store(node: Node, *, again: bool = False) -> Proof | None:
    """Try the S3 store and keep what was seen; ``None`` for a folder. ``again``: as if none was kept."""
    store = node.settings.store
    if isinstance(store, FolderStore):
        return None
    places = places_of(node.home, store)
    if places.keys is None:
        return None
    kept = None if again else read_proof(node.home.store_proof)
    proof = prove(
        store,
        S3Bucket(store, places.keys),
        lambda key: race_commits(places, f"s3://{store.bucket}/{key}"),
        kept,
        new_id=node.world.new_id,
        clock=node.world.clock,
    )
    if proof is not kept:
        write_whole(node.home.store_proof, proof.model_dump_json(indent=2))
    return proof


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
