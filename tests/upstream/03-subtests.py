# machines:
# Subtests in each other, left in each way but by an exception.
def leave_early():
    with subtest("left by return"):
        with subtest("inner"):
            return "left"


for name in ("one", "two", "three"):
    with subtest(f"loop {name}"):
        if name == "two":
            break
print(leave_early())
with subtest("empty"):
    pass
