"""Offer the shared fixtures to every test."""

from tests.support.hub_fixtures import database_url, hub, lagoon, postgres

__all__ = ["database_url", "hub", "lagoon", "postgres"]
