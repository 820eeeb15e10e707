"""Name the places in the hub's home folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HubHome:
    """The hub's folder: settings, secrets (0700), state, and the signed end of the audit chain."""

    root: Path

    @property
    def settings(self) -> Path:
        """The annotated settings file."""
        return self.root / "atoll-hub.toml"

    @property
    def secrets(self) -> Path:
        """The folder of key files, mode 0700; each file is 0600."""
        return self.root / "secrets"

    @property
    def signing_key(self) -> Path:
        """The EC P-256 private key that signs tasks and the audit head (PEM, PKCS 8)."""
        return self.secrets / "hub-signing.pem"

    @property
    def state(self) -> Path:
        """Where the SQLite database lies by default."""
        return self.root / "state"

    @property
    def audit_head(self) -> Path:
        """The signed end of the audit chain, apart from the chain itself."""
        return self.root / "audit" / "head.jws"
