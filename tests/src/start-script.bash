# The body of a start script in the manner of NixOS's, for an image of `cargo xtask guests`: it makes its disk and finds
# its networks in the environment; the guest configures itself. Above it stand a shebang and assignments of
#   name                            the machine's name
#   members                         all machines in the order of the alphabet, each with its VLANs: "client:1 server:1,2"
#   memory                          in MiB
#   accel                           what QEMU runs on
#   disk kernel initrd cmdline      the image
set -e

NIX_DISK_IMAGE=$(readlink -f "${NIX_DISK_IMAGE:-./$name.qcow2}")
test -e "$NIX_DISK_IMAGE" || qemu-img create -q -f qcow2 -F raw -b "$disk" "$NIX_DISK_IMAGE"
if [ -z "$TMPDIR" ] || [ -z "$USE_TMPDIR" ]; then TMPDIR=$(mktemp -d nix-vm.XXXXXXXXXX --tmpdir); fi
mkdir -p "$TMPDIR/xchg"
cd "$TMPDIR"

# A network card for each VLAN of ours; an address on each of everybody's, in the order of the members.
cards=() addresses= number=0
# For systemd-tmpfiles, which knows `\n`.
hosts='f+ /etc/hosts 0644 root root - 127.0.0.1 localhost\n'
for member in $members; do
    number=$((number + 1)) card=0
    for vlan in $(echo "${member#*:}" | tr , ' '); do
        card=$((card + 1))
        hosts+="192.168.$vlan.$number ${member%%:*}\\n"
        [ "${member%%:*}" = "$name" ] || continue
        socket=QEMU_VDE_SOCKET_$vlan
        mac=$(printf '52:54:00:12:%02x:%02x' "$vlan" "$number")
        cards+=(-device "virtio-net-pci,netdev=vlan$card,mac=$mac" -netdev "vde,id=vlan$card,sock=${!socket}")
        addresses+=" ip=192.168.$vlan.$number:::255.255.255.0:$name:eth$card:none"
    done
done

exec qemu-system-x86_64 -name "$name" -m "$memory" -smp 1 -machine "type=q35,accel=$accel" -cpu max \
    -device virtio-rng-pci -net nic,netdev=user.0,model=virtio -netdev user,id=user.0,"$QEMU_NET_OPTS" \
    -virtfs local,path="${SHARED_DIR:-$TMPDIR/xchg}",security_model=none,mount_tag=shared \
    -drive cache=unsafe,file="$NIX_DISK_IMAGE",if=none,id=root -device virtio-blk-pci,drive=root "${cards[@]}" \
    -smbios "type=11,value=io.systemd.credential.binary:tmpfiles.extra=$(printf '%s' "$hosts" | base64 -w0)" \
    -kernel "$kernel" -initrd "$initrd" \
    -append "$cmdline systemd.hostname=$name$addresses $QEMU_KERNEL_PARAMS" $QEMU_OPTS "$@"
