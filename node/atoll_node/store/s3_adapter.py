"""Speak S3 with the node's bucket: conditional writes, parts, lists, and how the bucket is set up."""

import http.client
import io
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.credentials.credentials import Credentials
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.lifecycleconfig import LifecycleConfig, NoncurrentVersionExpiration, Rule
from minio.signer import sign_v4_s3
from minio.versioningconfig import VersioningConfig

from atoll_node.errors import LakeError
from atoll_node.settings import S3Store
from atoll_node.store.verdict import Reply
from atoll_node.tables.places import S3Keys
from atoll_node.tables.s3_adapter import client_of

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes."""
FILE_PART_BYTES = 16 * 1024 * 1024
"""A part of a large file; a few are in memory at once. With 10,000 parts a file may have 160 GB."""
_STREAM_BYTES = 1024 * 1024
_QUICK = urllib3.Timeout(connect=4.0, read=20.0)
_REPLIES = {200: Reply.WON, 204: Reply.WON, 409: Reply.LOST, 412: Reply.LOST, 501: Reply.UNKNOWN}
_LIFECYCLE_RULE = "atoll-older-versions"


@dataclass(frozen=True)
class Stored:
    """One object of a bucket; ``mark`` changes when its content does."""

    key: str
    bytes: int
    mark: str


@dataclass(frozen=True)
class Versioning:
    """Whether a bucket keeps older versions of its objects, and for how many days (``None``: for ever)."""

    on: bool
    days: int | None = None


class S3Bucket:
    """One bucket with one key pair. A call waits seconds, not minutes, and is not repeated unless asked."""

    def __init__(self, store: S3Store, keys: S3Keys, *, retries: int = 0) -> None:
        self.name = store.bucket
        self._store = store
        self._keys = keys
        self._pool = _pool(store, retries)
        self._client: Minio = client_of(store, keys, pool=self._pool)

    def server_name(self) -> str:
        """Return what the store calls itself (the ``Server`` header), asked without a key."""
        with _explained():
            reply = self._pool.request("GET", self._url(""), retries=False, redirect=False)
        return str(reply.headers.get("Server", ""))[:80]

    def is_there(self) -> bool:
        """Whether the bucket exists and its keys may see it."""
        with _explained():
            return bool(self._client.bucket_exists(self.name))

    def make(self) -> None:
        """Make the bucket."""
        with _explained():
            self._client.make_bucket(self.name, location=self._store.region)

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        with _explained():
            self._client.put_object(self.name, key, io.BytesIO(content), len(content))

    def put_in_parts(self, key: str, content: BinaryIO, length: int = -1) -> None:
        """Write an object in parts, of a stream whose length may be unknown."""
        with _explained():
            self._client.put_object(
                self.name, key, content, length, part_size=PART_BYTES, num_parallel_uploads=1
            )

    def put_file(self, key: str, file: Path) -> None:
        """Write an object from a file, in parts when it is large."""
        with _explained():
            self._client.fput_object(self.name, key, str(file), part_size=FILE_PART_BYTES)

    def put_new(self, key: str, content: bytes) -> Reply:
        """Write an object only when there is none: ``If-None-Match: *``, signed as deltalake signs it."""
        url = self._url(key)
        digest = sha256(content).hexdigest()
        now = datetime.now(UTC)
        headers: dict[str, str | list[str] | tuple[str]] = {
            "host": urllib.parse.urlsplit(url).netloc,
            "content-length": str(len(content)),
            "if-none-match": "*",
            "x-amz-content-sha256": digest,
            "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        }
        signed = sign_v4_s3(
            method="PUT",
            url=urllib.parse.urlsplit(url),
            region=self._store.region,
            headers=headers,
            credentials=Credentials(self._keys.access, self._keys.secret),
            content_sha256=digest,
            date=now,
        )
        try:
            reply = self._pool.request("PUT", url, body=content, headers=_plain(signed), retries=False)
        except urllib3.exceptions.HTTPError:
            return Reply.FAILED
        if reply.status == 403 and b"SignatureDoesNotMatch" in reply.data:
            return Reply.UNSIGNED
        return _REPLIES.get(reply.status, Reply.FAILED)

    def get(self, key: str) -> bytes | None:
        """Read an object; ``None`` when there is none."""
        try:
            return b"".join(self.stream(key))
        except LakeError as error:
            if error.code == "store.no_object":
                return None
            raise

    def stream(self, key: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        with _explained():
            response = self._client.get_object(self.name, key)
            try:
                yield from response.stream(_STREAM_BYTES)
            finally:
                response.close()
                response.release_conn()

    def stat(self, key: str) -> Stored | None:
        """Return one object; ``None`` when there is none."""
        try:
            with _explained():
                found = self._client.stat_object(self.name, key)
        except LakeError as error:
            if error.code == "store.no_object":
                return None
            raise
        return Stored(key, int(found.size or 0), str(found.etag))

    def list(self, prefix: str) -> Iterator[Stored]:
        """List the objects below a prefix, in the order of their keys."""
        with _explained():
            for one in self._client.list_objects(self.name, prefix=prefix, recursive=True):
                yield Stored(str(one.object_name), int(one.size or 0), str(one.etag))

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no error."""
        with _explained():
            failed = list(self._client.remove_objects(self.name, [DeleteObject(key) for key in keys]))
        if failed:
            raise _error("store.failed", "the store did not remove an object")

    def versioning(self) -> Versioning:
        """Return whether older versions stay, and how long."""
        with _explained():
            on = self._client.get_bucket_versioning(self.name).status == ENABLED
            return Versioning(on, self._days() if on else None)

    def keep_versions(self, days: int) -> None:
        """Keep older versions of objects, for so many days."""
        rule = Rule(
            ENABLED,
            rule_filter=Filter(prefix=""),
            rule_id=_LIFECYCLE_RULE,
            noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=days),
        )
        with _explained():
            present = self._client.get_bucket_lifecycle(self.name)
            others = [one for one in present.rules if one.rule_id != _LIFECYCLE_RULE] if present else []
            # The rule first: at no moment is there a version that would stay for ever.
            self._client.set_bucket_lifecycle(self.name, LifecycleConfig([*others, rule]))
            self._client.set_bucket_versioning(self.name, VersioningConfig(ENABLED))

    def _days(self) -> int | None:
        config = self._client.get_bucket_lifecycle(self.name)
        found = [
            int(rule.noncurrent_version_expiration.noncurrent_days)
            for rule in (config.rules if config else ())
            if rule.status == ENABLED
            and rule.noncurrent_version_expiration is not None
            and rule.noncurrent_version_expiration.noncurrent_days
        ]
        return min(found, default=None)

    def _url(self, key: str) -> str:
        scheme, _, host = self._store.endpoint.rstrip("/").partition("://")
        path = urllib.parse.quote(key)
        if self._store.path_style:
            return f"{scheme}://{host}/{self.name}/{path}"
        return f"{scheme}://{self.name}.{host}/{path}"


