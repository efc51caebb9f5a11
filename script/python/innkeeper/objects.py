"""What verbs of VLANs return: packets, and what goes on until it is ended."""


class Packet:
    """A packet that passed on a VLAN."""

    def __init__(self, answer):
        self.summary, self.port = answer["summary"], answer["port"]
        self.length, self.after = answer["length"], answer["after_s"]
        self.bytes = bytes.fromhex(answer["bytes"])

    def __repr__(self):
        return "<Packet from %s: %s>" % (self.port, self.summary)


class Handle:
    """Something that goes on until it is ended: by ``end()``, or at the end of a ``with`` block.

    The block leaves alone what the script has ended in it.
    """

    def __init__(self, subject, answer):
        self.subject, self._end, self._cancel = subject, answer["end"], answer["cancel"]
        self.id, self.ended = answer["id"], False
        self.__dict__.update(answer["fields"])

    def end(self):
        """Ends it, and returns what the verb for that returns."""
        result = getattr(self.subject, self._end)(self)
        if isinstance(result, (dict, Packet)):
            self.__dict__.update(result if isinstance(result, dict) else vars(result))
        return result

    def lift(self):
        """Ends it: the word for faults."""
        return self.end()

    def __repr__(self):
        return "<%s>" % getattr(self, "description", self._end.split("_")[-1])

    def __enter__(self):
        return self

    def __exit__(self, kind, _error, _traceback):
        if self.ended:
            return
        if kind is None:
            self.end()
        else:
            getattr(self.subject, self._cancel)(self)
