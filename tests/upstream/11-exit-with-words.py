# machines:
import sys

with log.nested("a nest"):
    sys.exit("that is all")
