start_all()
server.fail("test -e /nowhere")
with subtest("must not be there"):
    server.fail("test -e /etc/passwd")
