"""Keep what a store was seen to do, with its identity. Loads no library of stores: `status` reads it."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from atoll_node.store.verdict import Verdict


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Kept):
    """What makes it the same store: where it is, what it calls itself, and the mark that lies in it."""

    endpoint: str
    bucket: str
    prefix: str
    path_style: bool
    server: str
    mark: str


class Proof(_Kept):
    """What a store was seen to do."""

    identity: Identity
    at: datetime
    verdicts: tuple[Verdict, ...]

    @property
    def safe(self) -> bool:
        """Whether every verdict is good."""
        return all(verdict.safe for verdict in self.verdicts)


def read_proof(file: Path) -> Proof | None:
    """Return the kept proof; ``None`` when there is none, or none that can be read."""
    try:
        return Proof.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
