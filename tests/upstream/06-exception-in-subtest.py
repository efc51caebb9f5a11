# machines:
# An exception passes through two subtests, is caught, and another one is not.
try:
    with subtest("outer"):
        with subtest("inner"):
            raise ValueError("first")
except ValueError as error:
    print("caught", error)
with subtest("last"):
    {}["missing"]
