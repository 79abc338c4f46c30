"""Compiling shapes to functions between XML and members.

Encoders build text, not trees: an answer is one join of strings whose tags were made when the encoder was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.model import Shape
from pileus.wire.protocols import values
from pileus.wire.protocols.xml_reader import Element

# A member's value to its text content.
ToText = Callable[[Any], str]
# A member's value to its elements, tags and all.
ToXml = Callable[[Any], str]
FromXml = Callable[[Element], Any]
FromElements = Callable[[list[Element]], Any]

# What XML 1.0 cannot hold at all; AWS shows such characters as references, which lenient readers take.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def escape(text: str) -> str:
    """Text content. A carriage return would be read back as a line feed, so it is written as a reference."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    if '"' in text:
        text = text.replace('"', "&quot;")
    if "\r" in text:
        text = text.replace("\r", "&#xD;")
    if not text.isprintable() and _CONTROL.search(text):
        text = _CONTROL.sub(lambda match: f"&#x{ord(match[0]):X};", text)
    return text


class XmlShapes:
    """The compiled shapes of one service in one of the protocols that carry XML.

    `format_time`: how timestamps without a format of their own are written. `strict`: an element that is of no member
    is refused, not passed over, unless it is one of `outdated`.
    """

    def __init__(
        self,
        malformed: Callable[[], AWSError],
        *,
        format_time: Callable[[float], str] = values.iso8601_millis,
        strict: bool = False,
        outdated: frozenset[str] = frozenset(),
    ) -> None:
        self._malformed = malformed
        self._strict = strict
        self._outdated = outdated
        self._format_time = format_time
        self._decoders: dict[str, FromXml] = {}
        self._encoders: dict[str, ToXml] = {}

    # -- encoding

    def element_encoder(self, shape: Shape, name: str) -> ToXml:
        """The function from a value to `<name>...</name>` (or a flattened row of them)."""
        if shape.type == "list":
            return self._list_encoder(shape, name)
        if shape.type == "map":
            return self._map_encoder(shape, name)
        opening, closing = f"<{name}{_namespace(shape)}>", f"</{name}>"
        if shape.type == "structure":
            attributes = [
                (member_name, member.location_name or member_name)
                for member_name, member in shape.members.items()
                if member.traits.get("xmlAttribute")
            ]
            content = self.content_encoder(shape)
            if attributes:
                return lambda value: f"{opening[:-1]}{_attributes(attributes, value)}>{content(value)}{closing}"
            return lambda value: f"{opening}{content(value)}{closing}"
        text = self._text_encoder(shape)
        return lambda value: f"{opening}{text(value)}{closing}"

    def content_encoder(self, shape: Shape, names: list[str] | None = None) -> ToXml:
        """The function from a structure's members to their elements. `names`: only these (rest: those in the body)."""
        if names is not None:
            return self._make_content_encoder(shape, names)
        made = self._encoders.get(shape.name)
        if made is not None:
            return made

        # A shape that holds itself meets this while it is being made.
        def later(value: Any) -> str:
            return self._encoders[shape.name](value)

        self._encoders[shape.name] = later
        self._encoders[shape.name] = made = self._make_content_encoder(shape, list(shape.members))
        return made

    def _make_content_encoder(self, shape: Shape, names: list[str]) -> ToXml:
        fields = [
            (name, self.element_encoder(member, xml_name(name, member)))
            for name, member in shape.members.items()
            if name in names and not member.traits.get("xmlAttribute")
        ]

        def encode(value: Any) -> str:
            get = value.get
            return "".join([field(item) for name, field in fields if (item := get(name)) is not None])

        return encode

    def _list_encoder(self, shape: Shape, name: str) -> ToXml:
        element = shape.element
        if shape.flattened:
            each = self.element_encoder(element, element.location_name or name)
            return lambda value: "".join([each(item) for item in value])
        each = self.element_encoder(element, element.location_name or "member")
        opening, closing, empty = f"<{name}{_namespace(shape)}>", f"</{name}>", f"<{name}/>"
        return lambda value: f"{opening}{''.join([each(item) for item in value])}{closing}" if value else empty

    def _map_encoder(self, shape: Shape, name: str) -> ToXml:
        key = self.element_encoder(shape.key, shape.key.location_name or "key")
        element = self.element_encoder(shape.value, shape.value.location_name or "value")
        if shape.flattened:
            return lambda value: "".join([f"<{name}>{key(k)}{element(v)}</{name}>" for k, v in value.items()])
        opening, closing, empty = f"<{name}{_namespace(shape)}>", f"</{name}>", f"<{name}/>"
        return lambda value: (
            f"{opening}{''.join([f'<entry>{key(k)}{element(v)}</entry>' for k, v in value.items()])}{closing}"
            if value
            else empty
        )

    def _text_encoder(self, shape: Shape) -> ToText:
        match shape.type:
            case "timestamp":
                match shape.traits.get("timestampFormat", "").lower():
                    case "rfc822":
                        return values.rfc822
                    case "unixtimestamp":
                        return lambda value: str(values.unix(value))
                    case _:
                        return self._format_time
            case "blob":
                return values.blob_text
            case "boolean":
                return lambda value: "true" if value else "false"
            case "integer" | "long" | "biginteger":
                return str
            case "float" | "double" | "bigdecimal":
                return values.float_text
            case _:
                return escape

    # -- decoding

    def structure_decoder(self, shape: Shape) -> FromXml:
        made = self._decoders.get(shape.name)
        if made is not None:
            return made

        def later(element: Element) -> Any:
            return self._decoders[shape.name](element)

        self._decoders[shape.name] = later
        self._decoders[shape.name] = made = self.members_decoder(shape, list(shape.members))
        return made

    def members_decoder(self, shape: Shape, names: list[str]) -> FromXml:
        """The function from an element to the members that are its children, `names` of them."""
        members = shape.members
        fields: dict[str, tuple[str, FromElements]] = {}
        attributes: list[tuple[str, str]] = []
        strict, outdated, malformed = self._strict, self._outdated, self._malformed
        for name in names:
            member = members[name]
            if member.traits.get("xmlAttribute"):
                attributes.append((name, (member.location_name or name).rpartition(":")[2]))
            else:
                fields[xml_name(name, member)] = (name, self._elements_decoder(member))

        def decode(element: Element) -> Any:
            grouped: dict[str, list[Element]] = {}
            for child in element.children:
                grouped.setdefault(child.name, []).append(child)
            found: dict[str, Any] = {}
            for name, children in grouped.items():
                field = fields.get(name)
                if field is not None:
                    found[field[0]] = field[1](children)
                elif strict and name not in outdated:
                    raise malformed()
            for name, attribute in attributes:
                if attribute in element.attributes:
                    found[name] = element.attributes[attribute]
            return found

        return decode

    def _elements_decoder(self, shape: Shape) -> FromElements:
        """From the elements of one name to the member: several only where a list or map is flattened."""
        if shape.type == "list":
            each = self._element_decoder(shape.element)
            if shape.flattened:
                return lambda elements: [each(element) for element in elements]
            name = shape.element.location_name or "member"
            malformed = self._malformed

            def decode_list(elements: list[Element]) -> Any:
                if len(elements) != 1 or any(child.name != name for child in elements[0].children):
                    raise malformed()
                return [each(child) for child in elements[0].children]

            return decode_list
        if shape.type == "map":
            return self._map_decoder(shape)
        one = self._element_decoder(shape)
        malformed = self._malformed

        def decode(elements: list[Element]) -> Any:
            if len(elements) != 1:
                raise malformed()
            return one(elements[0])

        return decode

    def _element_decoder(self, shape: Shape) -> FromXml:
        if shape.type == "structure":
            return self.structure_decoder(shape)
        if shape.type in ("list", "map"):
            decode_elements = self._elements_decoder(shape)
            return lambda element: decode_elements([element])
        parse, malformed = parser(shape, "iso8601"), self._malformed

        def decode(element: Element) -> Any:
            if element.children:
                raise malformed()
            try:
                return parse(element.text)
            except ValueError:
                raise malformed() from None

        return decode

    def _map_decoder(self, shape: Shape) -> FromElements:
        key_name, value_name = shape.key.location_name or "key", shape.value.location_name or "value"
        key, value = self._element_decoder(shape.key), self._element_decoder(shape.value)
        flattened, malformed = shape.flattened, self._malformed

        def decode(elements: list[Element]) -> Any:
            if not flattened and len(elements) != 1:
                raise malformed()
            found = {}
            for entry in elements if flattened else elements[0].children:
                parts = {part.name: part for part in entry.children}
                if key_name not in parts or value_name not in parts:
                    raise malformed()
                found[key(parts[key_name])] = value(parts[value_name])
            return found

        return decode


