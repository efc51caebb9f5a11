"""Runs one test script: compiles its whole text, executes it once, and tells the driver how it ended."""

import io
import linecache
import os
import signal
import sys
import threading
import tokenize

from . import errors, failure, needs, symbols
from .connection import Connection


def main(script):
    """Runs the file ``script`` against the driver that ``INNKEEPER_SOCKET`` leads to."""
    for stream in (sys.stdout, sys.stderr):
        # Line by line, so that what is printed keeps its place among what the machines do.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    signal.signal(signal.SIGTERM, _cancel)
    connection = Connection(os.environ["INNKEEPER_SOCKET"])
    hello = connection.hello()
    names = symbols.build(connection, hello)
    names["__file__"] = os.path.abspath(script)
    # Helpers beside the script can be imported, as with Python itself.
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    sys.argv = [script]
    threading.excepthook = lambda args: _thread_failed(args, script)

    outcome, source = None, ""
    try:
        source = _read(script)
        connection.complete = lambda error: failure.complete(error, script, source)
        code = compile(source, script, "exec", dont_inherit=True)
        needs.check(source, script, hello["machines"])
        exec(code, names)
    except BaseException as error:
        # The frames above the script's are ours and stay out of the report.
        outcome = failure.describe(error, script, source)
    _flush()
    try:
        connection.request("finished", {"failure": outcome})
    except errors.RunCancelled:
        pass
    # Threads that the script left behind do not hold up the end; the driver cancels what they wait for.
    sys.exit(1 if outcome else 0)


def _read(script):
    with open(script, "rb") as file:
        text = file.read()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text).readline)
        source = io.TextIOWrapper(io.BytesIO(text), encoding).read()
    except (SyntaxError, UnicodeDecodeError):
        raise SyntaxError("`%s` is not in UTF-8 (save it so, or say what it is in:"
                          " `# -*- coding: latin-1 -*-`)" % script) from None
    # Tracebacks show the lines that ran, also when the file or the working directory changes meanwhile.
    linecache.cache[script] = (len(source), None, source.splitlines(True), script)
    return source


def _cancel(_number, _frame):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise errors.RunCancelled("the driver ended the script")


def _thread_failed(args, script):
    if issubclass(args.exc_type, (SystemExit, errors.RunCancelled)):
        return
    name = args.thread.name if args.thread else "?"
    lines = ["Exception in thread %s:" % name] + failure.format_error(args.exc_value, script)
    print("\n".join(lines), file=sys.stderr)


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
