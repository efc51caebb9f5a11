# A condition is looked at before each command; when it fails, so does the test.
server.start()


@polling_condition(seconds_interval=0.1)
def no_flag():
    "there is no flag"
    server.fail("test -e /tmp/flag")


@polling_condition(description="always")
def always():
    pass


with always:
    with no_flag:
        server.succeed("true")
        with subtest("raises the flag"):
            server.succeed("touch /tmp/flag; sleep 1")
            server.succeed("echo not reached")
