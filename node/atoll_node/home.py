"""Name the places in a node's home folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """A node's folder: settings, secrets (0700), state, lake, quarantine."""

    root: Path

    @property
    def secrets(self) -> Path:
        """The folder of key files, mode 0700; each file is 0600."""
        return self.root / "secrets"

    @property
    def pseudonym_key(self) -> Path:
        """32 random bytes that key pseudonyms and date shifts, made at ``init``."""
        return self.secrets / "pseudonym.key"

    @property
    def node_key(self) -> Path:
        """The node's EC P-256 private key (PEM, PKCS 8)."""
        return self.secrets / "node.pem"

    @property
    def enrolment(self) -> Path:
        """What the hub said at enrolment (``Enrolled`` as JSON)."""
        return self.root / "enrolment.json"

    @property
    def state(self) -> Path:
        """SQLite: permits, answers, outbound messages, ledger, audit chain."""
        return self.root / "state" / "node.sqlite"

    @property
    def releases(self) -> Path:
        """One JSON file per release, below the dataset's folder."""
        return self.root / "releases"

    @property
    def moves(self) -> Path:
        """Where the lake lay before (JSON), beside the releases that name those places."""
        return self.releases / "moves.json"

    @property
    def quarantine(self) -> Path:
        """Records that could not be taken, with their reasons; one folder per dataset."""
        return self.root / "quarantine"

    @property
    def forgotten(self) -> Path:
        """Keyed numbers of persons who were forgotten: later ingests leave them out (JSON)."""
        return self.root / "state" / "forgotten.json"

    @property
    def proofs(self) -> Path:
        """One JSON file per erasure: what was searched, what is gone, and nobody's name."""
        return self.root / "proofs"

    @property
    def logs(self) -> Path:
        """Rotating log files: one JSON line an event."""
        return self.root / "logs"

    @property
    def standing(self) -> Path:
        """How the node stood with the hub when it last spoke (JSON); ``status`` reads it."""
        return self.root / "state" / "standing.json"

    @property
    def running_lock(self) -> Path:
        """Held by ``up``, so that one node runs once."""
        return self.root / "state" / "up.lock"

    @property
    def store_proof(self) -> Path:
        """What the S3 store was seen to do when writers raced (JSON), with the store's identity."""
        return self.root / "state" / "store.json"

    @property
    def scratch(self) -> Path:
        """Staged and spilled data; emptied at start."""
        return self.root / "scratch"
