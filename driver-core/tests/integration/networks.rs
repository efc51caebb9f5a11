//! VLANs from the description of a run to the end of their switches, on switches that carry nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver_core::event::{Event, FileKind, Record};
use driver_core::fake::{FakeBackend, FakeSwitch, FakeSwitches, Play, Reply};
use driver_core::verbs::Subject;
use driver_core::vlan::{Between, Fault, FaultKind};
use driver_core::{
    Capabilities, Driver, DriverConfig, DriverError, Image, Journal, MachineConfig, Reporter, RustPatterns,
    VlanConfig,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::log_of;

/// A run with the machines `a`, `b` and `c`, on VLAN 1 all of them, and `b` on VLAN 12, too.
struct Net {
    driver: Arc<Driver>,
    switches: FakeSwitches,
    out_dir: TempDir,
    records: Arc<Mutex<Vec<Record>>>,
}

struct Recorder(Arc<Mutex<Vec<Record>>>);

impl Reporter for Recorder {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.0.lock().expect("no reporter panics").push(record.clone());
        Ok(())
    }
}

fn machine(name: &str, vlans: &[u32]) -> MachineConfig {
    let disks = Vec::new();
    let image = Image { boot: driver_core::Boot::Firmware { disks }, memory_mib: None };
    MachineConfig { vlans: vlans.to_vec(), ..MachineConfig::new(name, Arc::new(FakeBackend::new()), image) }
}

#[tokio::test]
async fn vlans_of_a_machine_whose_backend_has_no_cards_are_refused() {
    let has_cards = Capabilities { nics: true, ..Capabilities::default() };
    let choice = [("fake", Capabilities::default()), ("other", has_cards)];
    let net = Net::with(|config| config.choice = choice.map(|(name, can)| (name.to_owned(), can)).into());
    let error = net.driver.check().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "backend `fake` has no network cards, which machine `a` needs (leave out the machine's `vlans`; or take a \
         backend that has it: `other`)"
    );
    net.end().await;
}

impl Net {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut DriverConfig)) -> Self {
        let (records, switches) = (Arc::default(), FakeSwitches::default());
        let out_dir = tempfile::tempdir().expect("a result directory");
        let journal = Journal::in_memory(vec![Box::new(Recorder(Arc::clone(&records)))]);
        let mut config = DriverConfig {
            machines: vec![machine("c", &[1]), machine("a", &[1]), machine("b", &[12, 1])],
            switches: Some(Arc::new(switches.clone())),
            seed: Some(7),
            ..DriverConfig::new(out_dir.path(), journal)
        };
        change(&mut config);
        Self { driver: Driver::new(config).expect("a run"), switches, out_dir, records }
    }

    fn switch(&self, vlan: u32) -> Arc<FakeSwitch> {
        self.switches.switch(vlan).expect("the switch of the VLAN")
    }

    /// Calls a verb of VLAN 1 as a script does.
    async fn call(&self, verb: &str, params: Value) -> Result<Value, DriverError> {
        self.driver.call(verb, Subject::Vlan(1), params, Arc::new(RustPatterns)).await
    }

    async fn end(self) -> Vec<Record> {
        self.driver.shut_down().await;
        self.driver.journal().close().expect("a journal without errors");
        let records = self.records.lock().expect("no reporter panics");
        records.clone()
    }
}

fn message<T: std::fmt::Debug>(result: Result<T, DriverError>) -> String {
    result.expect_err("a refusal").to_string()
}

fn faults_of(records: &[Record]) -> Vec<String> {
    let fault = |record: &Record| match &record.event {
        Event::FaultImposed { vlan, fault, .. } => Some(format!("{vlan}+ {fault}")),
        Event::FaultLifted { vlan, fault, .. } => Some(format!("{vlan}- {fault}")),
        _ => None,
    };
    records.iter().filter_map(fault).collect()
}

