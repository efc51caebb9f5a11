"""What a test script can catch."""

from innkeeper.errors import MachineError, RequestedAssertionFailed

__all__ = ["MachineError", "RequestedAssertionFailed"]
