#!/usr/bin/env bash
# Puts a newer tipbox in place of the one that runs: copy, switch, migrate, health check. When the new one is not well,
# program and data are again what they were. Cut off in the middle, it first takes back what was begun.
set -euo pipefail
shopt -s inherit_errexit
umask 022

usage() {
    cat <<'TEXT'
upgrade.sh --wheel FILE [options]        from the folder deploy/ of the new version

  --wheel FILE          the new wheel; otherwise the one in ../dist or in the wheelhouse
  --wheelhouse DIR      take every Python package from this folder, none from the network
  --signers FILE        public keys (ssh allowed_signers) that must have signed the wheelhouse
  --database-is-saved   with PostgreSQL: you have a dump, and will restore it yourself if it comes to that
  --dry-run             change nothing, say what would be done
TEXT
}

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
wheel='' wheelhouse='' signers='' database_is_saved='' lock=''
options 'wheel wheelhouse signers' 'database-is-saved' "$@"

# On the disk of the state folder: bodies are linked, not copied, and nobody changes one in place.
readonly COPY=/var/lib/tipbox-upgrade

stop_all() {
    local units
    mapfile -t units < <(installed_units timer service)
    run systemctl stop "${units[@]}"
}

start_all() {
    local timers
    mapfile -t timers < <(installed_units timer)
    run systemctl daemon-reload
    run systemctl reset-failed "${DOORS[@]}" || true
    run systemctl start "${DOORS[@]}" "${timers[@]}"
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
    run rm -rf "$COPY"
    run install -d -m 700 "$COPY" "$COPY/units"
    copy_folder "$STATE" "$COPY/state.part"
    run cp -a "$UNITS"/tipbox*.{service,timer} "$COPY/units/"
    if [[ ! $DRY ]]; then
        readlink "$OPT/current" >"$COPY/release"
    fi
    run sync -f "$COPY"
    run mv -T "$COPY/state.part" "$COPY/state"
}

roll_back() {
    local units
    say "taking back: program, units and data as they were before"
    stop_all || true
    run ln -sfn "$(cat "$COPY/release")" "$OPT/current.new"
    run mv -T "$OPT/current.new" "$OPT/current"
    mapfile -t units < <(installed_units timer service)
    run rm -f "${units[@]/#/"$UNITS/"}"
    run cp -a "$COPY/units/." "$UNITS/"
    run find "$STATE" -mindepth 1 -delete
    copy_folder "$COPY/state" "$STATE"
    run sync -f "$STATE"
    start_all || say "the doors do not open"
}

forget_copy() {
    [[ ! -d $COPY/state ]] || run find "$COPY" -type f -size -1G ! -path '*/blobs/*' -exec shred -u {} +
    run rm -rf "$COPY"
}

need_root
need_debian
[[ $DRY ]] || booted || die "systemd does not run here"
[[ $DRY || -e $OPT/current ]] || die "tipbox is not installed; use install.sh"
choose_release "$wheel" "$wheelhouse" "$signers"
if grep -qs '^ *url *= *"postgres' "$STATE/tipbox.toml" && [[ ! $database_is_saved ]]; then
    die "the database is PostgreSQL, which this cannot copy: make a dump (pg_dump), then add --database-is-saved"
fi
if [[ -d $COPY/state ]]; then
    step "An upgrade was cut off"
    roll_back
    forget_copy
fi

new=$(release_of "$wheel" "$lock")
step "New program: $new"
install_release "$wheel" "$lock" "$wheelhouse"
if [[ $(readlink "$OPT/current" || true) == "releases/$new" ]]; then
    say "this release runs already"
    exit 0
fi
step "Stop, and copy what is there"
needed=$(du -s --block-size=1K --exclude=blobs "$STATE" 2>/dev/null | cut -f 1 || echo 0)
bodies=$(du -s --block-size=1K "$STATE/blobs" 2>/dev/null | cut -f 1 || echo 0)
free=$(df --output=avail --block-size=1K /var/lib | tail -n 1)
((free > 2 * needed + bodies)) || die "the copy needs more room on the disk than there is; nothing was changed"
stop_all
copy_state

step "Switch, migrate, check"
well=yes
put_units
enable_units
use_release "$new"
start_all || well=no
if [[ ! $DRY && $well == yes ]]; then
    healthy || well=no
fi
if [[ $well == no ]]; then
    step "The new version is not well"
    journalctl --namespace=tipbox --no-pager --lines=15 2>/dev/null || true
    roll_back
    if healthy; then
        forget_copy
        die "the upgrade was taken back, and the old version runs; report the lines above"
    fi
    die "the upgrade was taken back, but the old version is not well either; its data is in $COPY/state"
fi
forget_copy
step "Done"
say "release $new runs; the one before stays in $OPT/releases until uninstall.sh --old-releases"
