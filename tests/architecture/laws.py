"""Two import-linter contract types of our own: what a package may use, and who may use a library."""

import sys
from typing import Any

from importlinter import Contract, ContractCheck, fields, output


class OnlyExternals(Contract):
    """A package imports the standard library and the named externals, and nothing else from outside."""

    package = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField())

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Look at every import that leaves the package."""
        inside = {self.package, *graph.find_descendants(self.package)}
        allowed = {*self.allowed, *sys.stdlib_module_names, "__future__"}
        breaches = [
            (importer, imported)
            for importer in sorted(inside)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported not in inside and imported.split(".")[0] not in allowed
        ]
        return ContractCheck(kept=not breaches, metadata={"breaches": breaches})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import."""
        _render(check)


class Confined(Contract):
    """Libraries are imported only by the named modules (and what lies below them)."""

    libraries = fields.SetField(subfield=fields.StringField())
    only_in = fields.SetField(subfield=fields.StringField())
    """Module paths; a ``*`` stands for one name."""
    within = fields.SetField(subfield=fields.StringField())
    """Packages that the law looks at."""

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Look at every importer of each library."""
        breaches = [
            (importer, library)
            for library in sorted(self.libraries)
            if library in graph.modules
            for importer in sorted(graph.find_modules_that_directly_import(library))
            if importer.split(".")[0] in self.within and not self._allowed(importer)
        ]
        return ContractCheck(kept=not breaches, metadata={"breaches": breaches})

    def _allowed(self, importer: str) -> bool:
        return any(_below(importer.split("."), pattern.split(".")) for pattern in self.only_in)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import."""
        _render(check)


def _below(parts: list[str], pattern: list[str]) -> bool:
    return len(parts) >= len(pattern) and all(
        wanted in ("*", found) for found, wanted in zip(parts, pattern, strict=False)
    )


def _render(check: ContractCheck) -> None:
    for importer, imported in check.metadata["breaches"]:
        output.print_error(f"{importer} must not import {imported}")
