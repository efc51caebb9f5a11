# Shows every character that a console may have on the machine's screen, and keeps pictures of that, each with what
# the guest says of its cells. Before it come OUT (a directory), MACHINE (a name, or nothing) and BEFORE (commands).
import base64
import json

RANGES = [
    (0x21, 0x7E), (0xA1, 0x17F), (0x18F, 0x192), (0x1A0, 0x1B0), (0x218, 0x21B), (0x259, 0x259), (0x2C6, 0x2DD),
    (0x384, 0x3CE), (0x400, 0x45F), (0x490, 0x491), (0x1E02, 0x1EF9), (0x2010, 0x2044), (0x2070, 0x208E),
    (0x20A0, 0x20BF), (0x2100, 0x2138), (0x2190, 0x21FF), (0x2200, 0x22C5), (0x2300, 0x2328), (0x2400, 0x2426),
    (0x2500, 0x266F), (0xFB00, 0xFB06),
]
# Of no script that a console's font has: it looks as all characters do that the font lacks.
ABSENT = "\u0b85"
CHARACTERS = [chr(code) for first, last in RANGES for code in range(first, last + 1)]


def device(name):
    return base64.b64decode(machine.succeed(f"base64 -w0 /dev/{name}{number}"))


def show(text):
    data = base64.b64encode(text.encode()).decode()
    machine.succeed(f"base64 -d >/dev/tty{number} <<'END'\n{data}\nEND")


def glyphs(cells):
    return [cells[at : at + 2] for at in range(4, len(cells), 2)]


def is_there(character, glyph, absent):
    """Whether the font has that character, which is shown by that glyph."""
    if character == ABSENT:
        return False
    # What is absent looks like one that is there: a question mark, or the square of code page 437.
    return glyph != absent or character.isascii() or (character == "\u25a0" and glyph[0] == 0xFE)


def page(characters):
    """A picture of these characters, the absent one before them, and what the guest says of them."""
    lines = [(ABSENT + " " + "".join(characters))[at : at + columns] for at in range(0, columns * rows, columns)]
    places = "".join(f"\033[{row};1H{line}" for row, line in enumerate(lines, 1))
    show("\033%G\033[0m\033[?25l\033[2J" + places)
    for _ in range(10):
        before, said = device("vcsa"), device("vcsu")
        machine.screenshot(f"{OUT}/{page.count}.png")
        if device("vcsa") == before:
            break
    else:
        raise Exception("something else writes to the guest's screen all the time")
    known = glyphs(before)
    told = [chr(int.from_bytes(said[at : at + 4], "little")) for at in range(0, len(said), 4)]
    cells = [character if is_there(character, glyph, known[0]) else None for character, glyph in zip(told, known)]
    with open(f"{OUT}/{page.count}.json", "w") as file:
        json.dump({"columns": columns, "cells": cells}, file)
    page.count += 1


page.count = 0
machine = next((machine for machine in machines if machine.name == MACHINE), None) if MACHINE else machines[0]
if machine is None:
    raise Exception(f"there is no machine {MACHINE!r}")
machine.start()
for command in BEFORE:
    machine.succeed(command)
# The kernel writes to the console, too.
machine.succeed("echo 1 >/proc/sys/kernel/printk")
number = machine.succeed("cat /sys/class/tty/tty0/active").strip().removeprefix("tty")
# From the first look on the kernel remembers which characters were written.
device("vcsu")
rows, columns = device("vcsa")[:2]
room = columns * (rows - 1) - 2
# Three times in different places: one that was disturbed is outvoted.
for turn in range(3):
    shift = turn * 37
    turned = CHARACTERS[shift:] + CHARACTERS[:shift]
    for at in range(0, len(turned), room):
        page(turned[at : at + room])
