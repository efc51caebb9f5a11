# machines:
# Tries until it works, and in vain.
tries = []


def third_time(last):
    tries.append(last)
    return len(tries) == 3


retry(third_time)
retry(fn=lambda _: "something true", timeout=5)
print(tries)
with subtest("in vain"):
    retry(lambda last: print("the last try") if last else False, 2)
