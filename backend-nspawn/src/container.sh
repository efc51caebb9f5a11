# Boots a container, in namespaces for mounts and networks that are this shell's own and go with its processes.
# Works in the machine's directory. $1: the root, a directory or an image of a file system; $2: the place of the
# control group; $3: the terminal that is the console; then the command. Standard input: a line for each boot.
# Standard output: `ready`, and how each boot ended.
set -eu
root=$1 group=$2 console=$3
shift 3
# systemd-nspawn takes the kind of control groups that it finds here for the container, too.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Its locks and sockets are nobody else's business.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn
mkdir -p lower upper work root
if [ -d "$root" ]; then
    mount --bind -- "$root" lower
else
    mount -o ro,loop -- "$root" lower
fi
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay root
# The power button goes to the whole group of processes; systemd-nspawn is the one that heeds it.
trap : TERM
echo ready
# What the shell has to say of commands that were killed is no news.
exec 3>&2 2>/dev/null
while read -r _; do
    status=0
    (
        echo 0 >"/sys/fs/cgroup$group/cgroup.procs"
        exec "$@" </dev/null >"$console" 2>&3 3>&-
    ) || status=$?
    echo "ended $status"
done
