"""Say why results of several sites cannot be put together, and at which sites."""

from collections.abc import Iterable

from atoll_schemas.problems import Problem

_MEANINGS = {
    "merge.site": "a result was filed under another site's name",
    "merge.digest": "a site answered another query",
    "merge.method": "a site answered with another method",
    "merge.outcome": "a site answered for another outcome",
    "merge.dimensions": "the sites' tables have different dimensions or levels",
    "merge.cells": "the sites' tables list different cells",
    "merge.steps": "the sites applied different inclusion rules",
    "merge.variables": "the sites summarised different variables",
    "merge.units": "the sites state different units",
    "merge.groups": "the sites used different groups",
    "merge.edges": "a site's bins do not fit the edges that the query declares",
    "merge.log_rank": "a site's log-rank figures do not fit each other",
    "merge.not_finite": "the sites' figures add up to no finite number",
}


class MergeRefused(Exception):
    """The hub does not pool what does not belong together. The message is a constant of ``code``."""

    def __init__(self, code: str, sites: Iterable[str]) -> None:
        self.code = code
        self.meaning = _MEANINGS[code]
        self.sites = tuple(sorted(set(sites)))
        super().__init__(f"{self.meaning} ({', '.join(self.sites)})")

    def problem(self) -> Problem:
        """Return the problem that a researcher reads in place of a merged answer."""
        return Problem(
            title="The sites' answers cannot be merged",
            status=409,
            code=self.code,
            detail=str(self),
            next_step="Ask the sites one by one, or tell the operator of the hub: these nodes disagree.",
        )
