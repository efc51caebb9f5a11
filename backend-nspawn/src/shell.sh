# The root shell of a container that has booted: as NixOS's driver has it (compat.md 1.10), and with its greeting.
export USER=root HOME=/root DISPLAY=:0.0 PAGER= SYSTEMD_PAGER=
export PATH=/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[ ! -r /etc/profile ] || . /etc/profile
cd /tmp
echo "$0"
# Its parent stays outside of the container's processes, and is not stopped with them when the container ends, as
# nsenter's own child would be, and nsenter with it: it has to be there to take note of the child's end.
exec 3>&2 2>/dev/null
PS1= bash --norc 2>&3 3>&-
exit
