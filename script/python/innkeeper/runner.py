"""Runs one test script: compiles its whole text, executes it once, and tells the driver how it ended."""

import io
import linecache
import os
import signal
import sys
import threading
import tokenize

from . import caution, debug, driver, durations, errors, failure, needs, prompt, symbols
from .connection import Connection


def main(script):
    """Runs the file ``script`` against the driver that ``INNKEEPER_SOCKET`` leads to."""
    for stream in (sys.stdout, sys.stderr):
        # Line by line, so that what is printed keeps its place among what the machines do; and each line whole, also
        # with PYTHONUNBUFFERED, so that the log does not come in its middle.
        stream.reconfigure(
            encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False
        )
    signal.signal(signal.SIGTERM, _cancel)
    connection = Connection(os.environ["INNKEEPER_SOCKET"])
    hello = connection.hello()
    setup = hello.get("setup") or {}
    runner = _Runner(script, connection, setup)
    if hello.get("prompt"):
        connection.prompt = prompt.Prompt(hello["prompt"])
        connection.show = connection.prompt.screen.show
    threading.excepthook = lambda args: _thread_failed(args, runner.name)

    outcome = None
    try:
        runner.read()
        run = driver.Driver(connection, hello, runner)
        if setup.get("generation", 0) >= 26:
            # The generations before warn of nothing, and show Python's own warnings as Python does.
            caution.show_as_nixos_does()
            durations.are_numbers_old = True
        connection.complete = lambda error: failure.complete(error, runner.name, runner.source)
        runner.debug = run.debug
        if connection.prompt:
            connection.prompt.run(run.test_symbols(), _banner(run, script))
        else:
            tests = setup.get("tests")
            if tests is None:
                needs.check(runner.source, script, hello["machines"])
                runner.run(run.test_symbols())
            else:
                # As until 21.05: it may run the script, or not.
                exec(compile(tests, "<tests>", "exec", dont_inherit=True), run.test_symbols())
    except BaseException as error:
        # The frames above the script's are ours and stay out of the report.
        outcome = failure.describe(error, runner.name, runner.source)
        if outcome and connection.prompt and isinstance(error, SystemExit):
            # Who has typed it knows where.
            outcome["traceback"] = []
        runner.stop_at(error)
    _flush()
    try:
        connection.request("finished", {"failure": outcome})
    except errors.RunCancelled:
        pass
    # Threads that the script left behind do not hold up the end; the driver cancels what they wait for.
    sys.exit(1 if outcome else 0)


def _banner(run, script):
    names = ", ".join(symbols.variable_name(each.name) for each in run.machines)
    return ("innkeeper, Python %s. Machines: %s. start_all() starts them, test_script() runs %s, Ctrl-D ends all."
            % (sys.version.split()[0], names or "none", os.path.basename(script)))


class _Runner:
    """The script: its text, and the way that it is run."""

    def __init__(self, script, connection, setup):
        self._script, self._connection = script, connection
        self._is_nixos = bool(setup.get("generation"))
        # What tracebacks call it.
        self.name = "<string>" if self._is_nixos else script
        self.source = ""
        self.debug = debug.DebugNop()

    def read(self):
        """Reads the text."""
        with open(self._script, "rb") as file:
            text = file.read()
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(text).readline)
            self.source = io.TextIOWrapper(io.BytesIO(text), encoding).read()
        except (SyntaxError, UnicodeDecodeError):
            raise SyntaxError("`%s` is not in UTF-8 (save it so, or say what it is in:"
                              " `# -*- coding: latin-1 -*-`)" % self._script) from None
        # Tracebacks show the lines that ran, also when the file or the working directory changes meanwhile.
        lines = self.source.splitlines(True)
        linecache.cache[self.name] = (len(self.source), None, lines, self.name)
        if not self._is_nixos:
            # Helpers beside the script can be imported, as with Python itself.
            sys.path.insert(0, os.path.dirname(os.path.abspath(self._script)))
            sys.argv = [self._script]

    def symbols(self, run):
        """The globals of the script."""
        names = symbols.build(run, self._is_nixos)
        if not self._is_nixos:
            names["__file__"] = os.path.abspath(self._script)
        return names

    def run(self, names):
        """Runs the text once."""
        exec(compile(self.source, self.name, "exec", dont_inherit=True), names)

    def stop_at(self, error):
        """Lets somebody look at a failure of the test, if they asked for it."""
        if isinstance(self.debug, debug.Debug) and isinstance(error, Exception) \
                and not isinstance(error, errors.MachineError):
            self.debug.breakpoint(error=error)


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
