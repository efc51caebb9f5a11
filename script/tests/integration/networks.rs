//! VLANs as scripts see them, on a switch that carries nothing.

use std::sync::Arc;

use driver_core::event::{Event, Record};
use driver_core::fake::FakeSwitch;
use script::FailureKind;

use crate::support::{Bench, Ran};

/// Runs a script against the machines `client`, `db-1` and `server`, on VLANs 1 and 2 all of them.
async fn run(name: &str, text: &str) -> (Ran, Arc<FakeSwitch>) {
    let bench = Bench::new(&["client", "db-1", "server"]);
    let switch = bench.switches.switch(1).expect("the switch of VLAN 1");
    switch.let_all_fit();
    (bench.run(name, text).await, switch)
}

/// The faults that went on and off.
fn faults_of(records: &[Record]) -> Vec<String> {
    let fault = |record: &Record| match &record.event {
        Event::FaultImposed { fault, .. } => Some(format!("+ {fault}")),
        Event::FaultLifted { fault, .. } => Some(format!("- {fault}")),
        _ => None,
    };
    records.iter().filter_map(fault).collect()
}

const FAULTS: [&str; 14] = [
    "+ partition: client, db-1 | server",
    "- partition: client, db-1 | server",
    "+ partition: server | client, db-1",
    "- partition: server | client, db-1",
    "+ delay of 20 ms ± 5 ms between client and db-1, server, seed 7",
    "+ loss of 2.5 % from client to server, seed 8",
    "- loss of 2.5 % from client to server, seed 8",
    "- delay of 20 ms ± 5 ms between client and db-1, server, seed 7",
    "+ rate of 0.5 Mbit/s between client, db-1 and server",
    "- rate of 0.5 Mbit/s between client, db-1 and server",
    "+ duplicates of 1 %, seed 1",
    "+ reordering of 10 % by 30 ms, seed 1",
    "- duplicates of 1 %, seed 1",
    "- reordering of 10 % by 30 ms, seed 1",
];

#[tokio::test]
async fn faults_in_python() {
    let (ran, _) = run(
        "faults.py",
        r#"
with vlan1.partition([client, "db-1"], [server]):
    pass
vlan1.partition(server).lift()
with vlan1.delay(20, jitter=5, between=client, seed=7) as slow:
    assert slow.seed == 7 and repr(slow).startswith("<delay of 20 ms"), slow
    try:
        with vlan1.loss(2.5, between=(client, [server]), one_way=True, seed=8):
            raise KeyError("inside")
    except KeyError:
        pass
limited = vlan1.rate(0.5, between=([client, db_1], "server"))
assert vlan1.lift(limited) and not limited.lift()
vlan1.duplicate(1, seed=1)
vlan1.reorder(10, ms=30, seed=1)
vlan1.heal()
"#,
    )
    .await;
    ran.passed();
    assert_eq!(faults_of(&ran.records), FAULTS);
}

#[tokio::test]
async fn faults_in_perl() {
    let (ran, _) = run(
        "faults.pl",
        r#"
my $inside = $vlan1->partition([$client, "db-1"], [$server], sub { "inside" });
die "got $inside" unless $inside eq "inside";
$vlan1->partition($server)->lift;
$vlan1->delay(20, { jitter => 5, between => $client, seed => 7 }, sub {
    my ($slow) = @_;
    die "seed" unless $slow->{seed} == 7 && $slow->{description} =~ /^delay of 20 ms/;
    eval {
        $vlan1->loss(2.5, { between => [$client, [$server]], one_way => 1, seed => 8 }, sub { die "within\n" });
    };
    die "got $@" unless $@ eq "within\n";
});
my $limited = $vlan1->rate(0.5, { between => [[$client, $db_1], "server"] });
die "lift" unless $vlan1->lift($limited) && !$limited->lift;
$vlan1->duplicate(1, { seed => 1 });
$vlan1->reorder(10, { ms => 30, seed => 1 });
$vlan1->heal;
"#,
    )
    .await;
    ran.passed();
    assert_eq!(faults_of(&ran.records), FAULTS);
}

#[tokio::test]
async fn vlans_are_what_nixos_tests_know() {
    let (ran, switch) = run(
        "vlans.py",
        r#"
assert vlans == [vlan1, vlan2] and repr(vlan1) == "<Vlan Nr. 1>", vlans
def plugged(vlan: VLan) -> str:
    return os.environ[f"QEMU_VDE_SOCKET_{vlan.nr}"]
assert plugged(vlan1) == str(vlan1.socket_dir) and vlan1.tap_name is None and vlan1.pid > 0
print(vlan1.socket_dir)
"#,
    )
    .await;
    ran.passed();
    assert_eq!(ran.printed(), [switch.setup().dir.display().to_string()]);
    let (ran, switch) = run(
        "vlans.pl",
        r#"
die "vlans" unless @vlans == 2 && $vlans[1] == $vlan2 && $vlan1->nr == 1 && $vlan1->pid > 0;
print $vlan1->socketDir, "\n";
"#,
    )
    .await;
    ran.passed();
    assert_eq!(ran.printed(), [switch.setup().dir.display().to_string()]);
}

