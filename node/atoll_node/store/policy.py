"""Write down the least that the node's key must be allowed to do in its bucket, as an S3 policy."""

from typing import Any

from atoll_node.settings import S3Store

_BUCKET = ("s3:GetBucketLocation", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration")
_LIST = ("s3:ListBucket", "s3:ListBucketVersions")
_OBJECTS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
"""Deleting is for old files and for persons who are to be forgotten, older versions of an object included."""


def policy_name(store: S3Store) -> str:
    """Return the name that the policy has at the store."""
    return f"atoll-node-{store.bucket}"


def least_policy(store: S3Store) -> dict[str, Any]:
    """Return the policy: read and write below the prefix, list it, look at the bucket; nothing else."""
    bucket, prefix = f"arn:aws:s3:::{store.bucket}", store.prefix.strip("/")
    listing: dict[str, Any] = {"Effect": "Allow", "Action": list(_LIST), "Resource": [bucket]}
    if prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}}
    below = f"{bucket}/{prefix}/*" if prefix else f"{bucket}/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(_BUCKET), "Resource": [bucket]},
            listing,
            {"Effect": "Allow", "Action": list(_OBJECTS), "Resource": [below]},
        ],
    }
