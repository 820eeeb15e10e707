"""Offer the shared fixtures to every test, and let no random test fail because a machine is slow."""

from hypothesis import HealthCheck, settings

from tests.support.hub_fixtures import database_url, hub, lagoon, postgres

__all__ = ["database_url", "hub", "lagoon", "postgres"]

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
