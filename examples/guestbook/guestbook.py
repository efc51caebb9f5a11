start_all()
server.wait_for_unit("multi-user.target")
server.wait_for_open_port(80)
with subtest("starts out with no posts"):
    server.succeed('[ -z "$(curl --fail localhost)" ]')
with subtest("a post is answered politely"):
    server.succeed("curl --fail -F text=testpost localhost | grep Thanks")
with subtest("the post is shown"):
    server.succeed("curl --fail localhost | grep testpost")
server.screenshot("guestbook")
