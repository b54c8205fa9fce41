#!/usr/bin/env bash
# Takes tipbox off this machine. The tips and the onion services' keys stay unless you say otherwise.
set -euo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'TEXT'
uninstall.sh [options]

  --old-releases   remove only the programs of versions before the one that runs
  --destroy-data   remove the tips, the settings and the onion services' keys too: the addresses are gone for good
  --dry-run        change nothing, say what would be done
TEXT
}

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
destroy_data='' old_releases=''
options '' 'destroy-data old-releases' "$@"
need_root

if [[ $old_releases ]]; then
    current=$(readlink -f "$OPT/current")
    for release in "$OPT"/releases/*; do
        [[ $(readlink -f "$release") == "$current" ]] || run rm -rf "$release"
    done
    exit 0
fi

step "Units"
mapfile -t units < <(installed_units timer socket service)
if ((${#units[@]})); then
    ! booted || run systemctl stop "${units[@]}" || true
    run systemctl disable --quiet "${units[@]}" || true
fi
for unit in "${STORE_UNITS[@]}"; do
    run rm -f "$UNITS/$unit.service.d/stores.conf"
    [[ ! -d $UNITS/$unit.service.d ]] || run rmdir --ignore-fail-on-non-empty "$UNITS/$unit.service.d"
done
run rm -f "$PLAIN"
[[ ! -d ${PLAIN%/*} ]] || run rmdir --ignore-fail-on-non-empty "${PLAIN%/*}"
run rm -rf "${units[@]/#/"$UNITS/"}" "${WITHIN%/*}" "$UNITS/tor@default.service.d/tipbox.conf" \
    /etc/systemd/journald@tipbox.conf

step "Onion services"
run rm -rf /etc/tor/tipbox-defaults /etc/tor/torrc.d/tipbox.conf /etc/tor/torrc.d/tipbox-{sources,couriers,plain,ssh}.conf
run sed -i '\|^%include /etc/tor/torrc.d/\*.conf$|d' /etc/tor/torrc
if booted; then
    run systemctl daemon-reload
    run systemctl restart tor@default.service || true
fi

step "Firewall, kernel, updates"
run rm -f /etc/nftables.d/tipbox.nft /etc/sysctl.d/60-tipbox.conf /etc/apparmor.d/tipbox \
    /etc/apparmor.d/local/system_tor /etc/apt/apt.conf.d/60tipbox-upgrades
run sed -i '\|^include "/etc/nftables.d/\*.nft"$|d' /etc/nftables.conf
if booted && nft list table inet tipbox >/dev/null 2>&1; then
    run nft delete table inet tipbox
fi

step "Program"
run rm -rf "$OPT" /run/tipbox-canary /usr/local/sbin/tipbox-server /etc/tmpfiles.d/tipbox.conf /etc/sysusers.d/tipbox.conf

step "Data"
if [[ $destroy_data ]]; then
    cd /
    # Overwriting says little on flash memory; what counts is that all of it is ciphertext. Each service's user does it in
    # its own folder: one that was broken into, and swaps files for links while this runs, cannot make root overwrite others.
    for owned in tipbox-courier:"$STATE" tipbox-backup:"$STATE-backup" tipbox-canary:"$STATE-canary" \
        debian-tor:/var/lib/tor/tipbox; do
        folder=${owned#*:}
        [[ -d $folder ]] || continue
        run runuser -u "${owned%%:*}" -- find "$folder" -type f -size -64M -exec shred {} + ||
            say "not all of $folder was overwritten; it is removed anyway"
        run rm -rf "$folder"
    done
    run rm -rf /var/lib/tipbox-upgrade /var/lib/tipbox-alert "$SETTINGS"
    for name in tipbox tipbox-courier tipbox-backup tipbox-canary tipbox-alert tipbox-relay; do
        ! getent passwd "$name" >/dev/null || run userdel "$name"
    done
    for name in tipbox tipbox-courier tipbox-backup tipbox-canary tipbox-alert tipbox-relay tipbox-state; do # tor's user is still in some
        ! getent group "$name" >/dev/null || run groupdel "$name"
    done
    say "gone"
else
    say "kept: $STATE, $STATE-backup, $STATE-canary, $SETTINGS, /var/lib/tor/tipbox. install.sh takes them up again; --destroy-data removes them."
fi
