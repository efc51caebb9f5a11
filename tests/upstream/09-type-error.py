# Calls with too few arguments and with wrong ones.
def attempt(call):
    try:
        call()
    except TypeError:
        print("TypeError")


attempt(lambda: server.wait_for_unit())
attempt(lambda: server.succeed("a", nothing=1))
attempt(lambda: server.wait_for_open_port())
attempt(lambda: retry())
server.wait_for_file()
