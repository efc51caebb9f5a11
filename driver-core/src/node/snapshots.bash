# What a guest's bash does before and after a snapshot. Calls of these functions follow.
set +eu +o pipefail

# plain WORD: sets `word` to a word of /proc/mounts, which has octal digits for blanks.
plain() {
    printf -v word "${1//%/%%}"
}

# mount_again DEVICE POINT TYPE OPTIONS: mounts a folder of the host where it was, and says why it cannot.
mount_again() {
    local device point type=$3 options=$4 said
    plain "$1"; device=$word
    plain "$2"; point=$word
    # Told in hexadecimal digits, and not taken so.
    if [[ $options =~ ^(.*,)?cache=([0-9a-f]+)(,.*)?$ ]]; then
        options=${BASH_REMATCH[1]}cache=0x${BASH_REMATCH[2]}${BASH_REMATCH[3]}
    fi
    said=$(mount -t "$type" -o "$options" "$device" "$point" 2>&1) || echo "$point: $said"
}

# unmount_all: unmounts the folders of the host, the last one first, and prints them in their order. Status 3: some
# are in use; these are printed instead, and all others are where they were.
unmount_all() {
    local device point type options rest index busy=
    local -a devices=() points=() types=() options_of=() gone=()
    while read -r device point type options rest; do
        [[ $type = 9p || $type = virtiofs ]] || continue
        devices+=("$device") points+=("$point") types+=("$type") options_of+=("$options")
    done </proc/mounts
    for ((index = ${#points[@]} - 1; index >= 0; index--)); do
        plain "${points[index]}"
        if umount "$word" 2>/dev/null; then
            gone=("$index" "${gone[@]}")
        else
            busy+="$word"$'\n'
        fi
    done
    if [ -n "$busy" ]; then
        for index in "${gone[@]}"; do
            mount_again "${devices[index]}" "${points[index]}" "${types[index]}" "${options_of[index]}" >/dev/null
        done
        printf %s "$busy"
        return 3
    fi
    for ((index = 0; index < ${#points[@]}; index++)); do
        echo "${devices[index]} ${points[index]} ${types[index]} ${options_of[index]}"
    done
}

# set_clock SECONDS: seconds since 1970; not every guest's date knows parts of them.
set_clock() {
    date -u -s "@$1" >/dev/null 2>&1 || date -u -s "@${1%.*}" >/dev/null 2>&1 || echo "its clock could not be set"
}
