"""However a steward narrows, the scope never allows more than was asked."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from atoll_node.errors import Refused
from atoll_node.permits import narrowed, permitted
from atoll_schemas.query import METHODS
from tests.support.node_records import NOW, a_permit, a_query, a_request, a_scope, a_task

DATASETS = ("colon", "lung", "liver")
subsets = st.lists(st.sampled_from(DATASETS), max_size=3)
methods = st.lists(st.sampled_from(METHODS), max_size=4)
days = st.integers(min_value=-3, max_value=40)


@given(asked=subsets.filter(bool), kept=subsets, allowed=methods.filter(bool), left=methods, until=days)
def test_a_narrowed_scope_lies_within_the_request(asked, kept, allowed, left, until):
    request = a_request(scope=a_scope(datasets=tuple(asked), methods=tuple(allowed)))
    try:
        scope = narrowed(request, datasets=kept, methods=left, valid_until=NOW + timedelta(days=until))
    except Refused:
        return
    assert set(scope.datasets) <= set(request.scope.datasets)
    assert set(scope.methods) <= set(request.scope.methods)
    assert scope.valid_from == request.scope.valid_from
    assert scope.valid_until <= request.scope.valid_until


@given(dataset=st.sampled_from(DATASETS), covered=subsets.filter(bool), late=st.integers(-5, 35))
def test_a_task_passes_exactly_when_dataset_and_moment_lie_in_the_scope(dataset, covered, late):
    scope = a_scope(datasets=tuple(covered))
    now = NOW + timedelta(days=late)
    try:
        permitted(a_permit(scope=scope), a_task(query=a_query(dataset)), now)
        passed = True
    except Refused:
        passed = False
    assert passed == (dataset in covered and scope.valid_from <= now < scope.valid_until)
