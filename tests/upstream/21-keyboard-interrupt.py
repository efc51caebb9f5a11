# machines:
with subtest("somebody presses Ctrl-C"):
    raise KeyboardInterrupt
