# machines:
# The assertions of unittest, and two that fail: only the script's frames are told, and all lines of the message.
t.assertEqual(1, 1)
t.assertIn("a", "abc")
with t.assertRaises(ValueError):
    int("x")
try:
    with subtest("lists"):
        t.assertEqual(["a", "b"], ["a", "c"])
except AssertionError:
    print("caught")


def compare(items):
    for item in items:
        t.assertEqual(item, 1, "items differ")


compare([1, 2])