#[tokio::test]
async fn machines_are_plugged_in_before_anything_starts_and_switches_end_with_the_run() {
    let net = Net::with(|config| {
        let tap = Some("tap-test".to_owned());
        config.vlans.push(VlanConfig { tap, dhcp: true, seed: Some(99), ..VlanConfig::new(3) });
    });
    let numbers: Vec<u32> = net.driver.vlans().iter().map(|vlan| vlan.number()).collect();
    assert_eq!(numbers, [1, 3, 12]);
    assert_eq!(net.switch(1).machines(), ["a", "b", "c"]);
    assert_eq!(net.switch(12).machines(), ["b"]);

    let stations: Vec<String> = net
        .driver
        .stations()
        .iter()
        .map(|at| format!("{} {} {} {}", at.machine, at.mac, at.ipv4, at.ipv6))
        .collect();
    let expected = [
        "a 52:54:00:12:01:01 192.168.1.1 2001:db8:1::1",
        "b 52:54:00:12:0c:02 192.168.12.2 2001:db8:12::2",
        "b 52:54:00:12:01:02 192.168.1.2 2001:db8:1::2",
        "c 52:54:00:12:01:03 192.168.1.3 2001:db8:1::3",
    ];
    assert_eq!(stations, expected);
    let switch = net.switch(1);
    let here: Vec<&str> = switch.setup().stations.iter().map(|at| at.machine.as_str()).collect();
    assert_eq!(here, ["a", "b", "c"]);

    let third = net.switch(3);
    assert_eq!((third.taps(), third.setup().seed), (vec!["tap-test".to_owned()], 99));
    assert_eq!(third.setup().dhcp.map(|dhcp| dhcp.server.to_string()).as_deref(), Some("192.168.3.254"));
    assert_eq!(
        net.driver.vlan(3).and_then(|vlan| vlan.tap_name().map(str::to_owned)).as_deref(),
        Some("tap-test")
    );

    let switches = [net.switch(1), net.switch(3), net.switch(12)];
    assert!(switches.iter().all(|switch| switch.setup().dir.is_dir() && !switch.is_closed()));
    let log = log_of(&net.end().await);
    assert!(switches.iter().all(|switch| !switch.setup().dir.exists() && switch.is_closed()));
    assert_eq!(log[0], "start all VLans");
    for line in ["start vlan", "creating tap interface tap-test", "running vlan (pid ", "kill vlan (pid "] {
        assert!(log.iter().any(|logged| logged.starts_with(line)), "{line}: {log:?}");
    }
    assert!(log.iter().any(|logged| logged.ends_with("/v12)")), "{log:?}");
}

#[tokio::test]
async fn vlans_that_cannot_be_are_refused() {
    let refused = |change: fn(&mut DriverConfig)| {
        let mut config = DriverConfig::new("/nonexistent", Journal::in_memory(Vec::new()));
        config.switches = Some(Arc::new(FakeSwitches::default()));
        change(&mut config);
        message(Driver::new(config))
    };
    let twice = refused(|config| config.machines.push(machine("a", &[1, 2, 1])));
    assert_eq!(twice, "machine `a` is on VLAN 1 more than once");
    let large = refused(|config| config.machines.push(machine("a", &[256])));
    assert_eq!(large, "there is no VLAN 256 (they are numbered 1 to 255)");
    let nobody = refused(|config| {
        config.switches = None;
        config.machines.push(machine("a", &[1]));
    });
    assert_eq!(nobody, "nobody makes switches for VLANs (set `DriverConfig::switches`)");
}

