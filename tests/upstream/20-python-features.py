# What scripts are made of: classes, closures, generators, decorators, annotations.
import dataclasses
from contextlib import contextmanager


@dataclasses.dataclass
class User:
    name: str
    uid: int = 1000

    def home(self) -> str:
        return f"/home/{self.name}"


checks = []


def check(function):
    checks.append(function)
    return function


@check
def first(machine: Machine) -> str:
    return machine.name


@check
def second(machine: "Machine") -> str:
    global seen
    seen = machine
    return "seen"


@contextmanager
def announced(what):
    log.log(f"begin {what}")
    yield what.upper()
    log.log(f"end {what}")


with announced("work") as word:
    print(word, [function(server) for function in checks], seen is server)
print(User("alice").home(), sum(n * n for n in range(4)), *zip("ab", [1, 2]))
script_of_lines = 1; print("one line"); print(f'''three
lines''')
