# Outlives the driver for a moment. $1: the driver's directory. Standard input: orders, one a line, until
# the driver is gone, killed with -9 or not. What it had not released by then is killed and removed.
trap '' INT TERM HUP QUIT
# The driver's own PATH may lead nowhere.
PATH="$PATH:/run/current-system/sw/bin:/usr/bin:/bin"
groups=
while read -r order pgid; do
    case $order in
    group) groups="$groups $pgid" ;;
    release)
        kept=
        for group in $groups; do
            [ "$group" = "$pgid" ] || kept="$kept $group"
        done
        groups=$kept
        ;;
    esac
done
for group in $groups; do
    # dash takes `--` only after `-s`.
    kill -s KILL -- "-$group"
done
# What a start script has left running outside of its group, as daemons are, is told by the TMPDIR that the
# script was given. What they start meanwhile is found when it is looked for again.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    environs=$(grep -lsF -- "TMPDIR=$1/" /proc/[0-9]*/environ)
    [ "$environs" ] || break
    for environ in $environs; do
        pid=${environ#/proc/}
        kill -s KILL -- "${pid%/environ}"
    done
done
# A process that was just killed may hold files for a moment yet.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" && break
    sleep 0.1
done
