"""Durations: numbers of seconds, or ``datetime.timedelta``."""

import datetime

from . import caution

# Whether numbers are warned of, as the NixOS driver does from 26.05 on.
are_numbers_old = False


def seconds(value, function=None):
    """Seconds of a number or a ``datetime.timedelta``; ``None`` stays."""
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
        raise TypeError("expected a duration, got %s: %r" % (type(value).__name__, value))
    if value is not None and are_numbers_old and function:
        caution.warn("%s(): passing a bare int/float as a duration is deprecated. Use datetime.timedelta"
                     " instead." % function, UserWarning)
    return value
