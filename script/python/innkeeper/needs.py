"""Finds calls that no backend of theirs can do, before the script begins.

Refused is only what is certain to be called: a statement of the script itself, also inside ``with subtest(...)``, that no
condition, loop, function or ``try`` stands around. All else is left to the call, which says the same.
"""

import ast
import os

from . import errors, symbols

_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Assert)
_DEFERRED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_HEADINGS = {"subtest", "nested"}
# After these the script may be over, and all is well.
_ENDS = {"exit", "_exit", "quit", "SystemExit"}
# With these a name may be anything.
_MAGIC = {"exec", "eval", "globals", "vars", "setattr", "delattr", "patch", "__dict__", "*"}


def check(source, script, machines):
    """Raises, at the line of the call, what the driver says of the first call that cannot be done.

    ``machines`` is the driver's description of them, which has an answer under ``cannot`` for each verb to refuse.
    """
    if not any(machine["cannot"] for machine in machines):
        return
    found = _find(ast.parse(source, script), os.path.dirname(os.path.abspath(script)), _variables(machines))
    if found:
        line, message = found
        tree = ast.increment_lineno(ast.parse("raise error", script), line - 1)
        exec(compile(tree, script, "exec"), {"error": errors.MachineError(message)})


def _variables(machines):
    variables = {symbols.variable_name(machine["name"]): machine["cannot"] for machine in machines}
    if len(machines) == 1:
        variables.setdefault("machine", machines[0]["cannot"])
    return variables


def _find(tree, folder, variables):
    bound, words, attributes = set(), set(), set()
    for node in ast.walk(tree):
        words |= _words(node)
        if isinstance(node, ast.alias):
            # A module of the author's can end the script, too.
            if _is_beside(node.name, folder):
                return None
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ImportFrom) and (node.level or _is_beside(node.module, folder)):
            return None
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            attributes.add(node.attr)
        elif isinstance(getattr(node, "name", None), str):
            bound.add(node.name)
    if words & _MAGIC or bound & (_HEADINGS | {"*"}):
        return None
    for statement in _straight(tree.body):
        if isinstance(statement, _SIMPLE):
            for call in _calls(statement):
                variable, verb = call.func.value.id, call.func.attr
                message = variables.get(variable, {}).get(verb)
                if message and variable not in bound and verb not in attributes:
                    return call.lineno, message
        elif isinstance(statement, ast.Raise):
            return None
        if any(_words(node) & _ENDS for node in ast.walk(statement)):
            return None
    return None


def _words(node):
    return {getattr(node, "id", None), getattr(node, "attr", None)}


def _is_beside(module, folder):
    path = os.path.join(folder, module.split(".")[0])
    return os.path.exists(path) or os.path.exists(path + ".py")


def _straight(statements):
    """The statements that are executed one after the other, those under headings among them."""
    for statement in statements:
        if isinstance(statement, ast.With) and all(_is_heading(item.context_expr) for item in statement.items):
            yield from _straight(statement.body)
        else:
            yield statement


def _is_heading(expression):
    called = getattr(expression, "func", None)
    return getattr(called, "id", None) == "subtest" or getattr(called, "attr", None) in _HEADINGS


def _calls(node):
    """The calls ``NAME.VERB(...)`` that a statement makes in any case."""
    if isinstance(node, _DEFERRED):
        return
    if isinstance(node, ast.BoolOp):
        inside = node.values[:1]
    elif isinstance(node, (ast.IfExp, ast.Assert)):
        inside = [node.test]
    elif isinstance(node, ast.Compare):
        inside = [node.left, node.comparators[0]]
    else:
        inside = ast.iter_child_nodes(node)
    for child in inside:
        yield from _calls(child)
    called = getattr(node, "func", None)
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        yield node
