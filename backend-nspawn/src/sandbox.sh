# What the sandbox of a Nix build lacks for systemd-nspawn (compat.md 1.10).
set -eu
if ! [ -w /run ]; then
    mkdir -p /run
    mount -t tmpfs -o mode=0755 tmpfs /run
fi
mkdir -p /run/netns /var /etc
[ -e /var/run ] || ln -s /run /var/run
[ -e /etc/os-release ] || : >/etc/os-release
[ -s /etc/machine-id ] || systemd-machine-id-setup
