"""Take columns out of DuckDB as arrays, by way of Arrow: twice as fast as DuckDB's own conversion."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def array_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return the values of a column of numbers or truths; NULL is zero, and may be read-only.

    Arrow's own conversion loads pandas first, which takes longer than a question.
    """
    if pa.types.is_boolean(column.type):
        return array_of(column.cast(pa.uint8())).view(np.bool_)
    known = column.fill_null(0) if column.null_count else column
    parts = [np.from_dlpack(chunk) for chunk in known.chunks]
    if not parts:
        return np.empty(0, dtype=known.type.to_pandas_dtype())
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def sorted_array(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return the values in order; the memory of one copy at most."""
    values = array_of(column)
    if not values.flags.writeable:
        values = values.copy()
    values.sort()
    return values
