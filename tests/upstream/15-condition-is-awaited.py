# machines:
# A polling condition that is waited for, and one that never holds.
looks = []


@polling_condition(seconds_interval=0, description="third look")
def third():
    looks.append(1)
    return len(looks) >= 3


third.wait(timeout=30)


@polling_condition
def never():
    """it never holds"""
    raise RuntimeError("not even a look")


with subtest("in vain"):
    never.wait(timeout=2)
