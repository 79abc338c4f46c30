"""Tokens to syntax tree: recursive descent over the language's grammar.

Like AWS, it first finds errors of syntax anywhere in the text, and only then the first of those that the tree shows
(reserved words, wrong functions, superfluous parentheses).

Sources: "Condition and filter expressions, operators, and functions in DynamoDB", "Using update expressions in
DynamoDB", "Using projection expressions in DynamoDB"; the wording of the errors: AWS's own answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors
from pileus.services.dynamodb.expressions.cache import remembered
from pileus.services.dynamodb.expressions.lexer import Token, tokens
from pileus.services.dynamodb.expressions.reserved import RESERVED
from pileus.services.dynamodb.expressions.tree import (
    Action,
    Arithmetic,
    Call,
    Comparison,
    Condition,
    Junction,
    Not,
    Operand,
    Parsed,
    Path,
    ValueRef,
)

T = TypeVar("T")

EXPRESSION_BYTES_MAX = 4096
OPERATORS_MAX = 300
PATH_PARTS_MAX = 32
IN_OPERANDS_MAX = 100
LIST_INDEX_MAX = 2**31 - 1
# Parentheses and calls inside one another. AWS names no figure; ours keeps the stack small.
NESTING_MAX = 150

COMPARATORS = frozenset(("=", "<>", "<", "<=", ">", ">="))
# Functions and how many operands they take.
PREDICATES = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
CONDITION_FUNCTIONS = {**PREDICATES, "size": 1}
UPDATE_FUNCTIONS = {"if_not_exists": 2, "list_append": 2}
# Their first operand is an attribute, not a value.
ON_PATHS = frozenset(("attribute_exists", "attribute_not_exists", "if_not_exists"))
SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")
CONDITION_KEYWORDS = frozenset(("AND", "OR", "NOT", "IN", "BETWEEN"))

# How errors call the kinds of expression.
_SPOKEN = {
    "ConditionExpression": "condition",
    "FilterExpression": "filter",
    "KeyConditionExpression": "key condition",
    "UpdateExpression": "update",
    "ProjectionExpression": "projection",
}


@remembered
def parse_condition(kind: str, text: str) -> Parsed[Condition]:
    """A ConditionExpression, FilterExpression or KeyConditionExpression, which `kind` says."""
    return _Parser(kind, text, CONDITION_FUNCTIONS, CONDITION_KEYWORDS).parse(_Parser.condition)


@remembered
def parse_update(text: str) -> Parsed[tuple[Action, ...]]:
    return _Parser("UpdateExpression", text, UPDATE_FUNCTIONS, frozenset(SECTIONS)).parse(_Parser.update)


@remembered
def parse_projection(text: str) -> Parsed[tuple[Path, ...]]:
    return _Parser("ProjectionExpression", text, {}, frozenset()).parse(_Parser.projection)


class _Parser:
    """One text on its way to a tree."""

    def __init__(self, kind: str, text: str, functions: dict[str, int], keywords: frozenset[str]) -> None:
        size = len(text.encode())
        if size > EXPRESSION_BYTES_MAX:
            raise errors.expression(
                kind, f"Expression size has exceeded the maximum allowed size; expression size: {size}"
            )
        self.kind = kind
        self.text = text
        self.functions = functions
        self.keywords = keywords
        self.tokens = tokens(text)
        if len(self.tokens) == 1:
            raise errors.expression(kind, "The expression can not be empty;")
        self.at = 0
        self.token = self.tokens[0]
        self.depth = 0
        self.operators = 0
        # The first error that is none of syntax.
        self.problem: AWSError | None = None
        # The node that the last closed pair of parentheses held.
        self.enclosed: object = None
        self.names: dict[str, None] = {}
        self.values: dict[str, None] = {}

    def parse(self, rule: Callable[[_Parser], T]) -> Parsed[T]:
        tree = rule(self)
        if self.token.kind != "end":
            self.syntax_error()
        if self.problem is not None:
            raise self.problem
        if self.operators > OPERATORS_MAX:
            # AWS counts no further.
            raise errors.expression(
                self.kind, f"The expression contains too many operators; operator count: {OPERATORS_MAX + 1}"
            )
        return Parsed(tree, tuple(self.names), tuple(self.values))

    # -- tokens

    def advance(self) -> Token:
        token = self.token
        self.at += 1
        self.token = self.tokens[self.at]
        return token

    def expect(self, kind: str) -> Token:
        if self.token.kind != kind:
            self.syntax_error()
        return self.advance()

    def keyword(self) -> str:
        """The keyword that comes next, in capitals, or ""."""
        if self.token.kind == "word" and (word := self.token.text.upper()) in self.keywords:
            return word
        return ""

    def syntax_error(self) -> NoReturn:
        """`near` is what is written from the token before to the one after."""
        start = self.tokens[max(self.at - 1, 0)].start
        stop = self.tokens[min(self.at + 1, len(self.tokens) - 1)].stop
        raise errors.expression(self.kind, f'Syntax error; token: "{self.token.text}", near: "{self.text[start:stop]}"')

    def note(self, message: str) -> None:
        """Remember an error that counts once the syntax has proved right."""
        if self.problem is None:
            self.problem = errors.expression(self.kind, message)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise errors.expression(self.kind, f"The expression has more than {NESTING_MAX} levels of nesting;")

    # -- paths, values, functions

    def path(self) -> Path:
        parts: list[str | int] = [self.path_name()]
        while True:
            if self.token.kind == ".":
                self.advance()
                parts.append(self.path_name())
            elif self.token.kind == "[":
                self.advance()
                digits = self.expect("number").text
                self.expect("]")
                if len(digits.lstrip("0")) > 10 or int(digits) > LIST_INDEX_MAX:
                    self.note(f"List index is not within the allowable range; index: [{digits}]")
                    digits = "0"
                parts.append(int(digits))
            else:
                break
        if len(parts) > PATH_PARTS_MAX:
            self.note(f"The document path has too many nesting elements; nesting levels: {len(parts)}")
        return Path(tuple(parts))

    def path_name(self) -> str:
        if self.token.kind == "name":
            self.names[self.token.text] = None
            return self.advance().text
        if self.token.kind != "word" or self.keyword():
            self.syntax_error()
        word = self.advance().text
        if word.upper() in RESERVED:
            self.note(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        return word

    def value_ref(self) -> ValueRef:
        name = self.expect("value").text
        self.values[name] = None
        return ValueRef(name)

    def operand(self) -> Operand:
        """A path, a value or a call, in parentheses or not."""
        if self.token.kind == "value":
            return self.value_ref()
        if self.token.kind == "(":
            return self.group(self.arithmetic if self.kind == "UpdateExpression" else self.operand)
        if self.token.kind == "word" and self.tokens[self.at + 1].kind == "(" and not self.keyword():
            return self.call()
        return self.path()

    def group(self, rule: Callable[[], T]) -> T:
        """What `rule` finds, in parentheses."""
        self.expect("(")
        self.deeper()
        inner = rule()
        self.expect(")")
        self.depth -= 1
        if inner is self.enclosed:
            self.note("The expression has redundant parentheses;")
        self.enclosed = inner
        return inner

    def call(self) -> Call:
        function = self.advance().text
        self.operators += 1
        self.expect("(")
        self.deeper()
        operands = [self.operand()]
        while self.token.kind == ",":
            self.advance()
            operands.append(self.operand())
        self.expect(")")
        self.depth -= 1
        self.check_call(function, operands)
        return Call(function, tuple(operands))

    def check_call(self, function: str, operands: list[Operand]) -> None:
        count = self.functions.get(function)
        if count is None:
            if function in CONDITION_FUNCTIONS or function in UPDATE_FUNCTIONS:
                spoken = _SPOKEN[self.kind]
                article = "an" if spoken == "update" else "a"
                self.note(f"The function is not allowed in {article} {spoken} expression; function: {function}")
            else:
                self.note(f"Invalid function name; function: {function}")
            return
        if count != len(operands):
            self.note(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {function}, number of operands: {len(operands)}"
            )
            return
        for operand in operands:
            if isinstance(operand, Call) and operand.function in PREDICATES:
                self.misplaced(operand.function)
        if function in ON_PATHS and not isinstance(operands[0], Path):
            self.note(f"Operator or function requires a document path; operator or function: {function}")

    def misplaced(self, function: str) -> None:
        self.note(f"The function is not allowed to be used this way in an expression; function: {function}")

    # -- conditions

    def condition(self) -> Condition:
        tree = self.junction()
        if isinstance(tree, Path | ValueRef | Arithmetic):
            self.syntax_error()
        return self.predicate(tree)

    def predicate(self, node: Condition) -> Condition:
        """`node`, which stands where a yes or no is wanted."""
        if isinstance(node, Call) and node.function == "size":
            self.misplaced(node.function)
        return node

    def junction(self) -> Condition | Operand:
        """Conditions joined by OR and AND; a lone operand only where parentheses close behind it."""
        alternatives = [self.conjunction()]
        while self.keyword() == "OR":
            self.advance()
            self.operators += 1
            alternatives.append(self.conjunction())
        return self.join("OR", alternatives)

    def conjunction(self) -> Condition | Operand:
        terms = [self.term()]
        while self.keyword() == "AND":
            self.advance()
            self.operators += 1
            terms.append(self.term())
        return self.join("AND", terms)

    def join(self, operator: str, found: list[Condition | Operand]) -> Condition | Operand:
        if len(found) == 1:
            return found[0]
        conditions: list[Condition] = []
        for node in found:
            if isinstance(node, Path | ValueRef | Arithmetic):
                self.syntax_error()
            conditions.append(self.predicate(node))
        return Junction(operator, tuple(conditions))

    def term(self) -> Condition | Operand:
        negations = 0
        while self.keyword() == "NOT":
            self.advance()
            self.operators += 1
            negations += 1
        node = self.group(self.junction) if self.token.kind == "(" else self.operand()
        if not isinstance(node, Comparison | Not | Junction):
            node = self.comparison(node)
        if negations:
            if isinstance(node, Path | ValueRef | Arithmetic):
                self.syntax_error()
            # NOT NOT x is x.
            node = self.predicate(node)
            return Not(node) if negations % 2 else node
        return node

    def comparison(self, left: Operand) -> Condition | Operand:
        """What follows an operand; the operand itself where it may stand alone."""
        operator = self.keyword() or self.token.kind
        operands = [left]
        if operator in COMPARATORS:
            self.advance()
            operands.append(self.operand())
        elif operator == "BETWEEN":
            self.advance()
            operands.append(self.operand())
            if self.keyword() != "AND":
                self.syntax_error()
            self.advance()
            operands.append(self.operand())
        elif operator == "IN":
            self.advance()
            self.expect("(")
            operands.append(self.operand())
            while self.token.kind == ",":
                self.advance()
                operands.append(self.operand())
            self.expect(")")
            if len(operands) - 1 > IN_OPERANDS_MAX:
                self.note(
                    f"The IN operator is provided with too many operands; number of operands: {len(operands) - 1}"
                )
        elif isinstance(left, Call) or (operator == ")" and self.depth):
            return left
        else:
            self.syntax_error()
        self.operators += 1
        for operand in operands:
            if isinstance(operand, Call) and operand.function in PREDICATES:
                self.misplaced(operand.function)
        return Comparison(operator, tuple(operands))

    # -- updates

    def update(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        seen: set[str] = set()
        while self.token.kind != "end":
            section = self.keyword()
            if not section:
                self.syntax_error()
            self.advance()
            if section in seen:
                self.note(f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            actions.append(self.action(section))
            while self.token.kind == ",":
                self.advance()
                actions.append(self.action(section))
        return tuple(actions)

    def action(self, section: str) -> Action:
        path = self.path()
        if section == "REMOVE":
            return Action(section, path, None)
        if section == "SET":
            self.expect("=")
            return Action(section, path, self.arithmetic())
        return Action(section, path, self.value_ref())

    def arithmetic(self) -> Operand:
        left = self.operand()
        while self.token.kind in ("+", "-"):
            operator = self.advance().kind
            self.operators += 1
            left = Arithmetic(operator, left, self.operand())
        return left

    # -- projections

    def projection(self) -> tuple[Path, ...]:
        paths = [self.path()]
        while self.token.kind == ",":
            self.advance()
            paths.append(self.path())
        return tuple(paths)
