"""Hold concept sets: OMOP concepts with their descendants, and source codes for sites without them."""

from typing import Annotated

from pydantic import ConfigDict, FailFast, Field
from pydantic.alias_generators import to_camel

from atoll_schemas.circe.limits import MOST_IN_A_LIST
from atoll_schemas.circe.parts import Concept, Part, Text
from atoll_schemas.contract import Contract

CodeText = Annotated[str, Field(min_length=1, max_length=120)]


class SourceCode(Contract):
    """A code as the hospital's system wrote it; ``vocabulary`` as the mapping or CDM names it.

    A record matches when its domain's source value (``condition_source_value``, …) equals ``code``.
    ``vocabulary`` describes the code to readers; it is not compared.
    """

    vocabulary: CodeText
    code: CodeText


class ConceptSetItem(Part):
    """One line of a concept set."""

    model_config = ConfigDict(alias_generator=to_camel)
    concept: Concept
    is_excluded: bool = False
    include_descendants: bool = False
    include_mapped: bool = False


class ConceptSetExpression(Part):
    """The lines of a concept set: all included ones less all excluded ones."""

    model_config = ConfigDict(alias_generator=to_camel)
    items: Annotated[tuple[ConceptSetItem, ...], FailFast()] = Field(default=(), max_length=MOST_IN_A_LIST)


class ConceptSet(Part):
    """A numbered concept set. ``SourceCodes`` is Atoll's addition to Circe."""

    id: int = Field(alias="id", ge=0, le=2**31 - 1)
    name: Text = Field(default="", alias="name")
    expression: ConceptSetExpression = Field(default=ConceptSetExpression(), alias="expression")
    source_codes: Annotated[tuple[SourceCode, ...], FailFast()] = Field(default=(), max_length=10_000)
