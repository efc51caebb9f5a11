"""The connection to the driver: JSON-RPC 2.0, one message a line, shared by all threads of the script."""

import contextlib
import json
import os
import queue
import re
import socket
import sys
import threading

from . import errors

# How often a call that waits looks at what else there is to do.
_MEANWHILE_S = 0.2


class Connection:
    """Sends requests, and hands each answer to the thread that waits for it."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._waiting = {}
        self._last_id = 0
        self._closed = None
        self._max_message = None
        self._thread = threading.local()
        self._root_scope = 0
        # As far as the driver knows it.
        self._environment = os.environ.copy()
        # Called with each exception that leaves a scope, before anybody is told of it.
        self.complete = lambda error: None
        # The prompt of interactive mode, if there is one, and what shows a text of the log then.
        self.prompt = None
        self.show = _show
        threading.Thread(target=self._receive, name="innkeeper", daemon=True).start()

    def hello(self):
        """Introduces the script, and returns what the driver says about the run."""
        answer = self.request("hello", {"protocol": 1, "language": "python"})
        self._root_scope = answer["scope"]
        self._max_message = answer["max_message"]
        return answer

    @property
    def current_scope(self):
        """The innermost open scope of this thread; a new thread starts in that of the script."""
        return getattr(self._thread, "scope", self._root_scope)

    @contextlib.contextmanager
    def scope(self, kind, text, machine=None):
        """Everything that this thread does meanwhile belongs to a scope with the heading ``text``."""
        outer = self.current_scope
        params = {"kind": kind, "text": text, "machine": machine, "scope": outer}
        scope = self.request("open_scope", params)
        self._thread.scope = scope
        error = None
        try:
            yield
        except BaseException as raised:
            self.complete(raised)
            error = str(raised) or type(raised).__name__
            raise
        finally:
            self._thread.scope = outer
            self.notify("close_scope", {"scope": scope, "error": error})

    def log(self, level, text, machine=None):
        """Adds a line to the log."""
        params = {"level": level, "text": text, "machine": machine, "scope": self.current_scope}
        self.notify("log", params)

    def tell_environment(self):
        """Tells the driver which variables the script has set or removed: start scripts are to see it."""
        with self._lock:
            known, now = self._environment, os.environ.copy()
            self._environment = now
        if now != known:
            changed = {name: now.get(name) for name in {**known, **now} if now.get(name) != known.get(name)}
            self.request("set_environment", {"variables": changed})

    def request(self, method, params, patterns=None, meanwhile=None, may_go_on=None):
        """Sends a request and waits for its answer.

        Meanwhile this thread searches for the driver: ``patterns`` holds compiled ones by their text; it calls
        ``meanwhile`` now and then, and ``may_go_on`` when the driver asks for it, whose exceptions end the call. With
        both, ``meanwhile`` waits for the first such question: which of them comes first must not depend on load.
        """
        mailbox = queue.SimpleQueue()
        is_sent = False
        is_in_step = may_go_on is None
        objection = None
        with self._lock:
            if self._closed:
                raise errors.RunCancelled(self._closed)
            self._last_id += 1
            number = self._last_id
            self._waiting[number] = mailbox
        try:
            try:
                self._send({"id": number, "method": method, "params": params})
            except OSError as error:
                raise errors.RunCancelled("the driver closed the connection") from error
            is_sent = True
            while True:
                message = self._next(number, mailbox, meanwhile if is_in_step else None)
                if message is None:
                    raise errors.RunCancelled(self._closed)
                if message.get("method") == "may_go_on":
                    objection = self._consider(message, may_go_on)
                    is_in_step = True
                elif "method" in message:
                    self._search(message, patterns or {})
                elif "error" in message:
                    raise objection or errors.from_wire(message["error"])
                else:
                    return message.get("result")
        except KeyboardInterrupt:
            if is_sent:
                self.notify("cancel", {"call": number})
            raise
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def _next(self, number, mailbox, meanwhile):
        if meanwhile is None:
            return mailbox.get()
        while True:
            try:
                return mailbox.get(timeout=_MEANWHILE_S)
            except queue.Empty:
                try:
                    meanwhile()
                except BaseException:
                    self.notify("cancel", {"call": number})
                    raise

    def notify(self, method, params):
        """Sends what needs no answer. The driver takes it before whatever is sent later."""
        # A driver that has gone is told to the script by its next request.
        with contextlib.suppress(OSError):
            self._send({"method": method, "params": params})

    def _consider(self, message, may_go_on):
        """Calls ``may_go_on`` in the step that the driver asks about. Returns what it raises."""
        outer, objection = self.current_scope, None
        self._thread.scope = message["params"]["scope"]
        try:
            may_go_on()
        except BaseException as raised:
            objection = raised
        finally:
            self._thread.scope = outer
        answer = {"error": {"code": -32000, "message": str(objection)}} if objection else {"result": None}
        try:
            self._send(dict(answer, id=message["id"]))
        except ValueError:
            # Too long, or no text at all; the script has the exception itself.
            reason = {"code": -32000, "message": "an exception whose text cannot be sent"}
            self._send({"error": reason, "id": message["id"]})
        return objection

    def _search(self, message, patterns):
        pattern, text = message["params"]["pattern"], message["params"]["text"]
        try:
            compiled = patterns.get(pattern) or re.compile(pattern)
            if message["params"].get("all"):
                answer = {"result": [match.span() for match in compiled.finditer(text)]}
            else:
                answer = {"result": compiled.search(text) is not None}
        except (re.error, RecursionError, MemoryError) as error:
            answer = {"error": {"code": -32000, "message": "pattern %r: %s" % (pattern, error)}}
        self._send(dict(answer, id=message["id"]))

    def _send(self, message):
        line = json.dumps(dict(message, jsonrpc="2.0"), ensure_ascii=False, allow_nan=False)
        line = line.encode() + b"\n"
        if self._max_message and len(line) > self._max_message:
            raise ValueError("a call of %d bytes is more than the driver takes (%d; copy large files with"
                             " copy_from_host)" % (len(line), self._max_message))
        with self._sending:
            self._socket.sendall(line)

    def _receive(self):
        reason = "the driver closed the connection"
        try:
            with self._socket.makefile("rb", buffering=1 << 20) as lines:
                for line in lines:
                    message = json.loads(line)
                    if message.get("method") == "show":
                        self.show(message["params"]["text"])
                        continue
                    number = message["params"]["for"] if "method" in message else message["id"]
                    if number is None:
                        reason = message["error"]["message"]
                        break
                    with self._lock:
                        mailbox = self._waiting.get(number)
                    if mailbox is not None:
                        mailbox.put(message)
        except OSError as error:
            reason = "the connection to the driver broke: %s" % error
        with self._lock:
            self._closed = reason
            for mailbox in self._waiting.values():
                mailbox.put(None)


def _show(text):
    sys.stderr.write(text)
    sys.stderr.flush()
