# machines:
import sys

with subtest("leaves with a status"):
    sys.exit(3)
