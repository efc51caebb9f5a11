# Commands that succeed: several at once, output, standard error, text of all kinds.
print(repr(server.succeed("echo one", "printf two; echo said: to stderr >&2", "true")))
print(repr(server.succeed("""
    echo "quoted 'twice'" '$HOME' $((1 + 2))
    printf 'ünïcödé\\n\\n'
""")))
print(repr(server.execute("printf 'a\\377b'")))
print(server.execute("false | true")[0], server.execute("echo $undefined")[0], server.execute("exit 7"))
print(server.execute("kill -9 $$")[0])
print(server.execute("sleep 20", timeout=2)[0])
print(server.execute("echo text; exit 3", check_return=False))
print(repr(server.fail("echo why; exit 9", "false")))
server.succeed("cd /; x=1; umask 077")
print(server.succeed("pwd; echo ${x-none}; echo $USER $HOME"), end="")
server.succeed("(sleep 1; touch /tmp/late) >&2 &")
server.wait_for_file("/tmp/late")
print(len(server.succeed("seq 20000")))
print(server.succeed("echo " + "x" * 5000).count("x"))
server.sleep(1)
(server.succeed if True else server.execute)("true")
with t.subTest("of unittest"):
    t.assertEqual(server.succeed("id -u"), "0\n")