def xml_name(name: str, shape: Shape) -> str:
    """The element's name of a structure's member; a flattened list's is that of what it holds, where that has one."""
    if shape.type == "list" and shape.flattened:
        return _legacy(shape) or shape.element.location_name or shape.location_name or name
    return _legacy(shape) or shape.location_name or name


def _legacy(shape: Shape) -> str | None:
    name: str | None = shape.traits.get("queryLocationName")
    return name


def parser(shape: Shape, default_format: str) -> Callable[[str], Any]:
    """From the text of an element, a header, a query parameter or a label to the value. Raises `ValueError`."""
    match shape.type:
        case "timestamp":
            form = shape.traits.get("timestampFormat", default_format).lower()
            return lambda text: values.parse_timestamp(text, form)
        case "blob":
            return values.parse_blob
        case "boolean":
            return values.parse_boolean
        case "integer" | "long" as kind:
            return lambda text: values.parse_integer(text, kind)
        case "biginteger":
            return values.parse_integer
        case "float" | "double" | "bigdecimal":
            return values.parse_float
        case _:
            return str


def _namespace(shape: Shape) -> str:
    namespace = shape.traits.get("xmlNamespace")
    if namespace is None:
        return ""
    if isinstance(namespace, str):
        return f' xmlns="{namespace}"'
    prefix = namespace.get("prefix")
    return f' xmlns:{prefix}="{namespace["uri"]}"' if prefix else f' xmlns="{namespace["uri"]}"'


def _attributes(attributes: list[tuple[str, str]], value: Any) -> str:
    return "".join(
        [f' {attribute}="{escape(value[name])}"' for name, attribute in attributes if value.get(name) is not None]
    )
