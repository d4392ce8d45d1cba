"""Computes the values in the text of a Python config file, without running it, in bounded time and memory."""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import ConfigError, show
from .python_templates import Templates

MAX_DEPTH = 100
# Elements of one list, tuple or dict, and characters of one string.
MAX_ELEMENTS = 100_000
MAX_CHARACTERS = 1_000_000
# Nodes of the text that are computed, a loop's body as often as it repeats, and the elements and characters they make.
MAX_OPERATIONS = 2_000_000
# Python prints no int of more than 4,300 digits.
MAX_BITS = 4096

ACCEPTED = (
    "accepted are constants, names defined before, dict(), {}, [], (), f-strings, + - * / //, comparisons, x[i], "
    "comprehensions, calls of dict, range, len, int, enumerate, and name.update({...}) as a statement"
)
_Scalar = (str, int, float, bool, type(None))
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Evaluator:
    """Computes the statements of one file.

    Objects are shared as in Python: ``b = a`` and then ``a.update({...})`` changes both.

    Args:
        file: the file's path, for errors and for ``{{ fileDirname }}`` and its relatives.
        base: the merged config of the file's bases, from which ``{{ _base_.key }}`` takes values.
    """

    def __init__(self, file: str, base: Mapping[str, Any]) -> None:
        self._file = file
        self._templates = Templates(file, base)
        self._operations = 0
        self.names: dict[str, Any] = {}

    def run(self, module: ast.Module) -> dict[str, Any]:
        """Compute every statement and return the top-level names; raises ConfigError with file, line and construct."""
        for statement in module.body:
            self._statement(statement)
        return self.names

    def value(self, node: ast.AST, local: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
        """Return the value of an expression."""
        self._spend(node, 1)
        if depth > MAX_DEPTH:
            raise self._error(node, f"nested more than {MAX_DEPTH} levels deep; make it flatter")
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self._refuse(node)
        try:
            return self._bounded(node, method(node, local or {}, depth + 1))
        except (TypeError, ValueError, ArithmeticError, LookupError) as err:
            if isinstance(err, ConfigError):
                raise
            raise self._error(node, f"{type(err).__name__}: {err}") from None

    # Statements

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assign(node.targets[0], node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._update(node.value)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):  # a docstring says nothing
            raise self._refuse(node)

    def _assign(self, target: ast.expr, expression: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.names[self._plain_name(target)] = self.value(expression)
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value), self.value(target.slice)
            if not isinstance(owner, dict | list):
                raise self._error(target, f"only an element of a dict or a list can be set; this is {show(owner)}")
            value = self.value(expression)
            try:
                owner[key] = value
            except (TypeError, IndexError) as err:
                raise self._error(target, f"{type(err).__name__}: {err}") from None
        else:
            raise self._refuse(target)

    def _update(self, call: ast.Call) -> None:
        target = call.func
        if not isinstance(target, ast.Attribute) or target.attr != "update" or not isinstance(target.value, ast.Name):
            raise self._refuse(call)
        owner = self.value(target.value)
        if not isinstance(owner, dict) or len(call.args) > 1:
            raise self._error(call, f"update takes one dict and belongs to a dict; this is {show(owner)}")
        given = self.value(call.args[0]) if call.args else {}
        if not isinstance(given, dict):
            raise self._error(call, f"update takes a dict; came {show(given)}")
        owner.update(given)
        owner.update(self._keywords(call, {}, 0))
        self._bounded(call, owner)

    # Expressions: one method for each class of the syntax tree

    def _constant(self, node: ast.Constant, local: Mapping[str, Any], depth: int) -> Any:
        if type(node.value) not in _Scalar:
            raise self._refuse(node)
        return self._fill(node, node.value) if isinstance(node.value, str) else node.value

    def _name(self, node: ast.Name, local: Mapping[str, Any], depth: int) -> Any:
        name = self._plain_name(node)
        if name in local:
            return local[name]
        if name not in self.names:
            raise self._error(node, f"the name {name} is not defined before; {ACCEPTED}")
        return self.names[name]

    def _list(self, node: ast.List, local: Mapping[str, Any], depth: int) -> list[Any]:
        return [self.value(item, local, depth) for item in node.elts]

    def _tuple(self, node: ast.Tuple, local: Mapping[str, Any], depth: int) -> tuple[Any, ...]:
        return tuple(self._list(node, local, depth))  # type: ignore[arg-type]  # both have elts

    def _dict(self, node: ast.Dict, local: Mapping[str, Any], depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                result.update(self._mapping(item, local, depth))
            else:
                result[self._key(key, local, depth)] = self.value(item, local, depth)
        return result

    def _set(self, node: ast.Set, local: Mapping[str, Any], depth: int) -> Any:
        """``{{ _base_.key }}`` without quotes, which Python reads as a set in a set."""
        inner = node.elts[0] if len(node.elts) == 1 else None
        if not isinstance(inner, ast.Set) or len(inner.elts) != 1:
            raise self._refuse(node)
        item = inner.elts[0]
        text = str(item.value) if isinstance(item, ast.Constant) else ast.unparse(item)
        filled = self._fill(node, f"{{{{{text}}}}}")
        if isinstance(item, ast.Constant) and isinstance(filled, str):  # {{'$NAME:1'}} stands for a value, not for text
            try:
                return ast.literal_eval(filled)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return filled
        return filled

    def _unaryop(self, node: ast.UnaryOp, local: Mapping[str, Any], depth: int) -> Any:
        value = self.value(node.operand, local, depth)
        if not isinstance(node.op, ast.USub | ast.UAdd) or not isinstance(value, int | float):
            raise self._refuse(node)
        return -value if isinstance(node.op, ast.USub) else +value

    def _binop(self, node: ast.BinOp, local: Mapping[str, Any], depth: int) -> Any:
        operate = _OPERATORS.get(type(node.op))
        if operate is None:
            raise self._refuse(node)
        left, right = self.value(node.left, local, depth), self.value(node.right, local, depth)
        if operate is operator.mul:
            self._check_repetition(node, left, right)
        return self._made(node, operate(left, right))

    def _compare(self, node: ast.Compare, local: Mapping[str, Any], depth: int) -> bool:
        values = [self.value(item, local, depth) for item in (node.left, *node.comparators)]
        if not all(isinstance(value, _Scalar) for value in values):  # two nested lists may take for ever
            raise self._error(node, "only numbers and strings can be compared")
        if not all(type(op) in _COMPARISONS for op in node.ops):
            raise self._refuse(node)
        return all(_COMPARISONS[type(op)](a, b) for op, a, b in zip(node.ops, values, values[1:], strict=False))

    def _subscript(self, node: ast.Subscript, local: Mapping[str, Any], depth: int) -> Any:
        return self.value(node.value, local, depth)[self.value(node.slice, local, depth)]

    def _joinedstr(self, node: ast.JoinedStr, local: Mapping[str, Any], depth: int) -> str:
        parts = [self.value(part, local, depth) for part in node.values]
        return self._made(node, "".join(map(str, parts)))

    def _formattedvalue(self, node: ast.FormattedValue, local: Mapping[str, Any], depth: int) -> str:
        value = self.value(node.value, local, depth)
        if node.format_spec is not None or node.conversion != -1 or not isinstance(value, _Scalar):
            raise self._error(node, "a field of an f-string takes a number or a string, without a format")
        return str(value)

    def _listcomp(self, node: ast.ListComp, local: Mapping[str, Any], depth: int) -> list[Any]:
        return [self.value(node.elt, scope, depth) for scope in self._scopes(node, node.generators, local, depth)]

    def _dictcomp(self, node: ast.DictComp, local: Mapping[str, Any], depth: int) -> dict[Any, Any]:
        scopes = self._scopes(node, node.generators, local, depth)
        return {self._key(node.key, scope, depth): self.value(node.value, scope, depth) for scope in scopes}

    def _call(self, node: ast.Call, local: Mapping[str, Any], depth: int) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        arguments = [self.value(item, local, depth) for item in node.args if name in _CALLS]
        if name == "dict" and not arguments:
            return self._keywords(node, local, depth)
        if name not in _CALLS or node.keywords:
            raise self._refuse(node)
        if name == "int" and not (len(arguments) == 1 and isinstance(arguments[0], _Scalar)):
            raise self._error(node, "int() takes one number or string")
        if name == "range" and len(range(*arguments)) > MAX_ELEMENTS:
            raise self._error(node, f"a range of more than {MAX_ELEMENTS:,} numbers")
        return self._made(node, _CALLS[name](*arguments))

    # Parts of expressions

    def _keywords(self, node: ast.Call, local: Mapping[str, Any], depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                result.update(self._mapping(keyword.value, local, depth))
            else:
                result[keyword.arg] = self.value(keyword.value, local, depth)
        return result

    def _mapping(self, node: ast.expr, local: Mapping[str, Any], depth: int) -> dict[Any, Any]:
        value = self.value(node, local, depth)
        if not isinstance(value, dict):
            raise self._error(node, f"** takes a dict; came {show(value)}")
        return self._made(node, value)

    def _key(self, node: ast.expr, local: Mapping[str, Any], depth: int) -> Any:
        key = self.value(node, local, depth)
        if not isinstance(key, _Scalar):
            raise self._error(node, f"a key is a string or a number; came {show(key)}")
        return key

    def _scopes(
        self, node: ast.expr, loops: list[ast.comprehension], local: Mapping[str, Any], depth: int
    ) -> Iterator[dict[str, Any]]:
        """Yield the local names of each round of a comprehension's loops."""
        if not loops:
            yield dict(local)
            return
        loop, rest = loops[0], loops[1:]
        items = self.value(loop.iter, local, depth)
        if loop.is_async or not isinstance(items, list | tuple | dict | str):
            raise self._error(node, f"a comprehension goes over a list, a range or enumerate(); came {show(items)}")
        for item in items:
            self._spend(node, 1 + len(local))
            scope = {**local, **self._unpack(loop.target, item)}
            if all(self.value(condition, scope, depth) for condition in loop.ifs):
                yield from self._scopes(node, rest, scope, depth + 1)

    def _unpack(self, target: ast.expr, item: Any) -> dict[str, Any]:
        if isinstance(target, ast.Name):
            return {self._plain_name(target): item}
        if not isinstance(target, ast.Tuple) or not isinstance(item, list | tuple) or len(target.elts) != len(item):
            raise self._refuse(target)
        pairs = zip(target.elts, item, strict=True)
        return {name: value for part, each in pairs for name, value in self._unpack(part, each).items()}

    def _fill(self, node: ast.AST, text: str) -> Any:
        if "{{" not in text:
            return text
        try:
            return self._made(node, self._templates.fill(text))
        except LookupError as err:
            raise self._error(node, str(err.args[0])) from None

    # Bounds and errors

    def _check_repetition(self, node: ast.AST, left: Any, right: Any) -> None:
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, list | tuple | str) and isinstance(times, int):
                limit = MAX_CHARACTERS if isinstance(sequence, str) else MAX_ELEMENTS
                if len(sequence) * times > limit:
                    raise self._error(node, f"the result would have more than {limit:,} elements")

    def _bounded(self, node: ast.AST, value: Any) -> Any:
        if isinstance(value, str) and len(value) > MAX_CHARACTERS:
            raise self._error(node, f"a string of more than {MAX_CHARACTERS:,} characters")
        if isinstance(value, list | tuple | dict) and len(value) > MAX_ELEMENTS:
            raise self._error(node, f"more than {MAX_ELEMENTS:,} elements")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self._error(node, f"an int of more than {MAX_BITS} bits")
        return value

    def _made(self, node: ast.AST, value: Any) -> Any:
        """Count the elements of a new value: a loop that makes large ones must end."""
        if isinstance(value, str | list | tuple | dict):
            self._spend(node, len(value))
        return value

    def _spend(self, node: ast.AST, operations: int) -> None:
        self._operations += operations
        if self._operations > MAX_OPERATIONS:
            raise self._error(node, f"more than {MAX_OPERATIONS:,} operations or new elements; write less")

    def _plain_name(self, node: ast.Name) -> str:
        if node.id.startswith("__"):
            raise self._refuse(node)
        return node.id

    def _refuse(self, node: ast.AST) -> ConfigError:
        return self._error(node, f"`{_excerpt(node)}` ({type(node).__name__}) is not accepted; {ACCEPTED}")

    def _error(self, node: ast.AST, problem: str) -> ConfigError:
        return ConfigError(f"{self._file}:{getattr(node, 'lineno', 1)}: {problem}")


def _enumerate(items: list[Any], start: int = 0) -> list[tuple[int, Any]]:
    return list(enumerate(items, start))


_CALLS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "range": lambda *bounds: list(range(*bounds)),
    "len": len,
    "int": int,
    "enumerate": _enumerate,
}


def _excerpt(node: ast.AST) -> str:
    try:
        text = ast.unparse(node)
    except (RecursionError, ValueError):
        return "..."
    return " ".join(text.split())[:60]
