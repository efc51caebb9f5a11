# machines:
# timeout: 3
import time

with subtest("too long"):
    time.sleep(60)
