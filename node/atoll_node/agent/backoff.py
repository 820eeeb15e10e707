"""Wait between attempts: exponential, with full jitter, so that many nodes do not return all at once."""

from collections.abc import Callable
from dataclasses import dataclass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 15.0


@dataclass
class Backoff:
    """Count failures and name the next wait. ``random`` yields numbers in [0, 1)."""

    random: Callable[[], float]
    failures: int = 0

    def failed(self) -> float:
        """Return the seconds to wait after one more failure."""
        ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures, 10))
        self.failures += 1
        return self.random() * ceiling

    def worked(self) -> None:
        """Start afresh."""
        self.failures = 0
