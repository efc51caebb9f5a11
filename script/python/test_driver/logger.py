"""The log."""

from innkeeper.log import Log as AbstractLogger
from innkeeper.log import Log as CompositeLogger
from innkeeper.log import Log as TerminalLogger
from innkeeper.log import LogLevel

__all__ = ["AbstractLogger", "CompositeLogger", "LogLevel", "TerminalLogger"]
