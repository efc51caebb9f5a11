# Power is cut, twice: a crash is no failure.
start_all()
server.succeed("sync")
server.crash()
server.crash()
print(server.is_up(), server.booted)
with subtest("back again"):
    server.wait_for_unit("multi-user.target")
    print(server.is_up())
