# A command that must succeed and does not: its output is told, then where.
def configure(machine):
    with machine.nested("configuring"):
        machine.succeed("echo first", "echo it says why; echo and more; exit 4")


try:
    with subtest("caught"):
        server.succeed("exit 2")
except AssertionError as error:
    print(error)
with subtest("not caught"):
    configure(server)
