"""Makes Python functions of the driver's table of verbs: real signatures, real docs, checked arguments."""

import inspect
import json
import os
import re

from . import durations, objects


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
        return None if value is None else int(value)
    except (TypeError, ValueError):
        raise TypeError("expected a whole number, got %s: %r" % (type(value).__name__, value)) from None


def _number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("expected a number, got %s: %r" % (type(value).__name__, value))
    return value


def _group(value):
    """The names of machines, of one machine or of several; each may be given by its name."""
    machines = [value] if isinstance(value, str) or hasattr(value, "name") else value
    try:
        return [_text(getattr(each, "name", each)) for each in machines]
    except TypeError:
        raise TypeError("expected a machine or a list of machines, got %s: %r"
                        % (type(value).__name__, value)) from None


def _between(value):
    if value is None:
        return None
    alone = isinstance(value, str) or hasattr(value, "name")
    return [_group(value)] if alone else [_group(side) for side in value]


def _handle(value):
    return getattr(value, "id", value)


def _path(value):
    return os.path.join(os.getcwd(), os.fsdecode(value))


def _region(value):
    """A part of the screen: ``(x, y, width, height)``, or a dictionary with these, such as a verb returns."""
    if value is None:
        return None
    try:
        parts = [value[key] for key in ("x", "y", "width", "height")] if isinstance(value, dict) else list(value)
        x, y, width, height = [_integer(part) for part in parts]
    except (KeyError, TypeError, ValueError):
        raise TypeError("expected a region (x, y, width, height), got %s: %r"
                        % (type(value).__name__, value)) from None
    return {"x": x, "y": y, "width": width, "height": height}


def _pattern(value):
    # A bad pattern is the script's mistake and is raised here, by the script's own engine.
    return re.compile(value).pattern


# What makes a regular expression of a text.
_SIGNS = frozenset(".^$*+?{}[]\\|()")

_CONVERT = {
    "text": _text,
    "texts": lambda values: [_text(value) for value in values],
    "integer": _integer,
    "bool": bool,
    "pattern": _pattern,
    "path": _path,
    "number": _number,
    "groups": lambda values: [_group(value) for value in values],
    "between": _between,
    "handle": _handle,
    "region": _region,
}

# Kinds of parameters that take all the arguments that are given without names.
_REPEATED = ("texts", "groups")


# What a verb returns, by its shape, of the answer and what the verb was called on.
_RESULT = {
    "status_and_text": lambda answer, _subject: tuple(answer),
    "handle": lambda answer, subject: objects.Handle(subject, answer),
    "packet": lambda answer, _subject: objects.Packet(answer),
}

# The verbs of machines that run no command and press no key: polling conditions are not looked at before them.
_QUIET = ("start", "connect", "shutdown", "wait_for_shutdown", "is_up", "is_on", "log", "get_console_log",
          "send_console", "snapshot", "restore")

# The verbs of machines that do all they do in steps, which the driver asks about: conditions are looked at inside of those,
# as the NixOS driver does.
_IN_STEPS = ("succeed", "fail", "sleep", "require_unit_state", "wait_until_succeeds", "wait_until_fails", "wait_for_unit",
             "wait_for_file", "wait_for_open_port", "wait_for_closed_port", "wait_for_open_unix_socket")

# What verbs are called on: the name of the class, and how a call names the object.
_SUBJECTS = {
    "machine": ("QemuMachine", lambda subject: {"machine": subject._key}),
    "vlan": ("VLan", lambda subject: {"machine": None, "vlan": int(subject.nr)}),
}


def function(connection, verb):
    """The function of one verb. That of a machine or a VLAN takes it first, as a method does."""
    name = verb["name"]
    class_name, about = _SUBJECTS.get(verb["target"], (None, lambda subject: {"machine": None}))
    signature = _signature(verb)
    runs_callbacks = verb["target"] == "machine" and name not in _QUIET
    kinds = {param["name"]: param["kind"] for param in verb["params"]}
    shape = _RESULT.get(verb["returns"], lambda answer, _subject: answer)

    def call(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError("%s() %s" % (name, error)) from None
        subject = given.pop("self", None)
        patterns = {}
        is_plain = True
        converted = {}
        for param, value in given.items():
            kind = kinds[param]
            try:
                if kind == "duration":
                    converted[param] = durations.seconds(value, name)
                else:
                    converted[param] = _CONVERT.get(kind, lambda value: value)(value)
            except TypeError as error:
                raise TypeError("%s (argument `%s` of %s())" % (error, param, name)) from None
            if kind == "handle" and getattr(value, "subject", subject) is not subject:
                raise ValueError("%r belongs to %r (argument `%s` of %s())" % (value, value.subject, param, name))
            if isinstance(value, objects.Handle):
                # All verbs that take one end it.
                value.ended = True
            if kind == "pattern":
                patterns[converted[param]] = re.compile(value)
                is_plain = is_plain and isinstance(value, str) and _SIGNS.isdisjoint(value)
        params = dict(about(subject), verb=name, args=converted, scope=connection.current_scope)
        if patterns and is_plain:
            params["plain"] = True
        connection.tell_environment()
        meanwhile = may_go_on = None
        if runs_callbacks and subject.is_watched():
            if name in _IN_STEPS:
                params["asks"] = True
                may_go_on = subject.run_callbacks
            else:
                subject.run_callbacks()
            if name.startswith("wait_"):
                meanwhile = subject.run_callbacks
        return shape(connection.request("call", params, patterns, meanwhile, may_go_on), subject)

    call.__name__ = name
    call.__qualname__ = "%s.%s" % (class_name, name) if class_name else name
    call.__doc__ = verb["doc"]
    call.__signature__ = signature
    return call


def _signature(verb):
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    params = [inspect.Parameter("self", kind)] if verb["target"] in _SUBJECTS else []
    for param in verb["params"]:
        if param["kind"] in _REPEATED:
            params.append(inspect.Parameter(param["name"], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
            continue
        default = inspect.Parameter.empty if param["default"] is None else json.loads(param["default"])
        params.append(inspect.Parameter(param["name"], kind, default=default))
    return inspect.Signature(params)
