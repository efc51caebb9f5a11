"""Breakpoints: a debugger on a local port, for tests that run where nobody can type."""

import os
import pdb
import random
import shutil
import socket
import subprocess
import sys


class DebugAbstract:
    """What the global ``debug`` can do."""

    def breakpoint(self, host="127.0.0.1", port=4444):
        """Stops here."""
        raise NotImplementedError


class DebugNop(DebugAbstract):
    """Without ``--debug-hook-attach`` nothing stops."""

    def breakpoint(self, host="127.0.0.1", port=4444):
        pass


class DebugPrompt(DebugAbstract):
    """Stops at the prompt of interactive mode."""

    def breakpoint(self, host="127.0.0.1", port=4444):
        """Stops here, with Python's debugger on the terminal."""
        pdb.Pdb(nosigint=True).set_trace(sys._getframe(1))


class Debug(DebugAbstract):
    """Stops, and says how to get at it."""

    def __init__(self, logger, attach_command):
        self.logger = logger
        self.attach = attach_command

    def breakpoint(self, host="127.0.0.1", port=4444, error=None):
        """Waits for somebody to connect, and gives them a prompt; of an ``error``, where it was raised."""
        number = random.randrange(1000000, 9999999)
        self.logger.log_test_error("Breakpoint reached, run 'sudo %s %d'" % (self.attach, number))
        os.environ["bashInteractive"] = shutil.which("bash") or "bash"
        # By this process the command of the build's host finds its way into the sandbox.
        marker = subprocess.Popen(["sleep", str(number)])
        try:
            with socket.socket() as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((host, port))
                listener.listen(1)
                print("RemotePdb session open at %s:%d, waiting for connection ..." % listener.getsockname(),
                      file=sys.stderr)
                connection, _ = listener.accept()
        finally:
            marker.kill()
            marker.wait()
        stream = connection.makefile("rw", newline="\n")
        prompt = _Prompt(connection, stream)
        if error is not None:
            prompt.reset()
            prompt.interaction(None, error.__traceback__)
            prompt.leave()
        else:
            prompt.set_trace(sys._getframe(1))


class _Prompt(pdb.Pdb):
    def __init__(self, connection, stream):
        super().__init__(stdin=stream, stdout=stream)
        self.use_rawinput = False
        self._connection, self._stream = connection, stream

    def leave(self):
        """Hangs up."""
        self._stream.close()
        self._connection.close()

    def do_continue(self, argument):
        """Goes on, without the debugger."""
        self.clear_all_breaks()
        stop = super().do_continue(argument)
        self.leave()
        return stop

    do_c = do_cont = do_continue
