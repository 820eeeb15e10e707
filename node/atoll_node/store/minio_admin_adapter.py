"""Make the node's user and its policy on MinIO, with an administrator's key."""

from urllib.parse import urlsplit

import urllib3
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from atoll_node.errors import LakeError
from atoll_node.settings import S3Store
from atoll_node.store.policy import least_policy, policy_name
from atoll_node.tables.places import S3Keys

_QUICK = urllib3.Timeout(connect=4.0, read=20.0)


def make_user(store: S3Store, administrator: S3Keys, node: S3Keys) -> None:
    """Make or renew the user of the node's key pair, allowed the least policy and nothing else."""
    address = urlsplit(store.endpoint)
    admin = MinioAdmin(
        endpoint=address.netloc,
        credentials=StaticProvider(administrator.access, administrator.secret),
        region=store.region,
        secure=address.scheme == "https",
        http_client=urllib3.PoolManager(
            timeout=_QUICK, retries=False, ca_certs=str(store.ca_file) if store.ca_file else None
        ),
    )
    try:
        admin.user_add(node.access, node.secret)
        admin.policy_add(policy_name(store), policy=least_policy(store))
        admin.policy_set(policy_name(store), user=node.access)
    except (MinioAdminException, urllib3.exceptions.HTTPError) as error:
        # The store's own words may hold the user's name, which is the access key.
        raise LakeError(
            "store.user",
            "the store did not make the node's user",
            "check the administrator's key files; the node's key must differ from the administrator's",
        ) from error
