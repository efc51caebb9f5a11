# What a script prints, and what it adds to the log.
print("printed", 1, end="!\n")
log.log("a line")
log.info("an info line")
log.warning("a warning")
log.debug("nobody sees this")
log.log("about the server", {"machine": "server"})
server.log("the server's line")
log.log("two\nlines, and ünïcödé")
with log.nested("a nest"):
    with server.nested("the server's nest"):
        print("inside")
log.log_test_error("an error that goes on")
