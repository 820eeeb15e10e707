"""Wire forgetting: the lake, the ledger, new releases with their catalog, and the record of it."""

from collections.abc import Callable, Iterable

from atoll_node.audit import Decision
from atoll_node.bootstrap import Node
from atoll_node.bootstrap.data import release_dataset
from atoll_node.bootstrap.store import require_safe_store
from atoll_node.disclosure import LedgerStore
from atoll_node.erasure.proof import ErasureProof
from atoll_node.errors import LakeError
from atoll_node.forget import Forgetting, forget


def forget_persons(node: Node, identifiers: tuple[str, ...]) -> ErasureProof:
    """Forget the persons and put on record that it was done; the record names nobody.

    Refuses a store that loses commits: one of them could be this.
    """
    require_safe_store(node)
    datasets = {dataset.name: dataset for dataset in node.settings.datasets}

    def cut(name: str) -> str | None:
        if name not in datasets:
            return None
        try:
            return release_dataset(node, datasets[name]).name
        except LakeError:
            # A dataset whose last ingest did not end gets its release when it is ingested and released.
            return None

    work = Forgetting(
        node=node.settings,
        home=node.home,
        clock=node.world.clock,
        new_id=node.world.new_id,
        stand_in=lambda: int.from_bytes(node.world.random_bytes(8), "big") >> 1,
        forget_in_ledger=_in_ledger(node),
        cut=cut,
    )
    proof = forget(identifiers, work)
    for dataset in proof.datasets:
        for name in dataset.withdrawn:
            facts = {"successor": dataset.successor, "proof": proof.id}
            node.audit.record(Decision("release.withdrawn", "operator", name, facts))
    node.audit.record(Decision("person.forgotten", "operator", proof.id, {"proof": proof.digest()}))
    return proof


def _in_ledger(node: Node) -> Callable[[Iterable[int], Callable[[], int]], int]:
    def replaced(persons: Iterable[int], stand_in: Callable[[], int]) -> int:
        ledger = LedgerStore(node.home.state)
        try:
            return ledger.forget(persons, stand_in)
        finally:
            ledger.close()

    return replaced
