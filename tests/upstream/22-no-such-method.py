# A method that there is not, after an attribute that is assigned.
server.connected = False
print(server.connected, server.booted)
server.no_such_method("x")
