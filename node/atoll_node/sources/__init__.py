"""Read a hospital's files into staged records; what cannot be taken goes to quarantine with its reason."""

from atoll_node.sources.progress import SourceProgress
from atoll_node.sources.stage import stage

__all__ = ["SourceProgress", "stage"]
