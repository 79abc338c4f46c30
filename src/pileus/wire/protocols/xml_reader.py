"""Reading XML from strangers: elements and text, and nothing else that XML can do.

A document type declaration is refused, so there are no entities to expand and nothing is fetched; depth and the number
of elements are limited.
"""

from __future__ import annotations

from xml.parsers import expat

MAX_DEPTH = 100
MAX_ELEMENTS = 500_000


class Element:
    """An element: its local name, its attributes by local name, its children, its own text."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""


def read_xml(body: bytes) -> Element:
    """The root element. Raises `ValueError` where `body` is not the XML that AWS takes."""
    root: Element | None = None
    stack: list[Element] = []
    texts: list[list[str]] = []
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal root, count
        count += 1
        if len(stack) >= MAX_DEPTH or count > MAX_ELEMENTS:
            raise ValueError("too deep or too many elements")
        local = {key.rpartition("}")[2]: value for key, value in attributes.items()} if attributes else attributes
        element = Element(name.rpartition("}")[2], local)
        if stack:
            stack[-1].children.append(element)
        elif root is None:
            root = element
        stack.append(element)
        texts.append([])

    def end(name: str) -> None:
        stack.pop().text = "".join(texts.pop())

    def text(data: str) -> None:
        if texts:
            texts[-1].append(data)

    def refuse(*_: object) -> int:
        raise ValueError("document type declarations are not taken")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(str(error)) from error
    if root is None:
        raise ValueError("no element")
    return root
