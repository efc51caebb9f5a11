"""Tells why a script failed, in the script's own terms: its lines, its frames, nothing of ours."""

import ast
import difflib
import os
import reprlib
import sysconfig
import textwrap
import traceback

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def describe(error, script, source):
    """What the driver is told about ``error``, which ended the file ``script`` with the text ``source``.

    ``None`` stands for an exit with status 0.
    """
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return None
    complete(error, script, source)
    line, text = _place(error, script)
    kind, message = _kind_and_message(error)
    return {
        "kind": kind,
        "message": message,
        "line": line,
        "source": text,
        "status": _status(error),
        "traceback": _told(error, script),
    }


def _told(error, script):
    """The traceback; of an exit what Python tells: the text that was given for a status, if one was."""
    if isinstance(error, SystemExit) and script == "<string>":
        return [] if isinstance(error.code, int) else _split([str(error.code)])
    return format_error(error, script)


def complete(error, script, source):
    """Gives the error of a bare ``assert`` the message that it lacks."""
    if type(error) is AssertionError and not error.args:
        error.args = (_explain_assert(error, script, source) or "assertion failed",)


def _kind_and_message(error):
    if isinstance(error, SystemExit):
        status = isinstance(error.code, int)
        return "exit", "the script exited with status %d" % error.code if status else str(error.code)
    if isinstance(error, AssertionError):
        return "assertion", str(error)
    if hasattr(error, "failure_kind"):
        return error.failure_kind, str(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error) + _suggestion(error)
    return "script_error", "%s: %s" % (type(error).__name__, text) if text else type(error).__name__


def _status(error):
    """The status that a script ended itself with; what a shell says of an interrupted one, too."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if not isinstance(error, SystemExit):
        return None
    return error.code if isinstance(error.code, int) else 1


def _suggestion(error):
    """What a name that there is not may have meant. Python knows the name from 3.10 on."""
    if not isinstance(error, (AttributeError, NameError)) or not getattr(error, "name", None):
        return ""
    if isinstance(error, AttributeError):
        known = dir(getattr(error, "obj", None))
    else:
        known = list(traceback.walk_tb(error.__traceback__))[-1][0].f_globals
    near = difflib.get_close_matches(error.name, [name for name in known if name[:1] != "_"], 1)
    return " (did you mean '%s'?)" % near[0] if near else ""


def _place(error, script):
    """The line of the script that failed, by number and text."""
    if isinstance(error, SyntaxError) and error.filename == script:
        return error.lineno, (error.text or "").strip()
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
    return (own[-1].lineno, own[-1].line) if own else (None, None)


def format_error(error, script):
    """The traceback as lines, with the frames of the script and of the modules beside it only."""
    lines = []
    if error.__cause__ is not None:
        lines += format_error(error.__cause__, script)
        lines += ["", "The above exception was the direct cause of the following exception:", ""]
    elif error.__context__ is not None and not error.__suppress_context__:
        lines += format_error(error.__context__, script)
        lines += ["", "During handling of the above exception, another exception occurred:", ""]
    frames = [
        # Without columns: newer Pythons would underline what older ones do not.
        traceback.FrameSummary(frame.filename, frame.lineno, frame.name, line=frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == script or _is_beside(frame.filename, script)
    ]
    if frames:
        lines.append("Traceback (most recent call last):")
        lines += _split(traceback.StackSummary.from_list(frames).format())
        lines.append("")
    return lines + _split(traceback.format_exception_only(type(error), error))


def format_without_us(error):
    """The traceback as lines, without the frames of this package."""
    told = traceback.TracebackException(type(error), error, error.__traceback__)
    chain = [told]
    for each in chain:
        each.stack[:] = [frame for frame in each.stack if not _is_below(frame.filename, _PACKAGE)]
        chain += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
    return _split(told.format())


def _split(texts):
    return "".join(texts).rstrip("\n").split("\n")


def _is_beside(filename, script):
    """Whether ``filename`` is a module of the test author's: near the script, and of no installation."""
    path = os.path.abspath(filename)
    beside = os.path.dirname(os.path.abspath(script))
    foreign = set(sysconfig.get_paths().values()) - {sysconfig.get_path("data")} | {_PACKAGE}
    return _is_below(path, beside) and not any(_is_below(path, folder) for folder in foreign)


def _is_below(path, folder):
    return path.startswith(os.path.join(folder, ""))


def _explain_assert(error, script, source):
    """A bare ``assert`` says what it asserted, and what the names in it stood for."""
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    if frame.f_code.co_filename != script:
        return None
    asserts = [node for node in ast.walk(ast.parse(source))
               if isinstance(node, ast.Assert) and node.lineno <= line <= node.end_lineno]
    if not asserts:
        return None
    text = ast.get_source_segment(source, asserts[-1]) or ""
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = 200
    lines = [textwrap.dedent(text)]
    names = {node.id for node in ast.walk(asserts[-1].test) if isinstance(node, ast.Name)}
    values = {**frame.f_globals, **frame.f_locals}
    for name in sorted(names & values.keys()):
        if not callable(values[name]):
            lines.append("  %s = %s" % (name, shown.repr(values[name])))
    return "\n".join(lines)
