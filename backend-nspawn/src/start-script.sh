# Becomes the start script of a container (compat.md 1.10), in a namespace for mounts that goes with its processes.
# $1: the place of the control group; $2: the terminal that is the console; then the variables, which are all that
# the script finds, and the command.
set -eu
group=$1 console=$2
shift 2
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo 0 >"/sys/fs/cgroup$group/cgroup.procs"
exec env -i "$@" >"$console"
