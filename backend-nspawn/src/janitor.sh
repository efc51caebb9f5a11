# Empties a control group and removes it when the driver is gone, however it went. $1: the group's name. Standard
# input: nothing, until the driver is done or dead. Standard output: the group's place, once it is there.
trap '' INT TERM HUP QUIT
# Seen by this shell alone, and the same on hosts that have the second kind of control groups elsewhere.
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit
here=/
while IFS=: read -r number _ path; do
    [ "$number" != 0 ] || here=$path
done </proc/self/cgroup
group=/sys/fs/cgroup${here%/}/$1
mkdir "$group" || exit
echo "${here%/}/$1"
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    find "$group" -name cgroup.procs | while read -r processes; do
        while read -r process; do
            kill -s KILL "$process" 2>/dev/null
        done <"$processes"
    done
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    [ -d "$group" ] || exit 0
    sleep 0.1
done
echo "the control group $group cannot be removed" >&2
exit 1
