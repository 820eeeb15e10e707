"""A query keeps its meaning and its digest on the wire."""

import json

from hypothesis import HealthCheck, given, settings

from atoll_schemas.query import Query
from tests.support.small_sites import queries

bounded = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@bounded
@given(queries())
def test_a_query_reads_back_what_it_wrote(query: Query):
    again = Query.from_wire(json.loads(json.dumps(query.wire())))
    assert again == query
    assert again.digest() == query.digest()


@bounded
@given(queries())
def test_the_digest_of_a_query_does_not_depend_on_the_order_of_its_fields(query: Query):
    turned = json.loads(json.dumps(query.wire()), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert Query.from_wire(turned).digest() == query.digest()
