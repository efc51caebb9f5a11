# Takes the time of what every test does. Any driver with NixOS's verbs can run it: nothing here is
# innkeeper's own. Times of day are compared with those of `cargo xtask bench`, which started the driver.
import json
import random
import time

ROUND_TRIPS = 500
WAITS = 20

script_began = time.time()

server.start()
server.connect()
shell_answered = time.time()

round_trips = []
for _ in range(ROUND_TRIPS):
    began = time.monotonic()
    server.succeed("true")
    round_trips.append(time.monotonic() - began)

# The guest's own clock says when the event was; the question for its time is part of the figure, the same
# part for every driver.
lateness = []
chance = random.Random(1)
for wait in range(WAITS):
    event = f"/tmp/event-{wait}"
    pause = chance.uniform(0.3, 2.3)
    server.succeed(f"(sleep {pause:.3f}; date +%s.%N >{event}.new; mv {event}.new {event}) >/dev/null 2>&1 &")
    happened = server.wait_until_succeeds(f"cat {event}")
    noticed = server.succeed("date +%s.%N")
    lateness.append(float(noticed) - float(happened))

with open(os.environ["BENCH_RESULT"], "w") as result:
    json.dump(
        {
            "script_began": script_began,
            "shell_answered": shell_answered,
            "round_trips": round_trips,
            "lateness": lateness,
        },
        result,
    )