#[tokio::test]
async fn captures_and_packets_in_both_languages() {
    let (ran, _) = run(
        "packets.py",
        r#"
with vlan1.capture() as capture:
    with vlan1.expect_packet("ARP who has", timeout=30) as packet:
        assert not hasattr(packet, "summary")
    assert (packet.summary, packet.port, packet.length) == ("ARP who has", "client", 100), vars(packet)
    assert packet.bytes == b"ARP who has"
assert (capture.frames, capture.left_out) == (1, 0) and capture.file.endswith("/vlan1.pcapng"), vars(capture)
assert vlan1.wait_for_packet("TCP").after == 0
assert vlan1.stats()["client"]["sent_frames"] == 2
assert vlan1.capture("more", limit=1000).end()["frames"] == 2
"#,
    )
    .await;
    ran.passed();
    let (ran, _) = run(
        "packets.pl",
        r#"
my $packet = $vlan1->expectPacket("ARP who has", { timeout => 30 }, sub { "not this" });
die "packet" unless $packet->{port} eq "client" && $packet->{bytes} eq "ARP who has";
die "wait" unless $vlan1->waitForPacket("TCP")->{summary} eq "TCP";
my $capture = $vlan1->capture("mine.pcapng", { limit => 1000 });
die "file" unless $capture->{file} =~ m{/mine\.pcapng$};
die "end" unless $capture->end->{frames} == 2;
die "stats" unless $vlan1->stats->{client}{sent_frames} == 2;
"#,
    )
    .await;
    ran.passed();
}

#[tokio::test]
async fn a_block_does_not_end_what_has_been_ended_in_it() {
    let (ran, _) = run(
        "early.py",
        r#"
with vlan1.expect_packet("ARP") as packet:
    assert packet.end().summary == packet.summary == "ARP"
with vlan1.expect_packet("TCP") as packet:
    assert vlan1.await_packet(packet).summary == "TCP"
with vlan1.capture() as capture:
    capture.end()
assert capture.frames == 2
"#,
    )
    .await;
    ran.passed();
    let (ran, _) = run(
        "early.pl",
        r#"
my $packet = $vlan1->expectPacket("ARP", sub { $_[0]->end });
die "end" unless $packet->{summary} eq "ARP";
$packet = $vlan1->expectPacket("TCP", sub { $vlan1->awaitPacket($_[0]) });
die "awaitPacket" unless $packet->{summary} eq "TCP";
"#,
    )
    .await;
    ran.passed();
}

#[tokio::test]
async fn a_block_that_fails_does_not_wait_for_its_packet() {
    for (name, text) in [
        ("late.py", "with vlan1.expect_packet('TCP', timeout=10):\n    assert False, 'inside'\n"),
        ("late.pl", "$vlan1->expectPacket('TCP', { timeout => 10 }, sub { die \"inside\\n\" });\n"),
    ] {
        let ran = Bench::new(&["client"]).run(name, text).await;
        let is_wait =
            |event: &Event| matches!(event, Event::ScopeStarted { text, .. } if text.contains("packet"));
        assert!(!ran.records.iter().any(|record| is_wait(&record.event)), "{:?}", ran.records);
        assert_eq!((ran.failure().kind, ran.failure().message.as_str()), (FailureKind::Assertion, "inside"));
    }
}

#[tokio::test]
async fn mistakes_are_told_in_the_scripts_own_terms() {
    let (ran, _) = run("between.py", "vlan1.loss(1, between=7)").await;
    let message = &ran.failure().message;
    assert!(
        message.starts_with("TypeError: ") && message.ends_with("(argument `between` of loss())"),
        "{message}"
    );
    let (ran, _) = run("unknown.py", "vlan1.partition([client], ['sever'])").await;
    assert_eq!(ran.failure().message, "ValueError: machine `sever` has no port here");
    let (ran, _) = run("other.py", "vlan1.loss(1, seed=1)\nvlan2.lift(vlan1.loss(2, seed=1))").await;
    let other = "ValueError: <loss of 2 %, seed 1> belongs to <Vlan Nr. 1> (argument `fault` of lift())";
    assert_eq!(ran.failure().message, other);
    let (ran, _) = run("other.pl", "$vlan2->lift($vlan1->loss(1));").await;
    assert_eq!(ran.failure().message, "lift: `fault` belongs to another VLAN");
    let (ran, _) = run("unknown.pl", "\n$vlan1->partition([$client], ['sever']);").await;
    assert_eq!((ran.failure().kind, ran.failure().line), (FailureKind::ScriptError, Some(2)));
}
