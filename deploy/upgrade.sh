#!/usr/bin/env bash
# Puts a newer tipbox in place of the one that runs: copy, switch, migrate, health check. When the new one is not well,
# program and data are again what they were. Nobody can connect before the new one was judged. When it was cut
# off in the middle, it first takes back what was begun. PostgreSQL it cannot take back, and says so.
set -euo pipefail
shopt -s inherit_errexit
umask 022

usage() {
    cat <<'TEXT'
upgrade.sh --release DIR --signers FILE [options]        from the folder deploy/ of the new version

  --release DIR         a release as it is published, signed by enough maintainers (signers.json) or by one
  --wheel FILE          in place of it the new wheel; otherwise the one in ../dist or in the wheelhouse
  --wheelhouse DIR      take every Python package from this folder, none from the network
  --signers FILE        who must have signed: signers.json of the maintainers, or public keys (ssh allowed_signers)
  --older               the new one may be older than the one that runs
  --database-is-saved   with PostgreSQL: you have a dump, and will restore it yourself if it comes to that
  --dry-run             change nothing, say what would be done
TEXT
}

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
wheel='' wheelhouse='' signers='' release='' older='' database_is_saved='' lock='' floor=''
options 'wheel wheelhouse signers release' 'older database-is-saved' "$@"

# On the disk of the state folder: bodies are linked, not copied, and nobody changes one in place.
readonly COPY=/var/lib/tipbox-upgrade
# What the old version found before it was stopped: only what is new counts against the new one. It stays when
# the upgrade is cut off.
readonly FOUND=$COPY/found.json
# While $COPY/state is there, nobody could connect, and the state folder may be taken back. Renamed to
# $COPY/old it is only what is left to remove: that is the verdict.
# In memory, so that after a power cut the listeners do not start with what was not judged.
readonly TRIAL=/run/tipbox-upgrade

stop_all() {
    local units
    mapfile -t units < <(installed_units timer service)
    run systemctl stop "${LISTENERS[@]}" "${units[@]}"
}

start_listeners() {
    run systemctl daemon-reload
    run systemctl reset-failed "${LISTENERS[@]}" || true
    run systemctl start "${LISTENERS[@]}"
}

# The drop-in that keeps everybody out of a listener.
bar_of() { printf '%s/%s.d/upgrade.conf\n' "$UNITS" "$1"; }

barred() { [[ -e $(bar_of tipbox.service) || -e $(bar_of tipbox-courier.service) ]]; }

# From here on only root and their own users reach the listeners' sockets, until there is a verdict; tor itself goes on,
# because SSH may come through it. What is cut off after the verdict recovers by itself: when the listeners start, they
# let tor in.
shut_listeners() {
    local listener name
    for listener in "${LISTENERS[@]}"; do
        name=${listener%.service}
        say "closing $listener to everybody except root"
        [[ $DRY ]] && continue
        install -d -m 755 "$UNITS/$listener.d"
        cat >"$UNITS/$listener.d/upgrade.part" <<TEXT
# upgrade.sh is at work, or was cut off: nobody gets in. Run it again.
[Unit]
ConditionPathExists=|$TRIAL
ConditionPathExists=|!$COPY/state

[Service]
RuntimeDirectoryMode=0700
ExecStartPost=+/bin/sh -c 'test -e $COPY/state || chmod 750 /run/$name'
TEXT
        mv -T "$UNITS/$listener.d/upgrade.part" "$(bar_of "$listener")"
    done
    run sync
    run systemctl daemon-reload
}

# verdict: what is in the state folder stays. Durable before anybody gets in.
verdict() {
    run rm -rf "$COPY/old"
    run sync
    run mv -T "$COPY/state" "$COPY/old"
    run sync -f "$COPY"
}

# open_listeners: after the verdict, or where there was none to give.
open_listeners() {
    local listener timers
    for listener in "${LISTENERS[@]}"; do
        run rm -rf "$UNITS/$listener.d/upgrade.part" "$(bar_of "$listener")"
        [[ ! -d $UNITS/$listener.d ]] || run rmdir --ignore-fail-on-non-empty "$UNITS/$listener.d"
        [[ ! -d /run/${listener%.service} ]] || run chmod 750 "/run/${listener%.service}"
    done
    run rm -f "$TRIAL"
    run systemctl daemon-reload
    mapfile -t timers < <(installed_units timer)
    run systemctl start "${LISTENERS[@]}" "${timers[@]}"
}

