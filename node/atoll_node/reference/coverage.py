"""List what the reference engine runs of the cohort language; what is not listed is refused by its path."""

from atoll_node.reference.attributes import ATTRIBUTES
from atoll_node.reference.domains import DOMAINS
from atoll_schemas.circe import Coverage
from atoll_schemas.circe.criteria import Criteria, CriteriaBody

_AROUND = {"codeset_id", "first", "date_adjustment", "correlated_criteria", "user_defined_period"}


def _body_classes(base: type[CriteriaBody]) -> set[type[CriteriaBody]]:
    found = {base} if base.__name__ in DOMAINS else set()
    return found.union(*(_body_classes(kind) for kind in base.__subclasses__()))


def _runs(kind: type[CriteriaBody]) -> frozenset[str]:
    """Every attribute with a meaning; ``…Exclude`` belongs to the attribute that it turns."""
    known = {*ATTRIBUTES[kind.__name__], *_AROUND, DOMAINS[kind.__name__].source_attribute}
    return frozenset(name for name in kind.model_fields if name in known or name.endswith("_exclude"))


RUNS: Coverage = {
    **{kind: _runs(kind) for kind in _body_classes(CriteriaBody)},
    Criteria: frozenset(Criteria.model_fields),
}
