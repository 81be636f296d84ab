"""The attributes of a request beside its message: one table that every protocol fills.

Over HTTP an attribute is a header, over gRPC an entry of the call's metadata, under the same name. A field added to
:class:`RequestAttributes` is read by every front, described in the OpenAPI document and handed to the data plane.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

import msgspec

from app.gateway.trace_context import Identity, identify


@dataclass(frozen=True, slots=True)
class Header:
    """The name of an attribute on the wire, in lower case, and its description in the OpenAPI document; without a
    description it is not listed there."""

    name: str
    description: str = ""


class RequestAttributes(msgspec.Struct, frozen=True, gc=False):
    """The attributes of one request; None for those that were not sent."""

    authorization: Annotated[str | None, Header("authorization")] = None
    sticky_key: Annotated[str | None, Header("x-sticky-key", "Requests with the same key meet the same version")] = (
        None
    )
    version: Annotated[
        str | None,
        Header(
            "x-model-version",
            "A deployed version that must answer; for keys with the scope release and, during a release, those that "
            "its plan names",
        ),
    ] = None
    request_id: Annotated[str | None, Header("x-request-id", "Comes back with the reply")] = None
    traceparent: Annotated[str | None, Header("traceparent", "The caller's span (W3C Trace Context)")] = None
    tracestate: Annotated[str | None, Header("tracestate")] = None

    def identity(self, request_id: str | None = None) -> Identity:
        """The request's identity.

        Args:
            request_id: one that the message carries; it takes precedence over the header's.
        """
        return identify(request_id or self.request_id, self.traceparent, self.tracestate)


A_co = TypeVar("A_co", bound=RequestAttributes, covariant=True)


class AttributeTable(Generic[A_co]):
    """Reads the attributes that a class declares; what is known of the class is worked out once."""

    def __init__(self, attributes: type[A_co]) -> None:
        hints = get_type_hints(attributes, include_extras=True)
        self.headers: dict[str, Header] = {
            field: hints[field].__metadata__[0] for field in attributes.__struct_fields__
        }
        self._attributes = attributes
        self._names = tuple(header.name for header in self.headers.values())
        self._bytes = tuple(name.encode() for name in self._names)

    def from_headers(self, headers: Mapping[bytes, bytes]) -> A_co:
        """From HTTP headers by lower-case name."""
        return self._attributes(
            *[None if value is None else value.decode("latin-1") for value in map(headers.get, self._bytes)]
        )

    def from_metadata(self, metadata: Iterable[tuple[str, str | bytes]]) -> A_co:
        """From a gRPC call's invocation metadata; of a repeated name the last."""
        found = {name: value for name, value in metadata if isinstance(value, str)}
        return self._attributes(*map(found.get, self._names))

    def parameters(self) -> list[dict[str, Any]]:
        """The parameters of an inference route in the OpenAPI document."""
        return [
            {
                "name": header.name,
                "in": "header",
                "schema": {"type": "string"},
                "description": header.description,
            }
            for header in self.headers.values()
            if header.description
        ]


ATTRIBUTES = AttributeTable(RequestAttributes)
