"""Tokens to statements: recursive descent over the part of PartiQL that DynamoDB has."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import msgspec

from pileus.services.dynamodb import errors
from pileus.services.dynamodb.expressions.cache import remembered
from pileus.services.dynamodb.expressions.parser import IN_OPERANDS_MAX
from pileus.services.dynamodb.expressions.tree import (
    Action,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Junction,
    Not,
    Operand,
    Path,
    ValueRef,
)
from pileus.services.dynamodb.partiql.lexer import Token, malformed, tokens

T = TypeVar("T")

# Brackets and calls inside one another; the stack stays small.
NESTING_MAX = 100

_COMPARATORS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
# Functions of conditions, how many operands they take, and what the expression language calls them.
_FUNCTIONS = {"ATTRIBUTE_TYPE": 2, "BEGINS_WITH": 2, "CONTAINS": 2, "SIZE": 1}
_RETURNING = {
    ("ALL", "OLD"): "ALL_OLD",
    ("MODIFIED", "OLD"): "UPDATED_OLD",
    ("ALL", "NEW"): "ALL_NEW",
    ("MODIFIED", "NEW"): "UPDATED_NEW",
}
_STATEMENTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "EXISTS")
_CLAUSES = ("FROM", "WHERE", "INTO", "VALUE", "VALUES", "SET", "REMOVE", "RETURNING", "ORDER", "BY", "ASC", "DESC")
_WORDS = ("AND", "OR", "NOT", "IN", "BETWEEN", "IS", "MISSING", "NULL", "TRUE", "FALSE")
_UNSUPPORTED = ("LIMIT", "GROUP", "HAVING", "JOIN", "UNION")
_KEYWORDS = frozenset((*_STATEMENTS, *_CLAUSES, *_WORDS, *_UNSUPPORTED))


class Parameter(msgspec.Struct, frozen=True):
    """A question mark: the parameter of that number."""

    number: int


class Bag(msgspec.Struct, frozen=True):
    """`<< ... >>`: a set."""

    members: tuple[Literal, ...]


class Text(msgspec.Struct, frozen=True):
    text: str


class Number(msgspec.Struct, frozen=True):
    text: str


Literal = Parameter | Bag | Text | Number | bool | None | list["Literal"] | dict[str, "Literal"]


class Select(msgspec.Struct, frozen=True, eq=False):
    table: str
    index: str
    # None: all attributes.
    paths: tuple[Path, ...] | None
    where: Condition | None
    # Attributes and whether each is ordered downwards.
    order: tuple[tuple[str, bool], ...] = ()


class Insert(msgspec.Struct, frozen=True, eq=False):
    table: str
    item: ValueRef


class Update(msgspec.Struct, frozen=True, eq=False):
    table: str
    actions: tuple[Action, ...]
    where: Condition | None
    returning: str = "NONE"


class Delete(msgspec.Struct, frozen=True, eq=False):
    table: str
    where: Condition | None
    returning: str = "NONE"


class Exists(msgspec.Struct, frozen=True, eq=False):
    select: Select

    @property
    def table(self) -> str:
        return self.select.table


Body = Select | Insert | Update | Delete | Exists


class Statement(msgspec.Struct, frozen=True, eq=False):
    """A parsed statement. The tree's ValueRefs are `:0`, `:1`, ...: the literals in their order."""

    body: Body
    literals: tuple[Literal, ...]
    # How many question marks it has.
    parameters: int

    @property
    def reads(self) -> bool:
        return isinstance(self.body, Select)