def _plain(headers: Mapping[str, str | list[str] | tuple[str]]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def _pool(store: S3Store, retries: int) -> urllib3.PoolManager:
    # In the end the store's last answer counts: its own code is told, not how often it was tried.
    again = urllib3.Retry(
        retries, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), raise_on_status=False
    )
    trusted = str(store.ca_file) if store.ca_file else None
    return urllib3.PoolManager(timeout=_QUICK, retries=again, maxsize=16, ca_certs=trusted)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn every way in which a store fails into one of the node's errors, without a word of the store's."""
    try:
        yield
    except S3Error as error:
        raise _error(*_CODES.get(str(error.code), _FAILED)) from error
    except urllib3.exceptions.HTTPError as error:
        raise _unreached(error) from error
    except (MinioException, InvalidResponseError, ServerError, http.client.HTTPException) as error:
        raise _error(*_FAILED) from error
    except (OSError, ValueError) as error:
        raise _error(*_FAILED) from error


def _unreached(error: Exception) -> LakeError:
    reason: BaseException | None = getattr(error, "reason", None) or error
    if isinstance(reason, urllib3.exceptions.SSLError):
        return _error("store.certificate", "the store's certificate is not trusted here")
    return _error("store.unreachable", "the store does not answer")


def _error(code: str, told: str) -> LakeError:
    return LakeError(code, told, STORE_FIXES.get(code, STORE_FIXES["store.failed"]))


_FAILED = ("store.failed", "the store answered with an error of its own")
_KEYS = ("store.keys", "the store does not know this key pair")
_CODES = {
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "AccessDenied": ("store.denied", "the store does not let this key pair do what the node needs"),
    "NoSuchBucket": ("store.no_bucket", "there is no such bucket"),
    "NoSuchKey": ("store.no_object", "there is no such object"),
    "NoSuchVersion": ("store.no_object", "there is no such object"),
    "NotImplemented": ("store.not_implemented", "the store cannot do this"),
    "XNotImplemented": ("store.not_implemented", "the store cannot do this"),
    "MethodNotAllowed": ("store.not_implemented", "the store cannot do this"),
    "XMinioStorageFull": ("store.full", "the store has no room left"),
    "XMinioAdminBucketQuotaExceeded": ("store.full", "the bucket's quota is used up"),
    "QuotaExceeded": ("store.full", "the bucket's quota is used up"),
    "RequestTimeTooSkewed": ("store.clock", "this machine's clock and the store's are too far apart"),
}
STORE_FIXES = {
    "store.certificate": "set store.ca_file to the PEM file of the authority that signed it",
    "store.unreachable": "check store.endpoint, the firewall, and that the store runs",
    "store.keys": "check the two key files of [store] against the store's users",
    "store.denied": "give the key the policy that atoll-node store init prints",
    "store.no_bucket": "run: atoll-node store init",
    "store.no_object": "restore it from the store's backup",
    "store.not_implemented": "see docs/how-to/prepare-a-store.md for what each store can do",
    "store.full": "make room in the store, or raise the bucket's quota",
    "store.clock": "set both clocks by NTP",
    "store.failed": "see the store's own log for that minute",
}
