"""Whatever JSON comes, its canonical form reads back equal and does not depend on order."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from atoll_schemas.canonical import NotCanonical, canonical_json, digest_of

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_canonical_json_reads_back_equal(value):
    assert json.loads(canonical_json(value), parse_int=float) == value


@given(values)
def test_canonical_json_is_a_fixed_point(value):
    once = canonical_json(value)
    assert canonical_json(json.loads(once)) == once


@given(st.dictionaries(text, scalars, max_size=8), st.randoms(use_true_random=False))
def test_the_digest_ignores_the_order_of_keys(value, shuffler: random.Random):
    items = list(value.items())
    shuffler.shuffle(items)
    assert digest_of(canonical_json(dict(items))) == digest_of(canonical_json(value))


@given(st.integers(-(10**25), 10**25))
def test_an_integer_is_written_as_it_is_or_refused(number):
    try:
        assert canonical_json(number).decode() == str(number)
    except NotCanonical:
        assert abs(number) > 2**53 - 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_reads_back_to_the_same_bits(number):
    assert float(canonical_json(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_is_longer_than_pythons_shortest_form_by_more_than_its_zeros(number):
    written = canonical_json(number).decode()
    digits = [c for c in repr(number).partition("e")[0] if c.isdigit()]
    assert "".join(digits).strip("0") == "".join(c for c in written.partition("e")[0] if c.isdigit()).strip(
        "0"
    )
