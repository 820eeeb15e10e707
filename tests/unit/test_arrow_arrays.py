"""Columns of Arrow as arrays: their values, their type, and nobody else's memory changed."""

import numpy as np
import pyarrow as pa
import pytest

from atoll_node.arrow_arrays import array_of, sorted_array


@pytest.mark.parametrize(
    "column, values",
    [
        (pa.chunked_array([[3, 1], [2]]), np.array([3, 1, 2])),
        (pa.chunked_array([pa.array([9, 3, 1])[1:]]), np.array([3, 1])),
        (pa.chunked_array([[1, None]]), np.array([1, 0])),
        (pa.chunked_array([[None, 2.5]]), np.array([0.0, 2.5])),
        (pa.chunked_array([[True, None], [False, True]]), np.array([True, False, False, True])),
        (pa.chunked_array([], pa.int32()), np.array([], dtype=np.int32)),
        (pa.chunked_array([], pa.bool_()), np.array([], dtype=np.bool_)),
    ],
)
def test_values_are_those_of_the_column(column, values):
    found = array_of(column)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("chunks", [[[3, 1, 2]], [[3], [1, 2]]])
def test_sorting_leaves_the_column_as_it_was(chunks):
    column = pa.chunked_array(chunks)
    assert sorted_array(column).tolist() == [1, 2, 3]
    assert column.to_pylist() == [3, 1, 2]
