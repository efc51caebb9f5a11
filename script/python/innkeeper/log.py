"""The log of the run, as scripts see it."""

import contextlib
import enum
import sys


class LogLevel(enum.IntEnum):
    """How important a line is."""

    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4


class Log:
    """The log of the run."""

    def __init__(self, connection, level=LogLevel.DEBUG):
        self._connection = connection
        self._level = level

    def log(self, msg, attrs=None):
        """Adds a line, whatever the level is. ``attrs={"machine": name}`` says which machine it is about."""
        self._connection.log("info", str(msg), (attrs or {}).get("machine"))

    def debug(self, msg, **attrs):
        """Adds a line for those who look closely."""
        self._add(LogLevel.DEBUG, "debug", msg, attrs)

    def info(self, msg, **attrs):
        """Adds a line."""
        self._add(LogLevel.INFO, "info", msg, attrs)

    def warning(self, msg, **attrs):
        """Adds a line about something odd."""
        self._add(LogLevel.WARNING, "warning", msg, attrs)

    def error(self, msg, **attrs):
        """Adds a line about an error and ends the script with status 1, as the NixOS driver does."""
        self._connection.log("error", str(msg), attrs.get("machine"))
        sys.exit(1)

    def log_test_error(self, msg, **attrs):
        """Adds a line about an error. The script goes on."""
        self._connection.log("error", str(msg), attrs.get("machine"))

    def log_serial(self, message, machine):
        """Adds a line as if the machine had printed it."""
        self._connection.log("info", "%s # %s" % (machine, message))

    def print_serial_logs(self, enable):
        """Whether the lines of consoles are shown from now on."""
        self._connection.request("show_consoles", {"shown": bool(enable)})

    def set_log_level(self, level):
        """Leaves out less important lines from now on; never what ``log`` adds."""
        self._level = LogLevel(level)

    def nested(self, msg, attrs=None):
        """A context manager: what happens inside is shown under ``msg``."""
        return self._connection.scope("step", str(msg), (attrs or {}).get("machine"))

    @contextlib.contextmanager
    def subtest(self, name, attrs=None):
        """A context manager: a named part of the test, with an outcome of its own in the reports."""
        with self._connection.scope("subtest", str(name)):
            try:
                yield
            except Exception as error:
                self._connection.complete(error)
                self.log_test_error('Test "%s" failed with error: "%s"' % (name, error))
                raise

    def _add(self, level, word, msg, attrs):
        if level >= self._level:
            self._connection.log(word, str(msg), attrs.get("machine"))
