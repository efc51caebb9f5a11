"""The terminal of a person at the prompt: what is typed there, and the log, which appears above it."""

import builtins
import collections
import contextlib
import ctypes
import os
import signal
import sys
import threading

try:
    import readline
except ImportError:
    readline = None

# How many texts of the log are kept while another program has the terminal.
_KEPT = 500
# Has the thread that waits for a line draw. By default nothing comes of it.
_DRAW = signal.SIGURG
# Seconds after which it is told again: a signal that comes just before it waits for a key wakes nobody.
_AGAIN = 0.05
# Set in readline's state while it has the terminal.
_RL_STATE_TERMPREPPED = 4


class Screen:
    """The terminal, shared by the thread that types and the one that hears the log."""

    def __init__(self):
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # What the person is asked, while they are, and what is to appear above it.
        self._prompt = None
        self._above = []
        # What has come while another program had the terminal.
        self._held = None

    def show(self, text):
        """Shows a text that ends a line, above what is being typed."""
        with self._lock:
            if self._held is not None:
                self._held.append(text)
            elif self._prompt is None:
                _write(text)
            else:
                self._above.append(text)
                self._changed.notify()

    def _urge(self):
        """Has the thread that types draw what is to appear, for as long as the program runs."""
        with self._lock:
            while True:
                self._changed.wait_for(lambda: self._above)
                os.kill(os.getpid(), _DRAW)
                self._changed.wait(_AGAIN)

    def _draw(self, _number, _frame):
        """In the thread that types, while it waits for a key: the line that is typed goes, and comes again below."""
        with self._lock:
            if self._above and self._prompt is not None and _has_terminal():
                _write("\r\x1b[J" + "".join(self._above))
                self._above.clear()
                _draw_line(self._prompt)

    @contextlib.contextmanager
    def asks(self):
        """What asks with ``input()`` meanwhile, a debugger included, shares the terminal with the log."""
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            yield
            return
        ask, draw = builtins.input, signal.signal(_DRAW, self._draw)

        def shared(prompt=""):
            with self._lock:
                self._prompt = str(prompt)
            try:
                return ask(prompt)
            finally:
                with self._lock:
                    self._prompt = None
                    _write("".join(self._above))
                    self._above.clear()

        builtins.input = shared
        threading.Thread(target=self._urge, name="log at the prompt", daemon=True).start()
        try:
            yield
        finally:
            builtins.input = ask
            signal.signal(_DRAW, draw)

    @contextlib.contextmanager
    def lent(self):
        """Another program has the terminal meanwhile; the log comes afterwards."""
        with self._lock:
            self._held = collections.deque(maxlen=_KEPT)
        try:
            yield
        finally:
            with self._lock:
                held, self._held = self._held, None
                for text in held:
                    self.show(text)


class PaintedScreen(Screen):
    """The terminal while prompt_toolkit draws on it, and puts what is printed above that by itself."""

    def show(self, text):
        with self._lock:
            if self._held is not None:
                self._held.append(text)
            else:
                sys.stdout.write(text)
                sys.stdout.flush()

    @contextlib.contextmanager
    def asks(self):
        from prompt_toolkit.patch_stdout import patch_stdout

        with patch_stdout(raw=True):
            yield


def _has_terminal():
    """Whether readline waits for keys: what it draws earlier would be a prompt at which Ctrl-D is lost."""
    if "libedit" in (getattr(readline, "__doc__", None) or ""):
        # It has the variable, and never sets it.
        return True
    try:
        state = ctypes.c_ulong.in_dll(ctypes.PyDLL(readline.__file__), "rl_readline_state")
    except (AttributeError, OSError, TypeError, ValueError):
        return True
    return bool(state.value & _RL_STATE_TERMPREPPED)


def _draw_line(prompt):
    """Draws the line that is being typed, with its prompt."""
    try:
        # Python's own readline cannot; the library knows where the cursor is. No other thread is in it now.
        ctypes.PyDLL(readline.__file__).rl_forced_update_display()
    except (AttributeError, OSError, TypeError):
        _write(prompt + (readline.get_line_buffer() if readline else ""))


def _write(text):
    # Not through `sys.stdout`, where another thread may be in the middle of printing a line.
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(2, data):]
