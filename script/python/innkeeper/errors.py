"""What a test script can catch, and how an error on the wire becomes an exception."""

import base64
import subprocess


class RequestedAssertionFailed(AssertionError):
    """What the test expected did not hold."""

    failure_kind = "assertion"


class MachineError(Exception):
    """A machine, or the host, failed the test."""

    failure_kind = "machine"


class WaitTimeout(subprocess.TimeoutExpired):
    """A wait took too long. Scripts know it as ``subprocess.TimeoutExpired``."""

    failure_kind = "assertion"

    def __init__(self, message, awaited=None, limit_s=None):
        super().__init__(awaited or message, limit_s)
        self.message = message

    def __str__(self):
        return self.message


class PollingConditionError(Exception):
    """A condition that had to hold meanwhile did not."""

    failure_kind = "assertion"


class RunCancelled(BaseException):
    """The run is being ended. No ``Exception``, so that ``except Exception`` does not hold it up."""

    failure_kind = "cancelled"


# Tracebacks name a class by its module; test authors know these by their bare names.
for _class in (RequestedAssertionFailed, MachineError, PollingConditionError, WaitTimeout, RunCancelled):
    _class.__module__ = "builtins"


def from_wire(error):
    """Makes the exception of a JSON-RPC error object."""
    message = error.get("message", "")
    data = error.get("data") or {}
    kind = data.get("kind")
    if kind == "assertion":
        return RequestedAssertionFailed(message)
    if kind == "timeout":
        return WaitTimeout(message, data.get("awaited"), data.get("limit_s"))
    if kind == "undecodable":
        output, at = base64.b64decode(data["output"]), data["at"]
        return UnicodeDecodeError("utf-8", output, at, at + 1, message)
    if kind == "usage":
        return ValueError(message)
    if kind == "cancelled":
        return RunCancelled(message)
    return MachineError(message)
