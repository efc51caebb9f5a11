"""A person at a machine's own terminals: a shell in the guest, the serial console."""

import os
import subprocess


def shell(machine, address):
    """Puts this terminal, or whatever socat connects with by ``address``, at a shell in the guest."""
    machine.connect()
    machine.log("Terminal is ready (there is no initial prompt):")
    if address is None:
        _visit(machine, "shell", _size())
        return
    path = machine._ask("open_door", door="shell")
    try:
        subprocess.run(["socat", address, "UNIX-CONNECT:%s" % path], check=False)
    except FileNotFoundError:
        raise RuntimeError("there is no socat to connect %r with the shell (install it, or give no address)"
                           % address) from None
    except KeyboardInterrupt:
        pass


def console(machine):
    """Puts this terminal at the guest's serial console."""
    machine.log("Terminal is ready (there is no prompt):")
    _visit(machine, "console", {})
    machine.log("Closing connection to the console")


def _visit(machine, door, size):
    prompt = machine._connection.prompt
    if prompt is None:
        raise RuntimeError("%s_interact() needs somebody at a terminal (run the test with --interactive)" % door)
    path = machine._ask("open_door", door=door, **size)
    program, *words = prompt.attach
    with prompt.screen.lent():
        subprocess.run(["innkeeper", *words, path], executable=program, check=False)


def _size():
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError:
        return {}
    return {"rows": rows, "columns": columns} if rows and columns else {}
