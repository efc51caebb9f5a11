"""Trying again until it works."""

import time

from . import durations, errors

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_TIMEOUT_S = 900


def retry(fn, timeout_seconds=None, timeout=None):
    """Calls ``fn(False)`` until it returns something true, and once more as ``fn(True)`` when time is up.

    Pauses are short at first and grow to one second. The default is 15 minutes.
    """
    if timeout is not None and timeout_seconds is not None:
        raise TypeError("retry() got both 'timeout' and 'timeout_seconds' arguments. Pass only 'timeout'")
    limit = durations.seconds(timeout if timeout is not None else timeout_seconds, "retry")
    limit = float(_TIMEOUT_S if limit is None else limit)
    started = time.monotonic()
    pause = _FIRST_PAUSE_S
    while time.monotonic() - started < limit:
        if fn(False):
            return
        time.sleep(max(0.0, min(pause, started + limit - time.monotonic())))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
    if not fn(True):
        elapsed = time.monotonic() - started
        raise errors.RequestedAssertionFailed(
            "action timed out after %.2f seconds (timeout=%s)" % (elapsed, limit))
