# machines:
# A bare assertion with words of its own, two functions down.
def check(value):
    assert value == 4, f"expected 4, got {value}"


def helper():
    check(3)


with log.nested("around it"):
    helper()
