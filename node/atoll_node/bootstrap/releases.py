"""Wire what reads a release: its name, and how its store and its engine are reached."""

from atoll_node.bootstrap import Node
from atoll_node.engine import S3Access, SparkAccess
from atoll_node.errors import SettingsError
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_node.settings import NodeSettings
from atoll_node.tables.places import Places, places_of


def named_release(node: Node, name: str) -> tuple[Release, S3Access | None]:
    """Return a release and how its store is reached. Raises ``LakeError`` when there is none of the name."""
    return Releases(node.home).load(name), s3_of(node)


def s3_of(node: Node) -> S3Access | None:
    """Return how the node's bucket is reached; ``None`` for a folder."""
    return access_of(places_of(node.home, node.settings.store))


def access_of(places: Places) -> S3Access | None:
    """Return how a bucket is reached by DuckDB; ``None`` for a folder."""
    if places.s3 is None or places.keys is None:
        return None
    return S3Access(
        endpoint=places.s3.endpoint,
        access_key=places.keys.access,
        secret_key=places.keys.secret,
        region=places.s3.region,
        path_style=places.s3.path_style,
        ca_file=places.s3.ca_file,
    )


def spark_of(settings: NodeSettings) -> SparkAccess | None:
    """Return how the Spark Connect endpoint is reached; ``None`` for a node that does not use one."""
    spark = settings.spark
    if spark is None or settings.engine.kind == "duckdb":
        return None
    token = None
    if spark.token_file is not None:
        try:
            token = spark.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                "settings.secret", "spark.token_file cannot be read", "write the token into it"
            ) from error
    return SparkAccess(spark.address, spark.tls, spark.ca_file, token, spark.s3_scheme)
