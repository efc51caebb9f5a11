"""The side of innkeeper that lives in a Python test script.

The verbs themselves are not here: the driver sends their table, and this package makes methods of it.
"""
