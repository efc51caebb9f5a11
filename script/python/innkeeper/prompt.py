"""The prompt of interactive mode: ptpython or IPython where there is one, and otherwise Python's own."""

import code
import contextlib
import os
import signal
import sys

from . import errors, failure, screen

_HISTORY_LINES = 10000


class Prompt:
    """A prompt that is to be."""

    def __init__(self, setup):
        self.history, self.attach = setup["history"], setup["attach"]
        self._talk, kind = _talk_of()
        self.screen = kind()

    def run(self, names, banner):
        """Talks until the person leaves. ``names`` are the globals."""
        # One that is stopped would never be told to go on: a shell knows the driver alone.
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self.history), mode=0o700, exist_ok=True)
        names["__name__"] = "__main__"
        with self.screen.asks():
            self._talk(names, banner, self.history)


def _talk_of():
    """How to talk, and on which screen."""
    # What has Python itself leave its new prompt alone. Without a terminal nothing can be drawn.
    if not os.environ.get("PYTHON_BASIC_REPL") and sys.stdin.isatty() and sys.stdout.isatty():
        for module, talk in (("ptpython.repl", _ptpython), ("IPython", _ipython)):
            with contextlib.suppress(ImportError):
                __import__(module)
                return talk, screen.PaintedScreen
    return _plain, screen.Screen


def _ptpython(names, banner, history):
    from ptpython.repl import embed

    print(banner)
    embed(globals=names, history_filename=history)


def _ipython(names, banner, history):
    import IPython
    from traitlets.config import Config

    config = Config()
    config.TerminalIPythonApp.display_banner = False
    config.TerminalInteractiveShell.confirm_exit = False
    config.HistoryManager.hist_file = history + ".sqlite"
    print(banner)
    IPython.start_ipython(argv=[], user_ns=names, config=config)


def _plain(names, banner, history):
    if screen.readline is not None:
        _complete(names)
        with contextlib.suppress(OSError):
            screen.readline.read_history_file(history)
    try:
        _Console(names, filename="<console>").interact(banner, exitmsg="")
    finally:
        if screen.readline is not None:
            screen.readline.set_history_length(_HISTORY_LINES)
            with contextlib.suppress(OSError):
                screen.readline.write_history_file(history)


def _complete(names):
    import rlcompleter

    screen.readline.set_completer(rlcompleter.Completer(names).complete)
    key = "bind ^I rl_complete" if "libedit" in (screen.readline.__doc__ or "") else "tab: complete"
    screen.readline.parse_and_bind(key)


class _Console(code.InteractiveConsole):
    def showtraceback(self):
        """Shows what went wrong without the frames of this package."""
        error = sys.exc_info()[1]
        if isinstance(error, errors.RunCancelled):
            raise error
        # As Python's own: a debugger can look at it (``import pdb; pdb.pm()``).
        # Without the frame that runs what is typed.
        error.__traceback__ = error.__traceback__.tb_next
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        self.write("\n".join(failure.format_without_us(error)) + "\n")
