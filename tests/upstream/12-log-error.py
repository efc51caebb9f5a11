# machines:
with subtest("the log's own error"):
    log.error("this ends the test")
print("never printed")
