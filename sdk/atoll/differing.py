"""Compare two cohorts by what they mean: numbers of concept sets, order and spelling do not count."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from atoll_schemas.circe import CohortExpression

Kind = Literal["added", "removed", "changed"]
_SIGNS: Mapping[Kind, str] = {"added": "+", "removed": "-", "changed": "~"}
_KEYED = {"InclusionRules": "name", "ConceptSets": "name"}
"""Lists whose items are told apart by a name."""
_LIMITS = frozenset({"PrimaryCriteriaLimit", "QualifiedLimit", "ExpressionLimit"})
_CODESETS = ("CodesetId", "DrugCodesetId", "PlaceOfServiceLocation")
_LONGEST = 160


@dataclass(frozen=True)
class Change:
    """One difference: where, and what stands there in each cohort."""

    kind: Kind
    path: str
    before: Any = None
    after: Any = None

    def told(self) -> str:
        """Return the change in a line."""
        if self.kind == "changed":
            return f"{_SIGNS[self.kind]} {self.path}: {_short(self.before)} → {_short(self.after)}"
        return (
            f"{_SIGNS[self.kind]} {self.path}: {_short(self.after if self.kind == 'added' else self.before)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the change as JSON-ready values."""
        return {"kind": self.kind, "path": self.path, "before": self.before, "after": self.after}


def differences(before: CohortExpression, after: CohortExpression) -> tuple[Change, ...]:
    """Return what is different, in the order of the expression; nothing when both mean the same."""
    return tuple(_compared("$", *(_by_name(item) for item in (before, after))))


def _by_name(expression: CohortExpression) -> dict[str, Any]:
    """Return the canonical form with names in the place of concept sets' numbers.

    Sets of one name are told apart by their place among those; a set that is not used counts too.
    """
    form = expression.wire()
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for concept_set in form.get("ConceptSets", []):
        name = concept_set.get("name", "")
        seen[name] += 1
        label = name or "unnamed"
        names[concept_set["id"]] = label if seen[name] == 1 else f"{label} ({seen[name]})"
    named: dict[str, Any] = _renamed(form, names)
    for concept_set in named.get("ConceptSets", []):
        concept_set["name"] = names[concept_set.pop("id")]
    return named


def _renamed(value: Any, names: Mapping[int, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: names[item] if _names_a_set(key, item) and item in names else _renamed(item, names)
            for key, item in value.items()
        }
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value


def _names_a_set(key: str, value: Any) -> bool:
    return type(value) is int and (key in _CODESETS or key.endswith("Concept"))


def _compared(path: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(path, before, after)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(path, before, after)
    else:
        yield Change("changed", path, before, after)


def _objects(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys((*before, *after)):
        place = f"{path}.{key}"
        absent = _absent(key, before.get(key), after.get(key))
        if absent is not None:
            yield from _compared(place, before.get(key, absent), after.get(key, absent))
        elif key not in before:
            yield Change("added", place, after=after[key])
        elif key not in after:
            yield Change("removed", place, before=before[key])
        else:
            yield from _compared(place, before[key], after[key])


def _absent(key: str, *values: Any) -> Any:
    """Return what the absence of a field says, when it can be compared with what stands in the other."""
    if key in _LIMITS:
        return {"Type": "First"}
    return [] if any(isinstance(value, list) for value in values) else None


def _lists(path: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    key = _KEYED.get(path.rsplit(".", 1)[-1])
    if key is not None:
        yield from _objects(path, _keyed(before, key), _keyed(after, key))
        return
    gone, new = _without_common(before, after), _without_common(after, before)
    if len(gone) == len(new) == 1:
        yield from _compared(f"{path}[{before.index(gone[0])}]", gone[0], new[0])
        return
    yield from (Change("removed", f"{path}[{before.index(item)}]", before=item) for item in gone)
    yield from (Change("added", f"{path}[{after.index(item)}]", after=item) for item in new)


def _keyed(items: list[Any], key: str) -> dict[str, Any]:
    """Return the items by name; of several with one name, each further one has its number."""
    found: dict[str, Any] = {}
    for item in items:
        name, number = str(item.get(key, "unnamed")), 2
        label = name
        while label in found:
            label, number = f"{name} ({number})", number + 1
        found[label] = item
    return found


def _without_common(items: list[Any], others: list[Any]) -> list[Any]:
    """Return the items that ``others`` lacks, each as often as it is missing there."""
    left = Counter(_text(item) for item in others)
    found = []
    for item in items:
        text = _text(item)
        if left[text]:
            left[text] -= 1
        else:
            found.append(item)
    return found


def _text(value: Any) -> str:
    return json.dumps(_sorted(value), sort_keys=True)


def _sorted(value: Any) -> Any:
    """Return a value whose lists are in one order."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
