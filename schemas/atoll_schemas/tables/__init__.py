"""State the tables of ``core@1``: names, fields, types, keys, and what each field's content may reveal."""

from atoll_schemas.tables.core import core_1, table
from atoll_schemas.tables.domains import DOMAIN_OF_TABLE, DOMAINS, PERSON_TABLES, DomainName, DomainTable
from atoll_schemas.tables.model import (
    Content,
    DataModel,
    Datatype,
    Field,
    Group,
    Link,
    Scope,
    Table,
    UnknownField,
    UnknownTable,
    did_you_mean,
)

__all__ = [
    "DOMAINS",
    "DOMAIN_OF_TABLE",
    "PERSON_TABLES",
    "Content",
    "DataModel",
    "Datatype",
    "DomainName",
    "DomainTable",
    "Field",
    "Group",
    "Link",
    "Scope",
    "Table",
    "UnknownField",
    "UnknownTable",
    "core_1",
    "did_you_mean",
    "table",
]
