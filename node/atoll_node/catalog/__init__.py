"""Describe what a release holds: figures as Achilles counts them, and what of them may leave."""

from atoll_node.catalog.entry import describe
from atoll_node.catalog.profile import Profile, profile_of

__all__ = ["Profile", "describe", "profile_of"]
