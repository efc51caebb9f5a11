"""Makes Python functions of the driver's table of verbs: real signatures, real docs, checked arguments."""

import datetime
import inspect
import json
import os
import re


def duration(value):
    """Seconds, of a number or a ``datetime.timedelta``; ``None`` stays."""
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
        raise TypeError("expected a duration, got %s: %r" % (type(value).__name__, value))
    return value


def _text(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    # Numbers are often given where the guest wants words: ports, terminals, exit codes.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError("expected a string, got %s: %r" % (type(value).__name__, value))


def _integer(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TypeError("expected a whole number, got %s: %r" % (type(value).__name__, value)) from None


def _path(value):
    return os.path.join(os.getcwd(), os.fsdecode(value))


def _pattern(value):
    # A bad pattern is the script's mistake and is raised here, by the script's own engine.
    return re.compile(value).pattern


_CONVERT = {
    "text": _text,
    "texts": lambda values: [_text(value) for value in values],
    "integer": _integer,
    "bool": bool,
    "duration": duration,
    "pattern": _pattern,
    "path": _path,
}

_RESULT = {"status_and_text": tuple}


def function(connection, verb):
    """The function of one verb. That of a machine takes the machine first, as a method does."""
    name, of_machine = verb["name"], verb["target"] == "machine"
    signature = _signature(verb)
    kinds = {param["name"]: param["kind"] for param in verb["params"]}
    shape = _RESULT.get(verb["returns"], lambda value: value)

    def call(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError("%s() %s" % (name, error)) from None
        machine = given.pop("self").name if of_machine else None
        patterns = {}
        converted = {}
        for param, value in given.items():
            kind = kinds[param]
            try:
                converted[param] = _CONVERT.get(kind, lambda value: value)(value)
            except TypeError as error:
                raise TypeError("%s (argument `%s` of %s())" % (error, param, name)) from None
            if kind == "pattern":
                patterns[converted[param]] = re.compile(value)
        params = {"verb": name, "machine": machine, "args": converted, "scope": connection.current_scope}
        return shape(connection.request("call", params, patterns))

    call.__name__ = name
    call.__qualname__ = "QemuMachine." + name if of_machine else name
    call.__doc__ = verb["doc"]
    call.__signature__ = signature
    return call


def _signature(verb):
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    params = [inspect.Parameter("self", kind)] if verb["target"] == "machine" else []
    for param in verb["params"]:
        if param["kind"] == "texts":
            params.append(inspect.Parameter(param["name"], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
            continue
        default = inspect.Parameter.empty if param["default"] is None else json.loads(param["default"])
        params.append(inspect.Parameter(param["name"], kind, default=default))
    return inspect.Signature(params)