#[tokio::test]
async fn a_fault_is_on_until_its_guard_goes_and_both_are_told_with_the_seed() {
    let net = Net::new();
    let (vlan, switch) = (net.driver.vlan(1).unwrap(), net.switch(1));
    {
        let _lossy = vlan.impose(Fault::loss(10.0).between(&["a"], &[])).unwrap();
        let on = switch.faults();
        let to_others = Between::BothWays(vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]);
        assert_eq!((on.len(), &on[0].between), (1, &to_others));
        assert!(on[0].seed.is_some());
    }
    assert_eq!(switch.faults(), []);
    let slow = vlan.impose(Fault::delay(Duration::from_millis(20), Duration::ZERO).seed(5)).unwrap().keep();
    vlan.impose(Fault::partition(&[&["b"]])).unwrap().keep();
    let groups = vec![vec!["b".to_owned()], vec!["a".to_owned(), "c".to_owned()]];
    assert_eq!(switch.faults()[1].kind, FaultKind::Partition { groups });
    assert!(vlan.lift(slow));
    assert!(!vlan.lift(slow));
    vlan.heal();
    assert_eq!(switch.faults(), []);
    assert!(message(vlan.impose(Fault::rate(1).between(&["a"], &["nobody"]))).contains("`nobody`"));

    let told = faults_of(&net.end().await);
    let seed = told[0].rsplit(' ').next().unwrap().to_owned();
    let lossy = format!("loss of 10 % between a and b, c, seed {seed}");
    let expected = [
        format!("1+ {lossy}"),
        format!("1- {lossy}"),
        "1+ delay of 20 ms".to_owned(),
        "1+ partition: b | a, c".to_owned(),
        "1- delay of 20 ms".to_owned(),
        "1- partition: b | a, c".to_owned(),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn the_seed_of_a_run_decides_those_of_its_faults() {
    async fn seeds(seed: u64) -> Vec<Option<u64>> {
        let net = Net::with(|config| config.seed = Some(seed));
        for vlan in [1, 1, 12] {
            net.driver.vlan(vlan).unwrap().impose(Fault::loss(1.0)).unwrap().keep();
        }
        let all = [net.switch(1).faults(), net.switch(12).faults()].concat();
        net.end().await;
        all.into_iter().map(|fault| fault.seed).collect()
    }
    let first = seeds(7).await;
    assert_eq!(first, seeds(7).await);
    assert_ne!(first, seeds(8).await);
    // What one seed did once it does for ever.
    assert_eq!(first, [2_118_939_023, 1_224_808_414, 1_212_789_483].map(Some));
}

#[tokio::test]
async fn faults_survive_the_event_file() {
    let fault = Fault::reorder(2.5, Duration::from_millis(1500)).one_way(&["a"], &["b"]).seed(3);
    let written = serde_json::to_value(&fault).unwrap();
    assert_eq!(written["kind"]["reorder"], json!({"percent": 2.5, "by_s": 1.5}));
    assert_eq!(serde_json::from_value::<Fault>(written).unwrap(), fault);
}

#[tokio::test]
async fn verbs_impose_faults_as_scripts_say_them() {
    let net = Net::new();
    let slow =
        net.call("delay", json!({"ms": 200, "between": [["a"], ["b", "c"]], "one_way": true})).await.unwrap();
    assert_eq!((&slow["end"], &slow["cancel"]), (&json!("lift"), &json!("lift")));
    assert_eq!(slow["fields"]["description"], "delay of 200 ms from a to b, c");
    net.call("rate", json!({"mbit": 8, "between": [["a"]]})).await.unwrap();
    let expected = [
        Fault::delay(Duration::from_millis(200), Duration::ZERO).one_way(&["a"], &["b", "c"]),
        Fault::rate(8_000_000).between(&["a"], &["b", "c"]),
    ];
    let on = net.switch(1).faults();
    for (on, expected) in on.iter().zip(&expected) {
        assert_eq!((&on.kind, &on.between), (&expected.kind, &expected.between));
    }
    assert_eq!(net.call("lift", json!({"fault": slow["id"]})).await.unwrap(), true);
    assert_eq!(net.call("lift", json!({"fault": slow["id"]})).await.unwrap(), false);
    assert_eq!(net.switch(1).faults().len(), 1);
    net.call("heal", json!({})).await.unwrap();
    assert_eq!(net.switch(1).faults(), []);
    net.end().await;
}

#[tokio::test]
async fn calls_of_vlans_that_make_no_sense_say_what_is_wrong() {
    let net = Net::new();
    let between = "between takes a machine, or two (each may be a list of machines that is not empty)";
    for (verb, params, complaint) in [
        ("delay", json!({"ms": -1}), "-1 is not a time in milliseconds"),
        ("delay", json!({"ms": "long"}), "delay(): "),
        ("rate", json!({"mbit": 0}), "0 is not a rate in million bits a second"),
        ("loss", json!({"percent": 1, "between": [["a"], []]}), between),
        ("loss", json!({"percent": 1, "between": [["a"], ["b"], ["c"]]}), between),
        ("loss", json!({"percent": 1, "between": []}), between),
        ("loss", json!({"percent": 1, "one_way": true}), "one_way needs to know from whom to whom"),
        ("loss", json!({"percent": 1, "seed": -1}), "loss(): "),
        ("wait_for_packet", json!({"filter": ""}), "the filter is empty"),
        ("capture", json!({"file": "nowhere/x.pcapng"}), "`nowhere` is no directory to put a capture into"),
        ("await_packet", json!({"expected": 4}), "this packet has been waited for before"),
    ] {
        let error = net.call(verb, params.clone()).await.unwrap_err();
        assert!(error.to_string().starts_with(complaint), "{verb} {params}: {error}");
        assert_eq!(error.kind(), driver_core::ErrorKind::Usage, "{verb} {params}");
    }
    let call = |verb, vlan| net.driver.call(verb, Subject::Vlan(vlan), json!({}), Arc::new(RustPatterns));
    assert_eq!(message(call("heal", 2).await), "there is no VLAN 2");
    assert_eq!(message(call("start", 1).await), "there is no verb `start`");
    net.end().await;
}

#[tokio::test]
async fn captures_find_free_names_and_end_with_the_run() {
    let net = Net::with(|config| {
        config.vlans.push(VlanConfig { capture: true, capture_limit: 200, ..VlanConfig::new(1) });
    });
    let out_dir = net.out_dir.path().to_owned();
    for _ in 0..3 {
        net.switch(1).pass("a", "ping");
    }
    let second = net.call("capture", json!({"limit": 1000})).await.unwrap();
    assert_eq!(second["fields"]["file"], json!(out_dir.join("vlan1-2.pcapng")));
    net.call("capture", json!({"file": "mine"})).await.unwrap();
    let end = net.call("end_capture", json!({"capture": second["id"]})).await.unwrap();
    assert_eq!(end, json!({"frames": 3, "left_out": 0, "bytes": 300}));
    assert_eq!(net.call("end_capture", json!({"capture": second["id"]})).await.unwrap(), Value::Null);

    let records = net.end().await;
    let saved: Vec<&str> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::FileSaved { kind: FileKind::Capture, path } => Some(path.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(saved, ["vlan1-2.pcapng", "vlan1.pcapng", "mine.pcapng"]);
    let full = "vlan1.pcapng has reached its limit: 1 frames are not in it";
    assert!(
        records.iter().any(|record| matches!(&record.event, Event::Log { text, .. } if text.contains(full))),
        "{records:?}"
    );
}

#[tokio::test]
async fn a_packet_is_seen_that_passed_since_the_watch_began_and_only_that() {
    let net = Net::new();
    let (vlan, switch) = (net.driver.vlan(1).unwrap(), net.switch(1));
    switch.pass("a", "ICMP echo request, the first");
    let expected = vlan.expect_packet("ICMP").unwrap();
    switch.pass("b", "ICMP echo request, the second");
    assert_eq!(expected.seen(Duration::ZERO).await.unwrap().port, "b");

    let handle = net.call("expect_packet", json!({"filter": "ARP", "timeout": 60})).await.unwrap();
    switch.pass("c", "ARP who has");
    let packet = net.call("await_packet", json!({"expected": handle["id"]})).await.unwrap();
    let expected = json!({
        "summary": "ARP who has", "port": "c", "length": 100, "after_s": 0.0, "bytes": "4152502077686f20686173",
    });
    assert_eq!(packet, expected);

    let nothing = vlan.wait_for_packet("TCP", Duration::from_millis(1)).await;
    assert_eq!(message(nothing), "no packet on vlan 1 fitted `TCP` within 1ms (nothing passed meanwhile)");
    let expected = vlan.expect_packet("TCP").unwrap();
    switch.pass("a", "UDP 68 to 67");
    switch.pass("b", "ARP who has");
    switch.pass("b", "ARP is at");
    assert_eq!(
        message(expected.seen(Duration::from_millis(1)).await),
        "no packet on vlan 1 fitted `TCP` within 1ms \
         (meanwhile passed 1 from a, 2 from b; the last one from b: ARP is at)"
    );
    let limits = net.end().await.into_iter().filter_map(|record| match record.event {
        Event::WaitLimit { limit_us } => Some(limit_us),
        _ => None,
    });
    assert_eq!(limits.collect::<Vec<_>>(), [0, 60_000_000, 1_000, 1_000], "each wait tells its limit");
}

#[tokio::test]
async fn stats_are_by_port() {
    let net = Net::new();
    net.switch(1).pass("b", "ping");
    let stats = net.call("stats", json!({})).await.unwrap();
    assert_eq!((&stats["b"]["sent_frames"], &stats["b"]["sent_bytes"]), (&json!(1), &json!(100)));
    assert_eq!(stats["a"]["sent_frames"], 0);
    net.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_never_takes_its_addresses_is_told_as_that() {
    async fn connect_a(backend: &FakeBackend) -> Result<(), DriverError> {
        let net = Net::with(|config| config.machines[1].backend = Arc::new(backend.clone()));
        let node = net.driver.node("a").expect("a machine of that name");
        let result = node.connect().await;
        net.end().await;
        result
    }
    let can = Capabilities { nics: true, ..Capabilities::default() };
    let backend = FakeBackend::new().with_capabilities(can);
    connect_a(&backend).await.expect("what the guest cannot take is no error");
    let gives = backend.handle("a").record().commands[0].clone();
    let stuck = FakeBackend::new()
        .with_capabilities(can)
        .with_play("a", Play::default().answer(&gives, Reply::Never));
    let told = message(connect_a(&stuck).await);
    assert!(
        told.starts_with("machine `a`: the end of giving the guest its addresses did not happen"),
        "{told}"
    );
}
