# What runs first in a machine, and the last to end: prepares its world, starts its root shell on standard input
# and output, and waits for orders. Standard error is the machine's console.
# $1: "own" in namespaces of its own, "host" without. In the environment: MACHINE, STATE, SHARED.
say() { echo "local: $*" >&2; }

exec 3<>"$STATE/power"
if [ "$1" = own ]; then
    # What the machine may write to is its own; the rest of the file system is the host's, to be read. That keeps
    # mistakes out, not malice: root of this namespace can mount it anew.
    mount --bind "$STATE/home" /root
    mount -t tmpfs -o mode=755 innkeeper /run
    mount -t tmpfs innkeeper /dev/shm
    [ ! -e /dev/console ] || mount --bind "$STATE/console" /dev/console
    mkdir /run/innkeeper
    mount --bind "$STATE/run" /run/innkeeper
    mount --bind "$STATE/power" /run/innkeeper/power
    mount --bind "$SHARED" "$STATE/tmp/shared"
    mount --rbind "$STATE/tmp" /tmp
    while read -r _ place kind _; do
        case "$kind $place" in
        "proc "* | "sysfs "* | "dev"* | *" /dev" | *" /root" | *" /run" | *" /tmp" | *" /tmp/"* | *" /run/"* | *" /dev/"*) ;;
        *) mount -o remount,bind,ro "$(printf %b "$place")" || say "$place stays as the host has it" ;;
        esac
    done </proc/self/mounts
    hostname "$MACHINE"
    ip link set lo up
    PATH=/run/innkeeper:$PATH POWER=/run/innkeeper/power HOME=/root TMPDIR=/tmp
else
    PATH=$STATE/run:$PATH POWER=$STATE/power HOME=$STATE/home TMPDIR=$STATE/tmp
fi
export PATH POWER HOME TMPDIR
unset STATE SHARED BASH_ENV
cd
say "machine $MACHINE is up"
(
    exec 3<&-
    echo "$GREETING"
    exec bash --norc
) <&0 &
exec </dev/null >/dev/null
while read -r order <&3; do
    say "$order"
    case $order in
    poweroff) exit 40 ;;
    reboot) exit 41 ;;
    esac
done
