# machines: web-1 db 0day
# Machines that are never started: their names, in variables, lists and text.
print([machine.name for machine in sorted(machines, key=lambda machine: machine.name)])
print(web_1.name, db.name, _day.name)
print(f"{db.state_dir.name} {db.shared_dir.name} {db.state_dir.parent == db.tmp_dir}")
print(db.booted, db.connected, db.is_up(), db.pid)
db.shutdown()
db.crash()
db.wait_for_shutdown()
other = create_machine("./run-other-vm")
print(other.name, other.state_dir.name)
third = create_machine("qemu-system-x86_64 $QEMU_OPTS", name="third")
print(third.name, {db: "hashable"}[db], db == db, db == other)
join_all()
