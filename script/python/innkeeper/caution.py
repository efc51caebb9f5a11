"""Python's warnings: told where the script is to blame, and shown as the NixOS driver shows them."""

import linecache
import os
import sys
import warnings

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def warn(message, category):
    """Warns of the line of the script that leads here, once."""
    frame = sys._getframe(1)
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno,
                           registry=registry)


def show_as_nixos_does():
    """From now on."""
    warnings.simplefilter("default", DeprecationWarning)
    warnings.showwarning = _show


def _show(message, category, filename, lineno, file=None, line=None):
    source = (line or linecache.getline(filename, lineno)).strip()
    print("\x1b[1m\x1b[33m??? Warning (%s): \x1b[22m%s\n    File \"%s\", line %d\n%s\x1b[0m"
          % (category.__name__, message, filename, lineno, "      %s\n" % source if source else ""),
          file=file or sys.stderr)