@remembered
def parse(text: str) -> Statement:
    """Raises `ValidationException` for what is no statement."""
    return _Parser(text).statement()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.at = 0
        self.token: Token = self.tokens[0]
        self.depth = 0
        self.literals: list[Literal] = []
        self.parameters = 0

    # -- tokens

    def advance(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.at += 1
            self.token = self.tokens[self.at]
        return token

    def keyword(self) -> str:
        """The keyword that comes next, in capitals, or ""."""
        if self.token.kind == "word" and (word := self.token.text.upper()) in _KEYWORDS:
            return word
        return ""

    def word(self, text: str) -> bool:
        """Whether that word comes next, which is then passed."""
        if self.token.kind == "word" and self.token.text.upper() == text:
            self.advance()
            return True
        return False

    def sign(self, text: str) -> bool:
        if self.token.kind == text:
            self.advance()
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.sign(sign):
            self.unexpected()

    def expect_word(self, text: str) -> None:
        if not self.word(text):
            self.unexpected()

    def unexpected(self) -> NoReturn:
        if self.token.kind == "end":
            raise malformed("Unexpected end of statement")
        if self.keyword():
            raise malformed("Unexpected keyword")
        raise malformed(f"Unexpected token: {self.token.text}")

    def inside(self, rule: Callable[[], T]) -> T:
        """`rule`, one level deeper."""
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise malformed(f"More than {NESTING_MAX} levels of nesting")
        found = rule()
        self.depth -= 1
        return found

    # -- statements

    def statement(self) -> Statement:
        match self.keyword():
            case "SELECT":
                body: Body = self.select()
            case "INSERT":
                body = self.insert()
            case "UPDATE":
                body = self.update()
            case "DELETE":
                body = self.delete()
            case "EXISTS":
                self.advance()
                self.expect("(")
                body = Exists(self.select())
                self.expect(")")
            case _:
                raise malformed("Expected data manipulation")
        self.sign(";")
        if self.token.kind != "end":
            if self.keyword() in _UNSUPPORTED:
                raise malformed(f"Unsupported clause: {self.keyword()}")
            self.unexpected()
        return Statement(body, tuple(self.literals), self.parameters)

    def select(self) -> Select:
        self.expect_word("SELECT")
        paths: list[Path] | None = None
        if not self.sign("*"):
            paths = [self.path()]
            while self.sign(","):
                paths.append(self.path())
        self.expect_word("FROM")
        table = self.name()
        index = self.name() if self.sign(".") else ""
        where = self.where()
        order: list[tuple[str, bool]] = []
        if self.word("ORDER"):
            if where is None:
                raise malformed("Must have WHERE clause in the statement when using ORDER BY clause.")
            self.expect_word("BY")
            order.append(self.ordering())
            while self.sign(","):
                order.append(self.ordering())
        return Select(table, index, None if paths is None else tuple(paths), where, tuple(order))

    def ordering(self) -> tuple[str, bool]:
        name = self.name()
        if self.word("DESC"):
            return name, True
        self.word("ASC")
        return name, False

    def insert(self) -> Insert:
        self.advance()
        self.expect_word("INTO")
        table = self.name()
        self.expect_word("VALUE")
        return Insert(table, self.literal_ref())

    def update(self) -> Update:
        self.advance()
        table = self.name()
        actions: list[Action] = []
        while self.keyword() in ("SET", "REMOVE"):
            section = self.advance().text.upper()
            actions.append(self.action(section))
            while self.sign(","):
                actions.append(self.action(section))
        if not actions:
            self.unexpected()
        where = self.where()
        return Update(table, tuple(actions), where, self.returning())

    def action(self, section: str) -> Action:
        path = self.path()
        if section == "REMOVE":
            return Action("REMOVE", path, None)
        self.expect("=")
        if self.token.kind == "word" and self.token.text.upper() in ("SET_ADD", "SET_DELETE"):
            verb = "ADD" if self.advance().text.upper() == "SET_ADD" else "DELETE"
            self.expect("(")
            if self.path().parts != path.parts:
                raise malformed(f"The first argument of SET_{verb} must be the attribute that is set")
            self.expect(",")
            value = self.literal_ref()
            self.expect(")")
            return Action(verb, path, value)
        return Action("SET", path, self.arithmetic())

    def arithmetic(self) -> Operand:
        left = self.set_operand()
        while self.token.kind in ("+", "-"):
            operator = self.advance().kind
            left = Arithmetic(operator, left, self.set_operand())
        return left

    def set_operand(self) -> Operand:
        if self.token.kind == "word" and self.token.text.upper() == "LIST_APPEND":
            self.advance()
            self.expect("(")
            first = self.inside(self.set_operand)
            self.expect(",")
            second = self.inside(self.set_operand)
            self.expect(")")
            return Call("list_append", (first, second))
        return self.operand()

    def delete(self) -> Delete:
        self.advance()
        self.expect_word("FROM")
        table = self.name()
        where = self.where()
        return Delete(table, where, self.returning())

    def returning(self) -> str:
        if not self.word("RETURNING"):
            return "NONE"
        which = self.advance().text.upper(), self.advance().text.upper()
        self.expect("*")
        if which not in _RETURNING:
            raise malformed("Unsupported RETURNING clause")
        return _RETURNING[which]

    def where(self) -> Condition | None:
        return self.disjunction() if self.word("WHERE") else None

    # -- names, paths

    def name(self) -> str:
        if self.token.kind == "quoted" or (self.token.kind == "word" and not self.keyword()):
            return self.advance().text
        if self.token.kind == "end" or self.keyword():
            self.unexpected()
        raise malformed("Expected identifier")

    def path(self) -> Path:
        parts: list[str | int] = [self.name()]
        while True:
            if self.sign("."):
                parts.append(self.name())
            elif self.sign("["):
                if self.token.kind == "string":
                    parts.append(self.advance().text)
                elif self.token.kind == "number" and self.token.text.isdigit() and len(self.token.text) <= 9:
                    parts.append(int(self.advance().text))
                else:
                    self.unexpected()
                self.expect("]")
            else:
                return Path(tuple(parts))

    # -- literals

    def literal_ref(self) -> ValueRef:
        self.literals.append(self.literal())
        return ValueRef(f":{len(self.literals) - 1}")

    def literal(self) -> Literal:
        token = self.token
        match token.kind:
            case "?":
                self.advance()
                self.parameters += 1
                return Parameter(self.parameters - 1)
            case "string":
                return Text(self.advance().text)
            case "number":
                return Number(self.advance().text)
            case "-" | "+":
                self.advance()
                if self.token.kind != "number":
                    self.unexpected()
                return Number(("-" if token.kind == "-" else "") + self.advance().text)
            case "[":
                self.advance()
                return self.listed("]")
            case "<<":
                self.advance()
                return Bag(tuple(self.listed(">>")))
            case "{":
                self.advance()
                return self.members()
        match self.keyword():
            case "TRUE":
                self.advance()
                return True
            case "FALSE":
                self.advance()
                return False
            case "NULL":
                self.advance()
                return None
        self.unexpected()

    def listed(self, end: str) -> list[Literal]:
        found: list[Literal] = []
        while not self.sign(end):
            if found:
                self.expect(",")
            found.append(self.inside(self.literal))
        return found

    def members(self) -> dict[str, Literal]:
        found: dict[str, Literal] = {}
        while not self.sign("}"):
            if found:
                self.expect(",")
            if self.token.kind != "string":
                raise malformed("Expected a string as the name of an attribute")
            name = self.advance().text
            self.expect(":")
            if name in found:
                raise malformed(f"Duplicate attribute in the item: {name}")
            found[name] = self.inside(self.literal)
        return found

    # -- conditions

    def disjunction(self) -> Condition:
        found = [self.conjunction()]
        while self.word("OR"):
            found.append(self.conjunction())
        return found[0] if len(found) == 1 else Junction("OR", tuple(found))

    def conjunction(self) -> Condition:
        found = [self.term()]
        while self.word("AND"):
            found.append(self.term())
        return found[0] if len(found) == 1 else Junction("AND", tuple(found))

    def term(self) -> Condition:
        if self.word("NOT"):
            return Not(self.inside(self.term))
        if self.sign("("):
            inner = self.inside(self.disjunction)
            self.expect(")")
            return inner
        left = self.operand()
        if isinstance(left, Call) and left.function != "size":
            return left
        return self.comparison(left)

    def operand(self) -> Operand:
        if self.token.kind == "quoted":
            return self.path()
        if self.token.kind == "word":
            name = self.token.text.upper()
            if self.tokens[self.at + 1].kind == "(" and not self.keyword():
                return self.call(name)
            if not self.keyword():
                return self.path()
        return self.literal_ref()

    def call(self, name: str) -> Call:
        if name not in _FUNCTIONS:
            raise malformed(f"Unsupported function: {self.token.text}")
        self.advance()
        self.expect("(")
        operands = [self.inside(self.operand)]
        while self.sign(","):
            operands.append(self.inside(self.operand))
        self.expect(")")
        if len(operands) != _FUNCTIONS[name]:
            raise malformed(f"Incorrect number of arguments for function: {name}")
        return Call(name.lower(), tuple(operands))

    def comparison(self, left: Operand) -> Condition:
        if self.token.kind in _COMPARATORS:
            operator = _COMPARATORS[self.advance().kind]
            return Comparison(operator, (left, self.operand()))
        if self.word("BETWEEN"):
            low = self.operand()
            self.expect_word("AND")
            return Comparison("BETWEEN", (left, low, self.operand()))
        if self.word("IN"):
            end = {"(": ")", "[": "]", "<<": ">>"}.get(self.token.kind)
            if end is None:
                self.unexpected()
            self.advance()
            options = [self.inside(self.operand)]
            while self.sign(","):
                options.append(self.inside(self.operand))
            self.expect(end)
            if len(options) > IN_OPERANDS_MAX:
                raise errors.validation(
                    f"The IN operator is provided with too many operands; number of operands: {len(options)}"
                )
            return Comparison("IN", (left, *options))
        if self.word("IS"):
            negated = self.word("NOT")
            if self.word("MISSING"):
                if not isinstance(left, Path):
                    self.unexpected()
                return Call("attribute_exists" if negated else "attribute_not_exists", (left,))
            self.expect_word("NULL")
            self.literals.append(None)
            test = Comparison("=", (left, ValueRef(f":{len(self.literals) - 1}")))
            return Not(test) if negated else test
        self.unexpected()