# copy_folder FROM TO: all of it with owners, modes and times; bodies as links where the disk is the same.
copy_folder() {
    local entry
    run install -d "$2"
    for entry in "$1"/* "$1"/.[!.]*; do
        [[ -e $entry ]] || continue
        if [[ $entry == */blobs ]]; then
            run cp -al "$entry" "$2/" 2>/dev/null || run cp -a "$entry" "$2/"
        else
            run cp -a "$entry" "$2/"
        fi
    done
    run chown --reference="$1" "$2"
    run chmod --reference="$1" "$2"
}

# The whole state folder as it is while nothing runs, and which release and units belong to it.
copy_state() {
    run install -d -m 700 "$COPY" "$COPY/units"
    copy_folder "$STATE" "$COPY/state.part"
    run cp -a "$UNITS"/tipbox*.{service,timer} "$COPY/units/"
    copy_stores
    [[ ! -f /etc/apparmor.d/tipbox ]] || run cp -a /etc/apparmor.d/tipbox "$COPY/apparmor"
    if [[ ! $DRY ]]; then
        readlink "$OPT/current" >"$COPY/release"
    fi
    run sync -f "$COPY"
    run mv -T "$COPY/state.part" "$COPY/state"
}

# Not SQLite, which is a file of the state folder.
on_postgresql() { grep -Eqs "^ *(database\. *)?url *= *[\"']+postgres" "$STATE/tipbox.toml" "$STORES/stores.toml"; }

# What leads the server's units and commands to stores on other machines.
copy_stores() {
    local part
    for part in "$UNITS"/tipbox*.service.d/stores.conf; do
        [[ ! -f $part ]] || run install -D -m 644 "$part" "$COPY/units/${part#"$UNITS/"}"
    done
    [[ ! -f $WITHIN ]] || run cp -a "$WITHIN" "$COPY/within"
}

# Nothing where a version that copied none of it was cut off.
take_back_stores() {
    compgen -G "$COPY/units/*.service.d/stores.conf" >/dev/null || return 0
    run rm -f "$UNITS"/tipbox*.service.d/stores.conf
    run cp -a "$COPY/units/." "$UNITS/"
    [[ ! -f $COPY/within ]] || run cp -a "$COPY/within" "$WITHIN"
}

# Can be done again when it was cut off itself.
roll_back() {
    local unit
    say "taking back: program, units and data as they were before"
    shut_listeners
    stop_all || true
    run ln -sfn "$(cat "$COPY/release")" "$OPT/current.new"
    run mv -T "$OPT/current.new" "$OPT/current"
    for unit in $(installed_units timer service); do
        [[ ! -f $COPY/units/$unit ]] || continue
        run systemctl disable --quiet "$unit" || true
        run rm -f "$UNITS/$unit"
    done
    run cp -a "$COPY/units/." "$UNITS/"
    take_back_stores
    if [[ -f $COPY/apparmor ]]; then
        run cp -a "$COPY/apparmor" /etc/apparmor.d/tipbox
        load_profiles || say "the AppArmor profiles do not load"
    fi
    # What is in it, not itself: the folder keeps its owner and mode.
    run find "$STATE" -mindepth 1 -delete
    copy_folder "$COPY/state" "$STATE"
    if on_postgresql; then
        say "not the database: PostgreSQL keeps what the new version made of it. Where the old version says that a newer one"
        say "migrated it: while another host serves, leave this one down, and run the new version again, mended. Only when none"
        say "serves, stop tipbox and tipbox-courier on every host, restore your dump, and start them: later tips are gone then"
    fi
    verdict
    open_listeners || say "the listeners do not start"
}

# All except what was found: an upgrade that was cut off is judged by what was there before it.
forget_copy() {
    [[ -d $COPY ]] || return 0
    # Not bodies: they are links to those of the server, which would be overwritten with them.
    run find "$COPY" -type f -size -1048576k ! -path '*/blobs/*' ! -path "$FOUND" -exec shred -u {} +
    run find "$COPY" -mindepth 1 ! -path "$FOUND" -delete
}

