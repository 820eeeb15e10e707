"""Offer the shared fixtures to every test."""

from tests.support.hub_fixtures import database_url, hub, postgres

__all__ = ["database_url", "hub", "postgres"]
