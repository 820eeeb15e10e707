"""The `atoll-node` command: what hospital IT and stewards type."""

from atoll_node.cli.main import app

__all__ = ["app"]
