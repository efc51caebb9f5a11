# Gives a guest the addresses and the names of the test's machines. Run by bash once in each boot; calls of these
# functions follow. Prints the boot's id, or `initrd`, and then what went wrong, a line each. Status 3: a network
# card is not there yet, and nothing was done.
set +eu +o pipefail

# begin BOOT: nothing is done twice, nor in an initrd, which has no names to be known by.
begin() {
    local boot=
    if [ -e /etc/initrd-release ]; then
        echo initrd
        exit 0
    fi
    read -r boot </proc/sys/kernel/random/boot_id
    echo "$boot"
    [ -z "$boot" ] || [ "$boot" != "$1" ] || exit 0
} 2>/dev/null

# find_card MAC: sets `old` and `index`, its name and number; not those of what is stacked on it. It is there when
# udev is done with it, who may give it another name.
find_card() {
    local dir lower address
    for dir in /sys/class/net/*; do
        read -r address <"$dir/address" && [ "$address" = "$1" ] || continue
        for lower in "$dir"/lower_*; do
            [ -e "$lower" ] && continue 2
        done
        read -r index <"$dir/ifindex"
        old=${dir##*/}
        [ ! -e /run/udev/control ] || [ -e "/run/udev/data/n$index" ]
        return
    done
    return 1
} 2>/dev/null

# need_cards MAC...: all of them have to be there.
need_cards() {
    local mac
    for mac; do
        if ! find_card "$mac"; then
            echo "no network card $mac"
            exit 3
        fi
    done
}

# claim_cards MAC...: who manages the guest's network leaves them alone. It would ask around for a DHCP server, and
# take our addresses away when there is none.
claim_cards() {
    local mac key value state reload= list=
    for mac; do
        find_card "$mac" || continue
        list+="mac:$mac;"
        # systemd-networkd has this directory while it runs, and a state for each card that it knows. Where it
        # starts later, it finds our file.
        [ -d /run/systemd/system ] || continue
        state=
        while IFS='=' read -r key value; do
            [ "$key" != ADMIN_STATE ] || state=$value
        done <"/run/systemd/netif/links/$index"
        [ "$state" != unmanaged ] || continue
        mkdir -p /run/systemd/network
        printf '[Match]\nMACAddress=%s\n\n[Link]\nUnmanaged=yes\n' "$mac" \
            >"/run/systemd/network/00-innkeeper-${mac//:/}.network"
        [ ! -d /run/systemd/netif ] || reload=1
    done
    [ -z "$reload" ] || timeout 30 networkctl reload
    if [ -d /run/NetworkManager ]; then
        mkdir -p /run/NetworkManager/conf.d
        printf '[keyfile]\nunmanaged-devices+=%s\n' "$list" >/run/NetworkManager/conf.d/00-innkeeper.conf
        timeout 30 nmcli general reload conf
    fi
} >/dev/null 2>&1

# set_card MAC NAME IPV4 IPV6: the addresses with the lengths of their prefixes.
set_card() {
    local ip= words
    for words in ip 'busybox ip'; do
        if $words link show dev lo >/dev/null 2>&1; then
            ip=$words
            break
        fi
    done
    if ! find_card "$1"; then
        echo "there is no network card $1"
    elif [ -n "$ip" ]; then
        case "$($ip addr show dev "$old" 2>/dev/null) " in *" $3 "*) return ;; esac
        if [ "$old" != "$2" ]; then
            $ip link set dev "$old" down 2>/dev/null
            if ! $ip link set dev "$old" name "$2" 2>/dev/null; then
                echo "the network card $old cannot be called $2"
                set -- "$1" "$old" "$3" "$4"
            fi
        fi
        $ip link set dev "$2" up && $ip addr add "$3" broadcast + dev "$2" || echo "$2 cannot have $3"
        # Busybox knows no `nodad`, and a guest may do without IPv6.
        $ip -6 addr add "$4" dev "$2" nodad || $ip -6 addr add "$4" dev "$2"
    elif type ifconfig >/dev/null; then
        ifconfig "$old" "${3%/*}" netmask 255.255.255.0 up || echo "$old cannot have $3"
        ifconfig "$old" add "$4"
    else
        echo "$old has no addresses: the guest has neither ip, nor busybox with ip, nor ifconfig"
    fi
} 2>/dev/null

# set_host_name NAME
set_host_name() {
    local old=
    read -r old </proc/sys/kernel/hostname
    # In a container the file can only be read.
    [ "$old" = "$1" ] || printf %s "$1" >/proc/sys/kernel/hostname || hostname "$1" || echo "the host name cannot be set"
} 2>/dev/null

# set_hosts LINES: they take the place of what an earlier boot was given.
set_hosts() {
    local first='# innkeeper: the machines of the test' last='# innkeeper: end'
    local line old= new= ours=
    while IFS= read -r line || [ -n "$line" ]; do
        old+=$line$'\n'
        case $line in
        "$first") ours=1 ;;
        "$last") ours= ;;
        *) [ -n "$ours" ] || new+=$line$'\n' ;;
        esac
    done </etc/hosts
    new+=$first$'\n'$1$last$'\n'
    [ "$new" = "$old" ] || printf %s "$new" >/etc/hosts \
        || echo "/etc/hosts cannot be written: the guest does not know the other machines by name"
} 2>/dev/null

