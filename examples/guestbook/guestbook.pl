startAll;
$server->waitForUnit("nginx.service");
$server->waitForOpenPort(80);
$server->succeed("[ -z \"\$(curl --fail --silent localhost)\" ]");
$server->succeed("curl --fail -F 'text=hello from perl' localhost | grep Thanks");
$server->succeed("curl --fail localhost | grep 'hello from perl'");
