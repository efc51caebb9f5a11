# machines:
# timeout: 10
import time

with subtest("too long"):
    time.sleep(60)
