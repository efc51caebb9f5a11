# A machine that there is not.
print("before")
client.succeed("true")
