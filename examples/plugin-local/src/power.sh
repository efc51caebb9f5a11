#!/bin/sh
# poweroff, halt, shutdown and reboot of the machine, in front of the host's own.
case $0 in
*/reboot) order=reboot ;;
*) order=poweroff ;;
esac
for argument; do
    case $argument in
    -r | --reboot) order=reboot ;;
    esac
done
echo $order >"$POWER"
