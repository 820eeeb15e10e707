"""Name where a dataset's tables lie: one location per dataset and table, in a folder or in S3."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from atoll_node.errors import SettingsError
from atoll_node.home import Home
from atoll_node.settings import FolderStore, S3Store

_CERTIFICATES = "SSL_CERT_FILE"
_environment = threading.RLock()


@dataclass(frozen=True)
class S3Keys:
    """An S3 key pair, read from its files and never shown."""

    access: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Places:
    """The root of a store. ``s3`` and ``keys`` are absent for a folder."""

    root: str
    s3: S3Store | None = None
    keys: S3Keys | None = None

    def table(self, dataset: str, name: str) -> str:
        """Return a table's absolute path or ``s3://`` URI."""
        return f"{self.root}/{dataset}/{name}"

    def storage_options(self) -> dict[str, str] | None:
        """Return what deltalake needs to reach the store; ``None`` for a folder."""
        if self.s3 is None or self.keys is None:
            return None
        return {
            "AWS_ENDPOINT_URL": _endpoint_for_deltalake(self.s3),
            "AWS_REGION": self.s3.region,
            "AWS_ACCESS_KEY_ID": self.keys.access,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret,
            "AWS_ALLOW_HTTP": str(self.s3.endpoint.startswith("http://")).lower(),
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(not self.s3.path_style).lower(),
            # A commit is a PUT that only wins when the version does not exist yet.
            "AWS_CONDITIONAL_PUT": "etag",
        }

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Let a client of deltalake that is made meanwhile trust ``ca_file`` for the rest of its life.

        deltalake has no option for it: its TLS reads the certificates that ``SSL_CERT_FILE`` names when a
        client is made. The variable is the process's, so it is set for that moment alone, one at a time.
        """
        if self.s3 is None or self.s3.ca_file is None:
            yield
            return
        with _environment:
            before = os.environ.get(_CERTIFICATES)
            os.environ[_CERTIFICATES] = str(self.s3.ca_file)
            try:
                yield
            finally:
                if before is None:
                    del os.environ[_CERTIFICATES]
                else:
                    os.environ[_CERTIFICATES] = before


def places_of(home: Home, store: FolderStore | S3Store) -> Places:
    """Return the places of the node's store. Raises ``SettingsError`` when a key file cannot be read."""
    if isinstance(store, FolderStore):
        return Places(root=str((home.root / store.path).resolve()))
    keys = keys_of(home.root / store.access_key_file, home.root / store.secret_key_file)
    root = "/".join(part for part in (f"s3://{store.bucket}", store.prefix.strip("/")) if part)
    return Places(root=root, s3=store, keys=keys)


def keys_of(access: Path, secret: Path) -> S3Keys:
    """Read a key pair from its two files. Raises ``SettingsError`` for one that others may read."""
    return S3Keys(access=_secret(access), secret=_secret(secret))


def _endpoint_for_deltalake(store: S3Store) -> str:
    """Return the endpoint as deltalake wants it: when buckets are hosts, with the bucket in the name."""
    if store.path_style:
        return store.endpoint
    scheme, _, host = store.endpoint.partition("://")
    return f"{scheme}://{store.bucket}.{host}"


def _secret(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        content = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("store.key", "a key file of the store cannot be read") from error
    if mode & 0o077:
        raise SettingsError(
            "store.key_mode", "a key file of the store may be read by others", "run: chmod 600 on it"
        )
    return content