# After the verdict, when all is said.
forget_all() {
    run rm -f "$FOUND"
    forget_copy
    run rm -rf "$COPY"
}

# What the version that runs finds. One that cannot say, or is too old to, has found nothing: what the new one then finds
# counts as new, except what time brings, so that no server is too old to be upgraded.
remember_findings() {
    if [[ -f $FOUND ]]; then
        found | judged && return
        run rm -f "$FOUND"
        die "what is new above came since an upgrade was begun and cut off, through it or by itself; look at it, then run this again"
    fi
    [[ $DRY ]] && return
    install -d -m 700 "$COPY"
    found >"$FOUND.part"
    sync -f "$COPY"
    mv -T "$FOUND.part" "$FOUND"
}

# cut_off: Ctrl-C, a lost connection or an error while the new version is on trial: take it back now.
cut_off() {
    trap '' INT TERM HUP
    trap - EXIT
    if [[ -d $COPY/state ]]; then
        roll_back
    else
        open_listeners
    fi
}

need_root
need_debian
[[ $DRY ]] || booted || die "systemd does not run here"
[[ $DRY || -e $OPT/current ]] || die "tipbox is not installed; use install.sh"
if [[ $release ]]; then
    choose_published "$release" "$signers" "$wheel" "$wheelhouse"
else
    choose_release "$wheel" "$wheelhouse" "$signers"
fi
new=$(release_of "$wheel" "$lock")
[[ $older ]] || must_not_be_older "$new"
if on_postgresql && [[ ! $database_is_saved ]]; then
    die "the database is PostgreSQL, which this cannot copy: make a dump (pg_dump), then add --database-is-saved"
fi
if [[ -d $COPY/state ]]; then
    # Without bars everybody could connect, as in upgrades of versions before this one: what came since must stay.
    barred || die "an upgrade of an older version was cut off, and the server was open since, so nothing is taken back;
when 'tipbox-server check' finds the server well, remove $COPY (the data of before) and run this again"
    step "An upgrade was cut off"
    roll_back
elif barred; then
    open_listeners
fi
forget_copy

step "New program: $new"
install_release "$wheel" "$lock" "$wheelhouse"
forget_made
if [[ $(readlink "$OPT/current" || true) == "releases/$new" ]]; then
    forget_all
    say "this release runs already"
    exit 0
fi
step "What is there before"
remember_findings
step "Stop, and copy what is there"
needed=$(du -s --block-size=1K --exclude=blobs "$STATE" 2>/dev/null | cut -f 1 || echo 0)
bodies=$(du -s --block-size=1K "$STATE/blobs" 2>/dev/null | cut -f 1 || echo 0)
free=$(df --output=avail --block-size=1K /var/lib | tail -n 1)
((free > 2 * needed + bodies)) || die "the copy needs more room on the disk than there is; nothing was changed"
shut_listeners
trap 'exit 1' INT TERM
# The terminal is gone: writing to it would end what takes the upgrade back.
trap 'exec >/dev/null 2>&1; exit 1' HUP
trap cut_off EXIT
stop_all
copy_state

step "Switch, migrate, check"
well=yes
put_users
put_units
put_profiles
enable_units
use_release "$new"
run touch "$TRIAL"
start_listeners || well=no
if [[ ! $DRY && $well == yes ]]; then
    healthy || well=no
fi
trap '' INT TERM HUP
trap - EXIT
if [[ $well == no ]]; then
    step "The new version is not well"
    journalctl --namespace=tipbox --no-pager --lines=15 2>/dev/null || true
    roll_back
    if healthy; then
        forget_all
        die "the upgrade was taken back, and the old version runs; report the lines above"
    fi
    ! on_postgresql || die "program and units were taken back, PostgreSQL was not, and the old version is not well on it;
while another host serves, restore no dump: see above; the data of before is also in $COPY/old"
    die "the upgrade was taken back, but the old version is not well either; its data is also in $COPY/old"
fi
verdict
keep_floor
open_listeners
forget_all
step "Done"
say "release $new runs; the one before stays in $OPT/releases until uninstall.sh --old-releases"
say "Run install.sh of this version once, at any time: it brings what is new around the program (tor, firewall, settings)."
