"""Find the public test data that may lie beside the project; it is never part of it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared(path: str) -> Path:
    """Return a file or folder of the shared data, or skip the test with the reason."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"the shared test data is absent: shared/data/{path}")
    return found
