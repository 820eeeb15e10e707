"""Hold concept sets: OMOP concepts with their descendants, and source codes for sites without them."""

from typing import Annotated

from pydantic import Field, field_validator

from atoll_schemas.circe.parts import Concept, Part, Text, unsupported
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

    concept: Concept = Field(alias="concept")
    is_excluded: bool = Field(default=False, alias="isExcluded")
    include_descendants: bool = Field(default=False, alias="includeDescendants")
    include_mapped: bool = Field(default=False, alias="includeMapped")

    @field_validator("include_mapped")
    @classmethod
    def _mapped_is_refused(cls, value: bool) -> bool:
        if value:
            raise unsupported("mapped concepts are not supported yet")
        return value


class ConceptSetExpression(Part):
    """The lines of a concept set: all included ones less all excluded ones."""

    items: tuple[ConceptSetItem, ...] = Field(default=(), alias="items", max_length=50_000)


class ConceptSet(Part):
    """A numbered concept set. ``SourceCodes`` is Atoll's addition to Circe."""

    id: int = Field(alias="id", ge=0, le=2**31 - 1)
    name: Text = Field(default="", alias="name")
    expression: ConceptSetExpression = Field(default=ConceptSetExpression(), alias="expression")
    source_codes: tuple[SourceCode, ...] = Field(default=(), max_length=10_000)
