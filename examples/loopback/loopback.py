start_all()
server.succeed("""cat > /root/shout.pl <<'END'
use IO::Socket::INET;
my $door = IO::Socket::INET->new(LocalAddr => "127.0.0.1:7777", Listen => 5, ReuseAddr => 1) or die "no port: $@";
while (my $guest = $door->accept) {
    print $guest uc <$guest>;
    close $guest;
}
END""")
server.succeed("perl /root/shout.pl </dev/null >/dev/null 2>&1 &")
server.wait_until_succeeds("exec 3<>/dev/tcp/127.0.0.1/7777")
with subtest("the service answers"):
    answer = server.succeed("exec 3<>/dev/tcp/127.0.0.1/7777; echo hello >&3; cat <&3")
    assert answer == "HELLO\n", answer
with subtest("what a machine has on its disk can be fetched"):
    server.succeed("echo kept > /root/kept")
    server.copy_from_machine("/root/kept")
server.shutdown()
