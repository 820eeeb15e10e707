"""Give every wire type one base: frozen, closed to unknown fields, with one JSON form."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from atoll_schemas.canonical import canonical_json, digest_of


class Contract(BaseModel):
    """A value that may cross between hub, node and SDK.

    Frozen; an unknown field, NaN or an infinity is refused. ``None`` means absent and is not written.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, defer_build=True
    )

    def wire(self) -> dict[str, Any]:
        """Return the JSON-ready form: aliases as the standard spells them, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def canonical(self) -> bytes:
        """Return the RFC 8785 bytes of :meth:`wire`, the form that is digested and signed."""
        return canonical_json(self.wire())

    def digest(self) -> str:
        """Return ``sha256:<hex>`` over :meth:`canonical`."""
        return digest_of(self.canonical())

    @classmethod
    def from_wire(cls, value: Any) -> Self:
        """Read what :meth:`wire` wrote. Raises ``pydantic.ValidationError``."""
        return cls.model_validate(value)
