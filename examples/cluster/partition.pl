startAll;

for my $web ($web1, $web2) {
    $web->succeed("echo 'served by " . $web->name . "' >/var/www/html/index.html", "systemctl start nginx");
    $web->waitForOpenPort(80);
}

my $get = "curl --silent --show-error --fail";

subtest "machines reach each other by name", sub {
    $client->succeed("$get http://web1 | grep web1", "$get http://web2 | grep web2");
};

subtest "while one server is cut off, the other one serves", sub {
    $vlan1->partition([$client, $web2], [$web1], sub {
        $client->fail("$get --max-time 2 http://web1");
        $client->succeed("$get http://web2 | grep web2");
        # The driver does not need the network that it cuts: nginx is well, and is not to blame.
        $web1->succeed("$get http://localhost");
    });
};

subtest "the cable is whole again", sub {
    my $packet = $vlan1->expectPacket("tcp syn and port 80 and from client", { timeout => 30 }, sub {
        $client->succeed("$get http://web1 | grep web1");
    });
    $log->log($packet->{summary});
};

subtest "a slow line is slow", sub {
    $vlan1->delay(200, { between => [$client, $web2] }, sub {
        my $seconds = $client->succeed("$get --output /dev/null --write-out '%{time_connect}' http://web2");
        # There and back again.
        die "connected within $seconds seconds" if $seconds < 0.4;
    });
};
