"""Put and get the files of tables that lie in S3."""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException

from atoll_node.errors import LakeError
from atoll_node.settings import S3Store
from atoll_node.tables.places import S3Keys


class Bucket:
    """The node's bucket."""

    def __init__(self, store: S3Store, keys: S3Keys) -> None:
        pool = urllib3.PoolManager(ca_certs=str(store.ca_file)) if store.ca_file else None
        self._client = client_of(store, keys, pool=pool)

    def put(self, file: Path, uri: str) -> None:
        """Upload a file to an ``s3://bucket/key`` URI."""
        bucket, key = _split(uri)
        try:
            self._client.fput_object(bucket, key, str(file))
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _failed("written") from error

    def get(self, uri: str, file: Path) -> None:
        """Download an ``s3://bucket/key`` URI to a file."""
        bucket, key = _split(uri)
        try:
            self._client.fget_object(bucket, key, str(file))
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _failed("read") from error

    def list(self, uri: str) -> tuple[tuple[str, int], ...]:
        """Return the path below an ``s3://bucket/key`` URI and the size of each object there."""
        bucket, key = _split(uri)
        prefix = key.rstrip("/") + "/"
        try:
            found = self._client.list_objects(bucket, prefix=prefix, recursive=True)
            return tuple((str(one.object_name).removeprefix(prefix), int(one.size or 0)) for one in found)
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _failed("listed") from error

    def remove(self, uri: str, paths: Iterable[str]) -> None:
        """Remove objects below an ``s3://bucket/key`` URI, and every version that the store kept of them."""
        bucket, key = _split(uri)
        try:
            for path in paths:
                self._remove_versions(bucket, f"{key.rstrip('/')}/{path}")
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _failed("removed") from error

    def _remove_versions(self, bucket: str, name: str) -> None:
        kept = self._client.list_objects(bucket, prefix=name, recursive=True, include_version=True)
        for one in list(kept):
            if one.object_name == name:
                self._client.remove_object(bucket, name, version_id=one.version_id)


def client_of(store: S3Store, keys: S3Keys, *, pool: urllib3.PoolManager | None = None) -> Minio:
    """Return a client for the store's endpoint and way of naming buckets."""
    address = urlsplit(store.endpoint)
    client = Minio(
        address.netloc,
        access_key=keys.access,
        secret_key=keys.secret,
        secure=address.scheme == "https",
        region=store.region,
        http_client=pool,
    )
    if not store.path_style:
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _failed(verb: str) -> LakeError:
    return LakeError(
        "store.failed",
        f"a file of the store could not be {verb}",
        "see that the store answers, that the bucket exists and that its keys are right",
    )
