"""QEMU's own protocol, for scripts that speak it themselves."""

import json
import queue
import socket
import threading
import time


class QMPAPIError(RuntimeError):
    """QEMU has refused a command."""

    def __init__(self, class_name, description, transaction_id=None):
        super().__init__(description)
        self.class_name = class_name
        self.description = description
        self.transaction_id = transaction_id

    def __str__(self):
        return "<QMP API error related to transaction %s [%s]: %s>" % (
            self.transaction_id, self.class_name, self.description)


class QMPSession:
    """A connection of its own, beside the driver's."""

    def __init__(self, sock):
        self.sock = sock
        self.results = queue.Queue()
        self.pending_events = queue.Queue()
        self._sending = threading.Lock()
        threading.Thread(target=self._receive, name="qmp", daemon=True).start()
        self._result()  # The greeting.
        self.send("qmp_capabilities")

    @classmethod
    def from_path(cls, path):
        """Connects with the socket at ``path``."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        return cls(sock)

    def send(self, cmd, args=None):
        """Runs a command, and returns QEMU's answer: ``{"return": ...}``."""
        message = {"execute": cmd}
        if args:
            message["arguments"] = args
        with self._sending:
            self.sock.sendall(json.dumps(message).encode() + b"\n")
            answer = self._result()
        if "error" in answer:
            error = answer["error"]
            raise QMPAPIError(error.get("class"), error.get("desc"), answer.get("id"))
        return answer

    def wait_for_event(self, timeout=600):
        """The next event; ``TimeoutError`` when none comes in time."""
        seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout
        try:
            return self._not_the_end(self.pending_events, self.pending_events.get(timeout=max(0, seconds)))
        except queue.Empty:
            raise TimeoutError("no QMP event within %s seconds" % seconds) from None

    def events(self, timeout=0.1):
        """The events that have come so far; waits for the first for ``timeout`` at most."""
        while True:
            try:
                yield self.wait_for_event(timeout)
            except (TimeoutError, ConnectionError):
                return
            timeout = 0

    def wait_for(self, event_filter, timeout):
        """The first event that ``event_filter`` is true of."""
        ends = time.monotonic() + timeout
        while True:
            event = self.wait_for_event(ends - time.monotonic())
            if event_filter(event):
                return event

    def read_pending_messages(self):
        """Does nothing: messages are taken as they come."""

    def close(self):
        """Ends the connection."""
        self.sock.close()

    def _result(self):
        return self._not_the_end(self.results, self.results.get())

    @staticmethod
    def _not_the_end(source, message):
        if message is None:
            source.put(None)
            raise ConnectionError("QMP connection closed")
        return message

    def _receive(self):
        try:
            with self.sock.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    (self.pending_events if "event" in message else self.results).put(message)
        except (OSError, ValueError):
            pass
        self.results.put(None)
        self.pending_events.put(None)
