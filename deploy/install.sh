#!/usr/bin/env bash
# Makes a Debian 12 or 13 server into a tip line: tipbox behind two onion services. Run it again at any time: it goes on
# where it was cut off, and changes nothing that is as it should be. docs/operator-guide.md explains each step.
set -euo pipefail
shopt -s inherit_errexit
umask 022

usage() {
    cat <<'TEXT'
install.sh --keys DIR [options]

  --keys DIR         key manifests (*.json) of the organisations; needed the first time, later to take newer ones
  --release DIR      a release as it is published; needs --signers
  --older            the release may be older than the one that runs
  --wheel FILE       in place of it the wheel of tipbox; otherwise the one in ../dist or in the wheelhouse
  --wheelhouse DIR   take every Python package from this folder, none from the network
  --signers FILE     who must have signed: signers.json of the maintainers for the release, or public keys
                     (ssh allowed_signers) for the release or the wheelhouse
  --operator-key FILE  public half of the operator's key (K.pub of `tipbox server backup-key`): a backup each night
  --couriers DIR     couriers' public keys: the NAME.pub that `tipbox courier keygen` writes, or NAME.auth
  --database URL     PostgreSQL on another machine: postgresql://USER@HOST[:PORT]/NAME
  --blobs URL        an S3 bucket there, which must exist: https://HOST[:PORT]/BUCKET[/PREFIX][?region=REGION]
  --rates URL        Valkey there: rediss://[USER@]HOST[:PORT][/NUMBER]
  --secrets FILE     TOML with database_password, blobs_access_key, blobs_secret_key, rates_password
  --stores-ca FILE   certificates that sign the stores' (PEM); otherwise those that Debian knows
  --ssh PORTS        let SSH in at these ports, comma separated (default 22); "onion": through Tor only; "none"
  --plain yes|no     the form that needs no script, behind an onion service of its own (default: as it was, at first no)
  --time yes|no      let systemd-timesyncd ask for the time (default no: trust the machine's clock)
  --firewall yes|no  load the firewall (default yes)
  --no-test-tip      send no test tip at the end
  --dry-run          change nothing, say what would be done
TEXT
}

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
keys='' wheel='' wheelhouse='' signers='' couriers='' operator_key='' plain='' ssh=22 time=no firewall=yes no_test_tip='' lock=''
database='' blobs='' rates='' secrets='' stores_ca='' outer='' stores_made='' release='' floor='' older=''
options 'keys release wheel wheelhouse signers couriers operator-key database blobs rates secrets stores-ca plain ssh time firewall' 'older no-test-tip' "$@"

check_arguments() {
    need_root
    need_debian
    [[ $ssh =~ ^(onion|none|[0-9]{1,5}(,[0-9]{1,5})*)$ ]] || die "--ssh takes ports, onion or none"
    [[ $time =~ ^(yes|no)$ && $firewall =~ ^(yes|no)$ ]] || die "--time and --firewall take yes or no"
    [[ $plain =~ ^(yes|no|)$ ]] || die "--plain takes yes or no"
    [[ $plain || ! -f $PLAIN ]] || plain=yes
    [[ ! $operator_key ]] || grep -Eqs '"kind": ?"backup-public"' "$operator_key" ||
        die "$operator_key is not the .pub file that 'tipbox server backup-key' makes"
    if [[ $keys ]]; then
        compgen -G "$keys/*.json" >/dev/null || die "there is no key manifest (*.json) in $keys"
    elif ! compgen -G "$SETTINGS/keys/*.json" >/dev/null; then
        die "name the folder of the organisations' key manifests with --keys"
    fi
    if [[ $release ]]; then
        choose_published "$release" "$signers" "$wheel" "$wheelhouse"
        [[ $older ]] || must_not_be_older "$(release_of "$wheel" "$lock")"
    else
        choose_release "$wheel" "$wheelhouse" "$signers"
    fi
    [[ ! $couriers ]] || check_couriers
    check_stores
}

# What was given is checked, and turned into files, before anything is changed.
check_stores() {
    if [[ ! $database$blobs$rates ]]; then
        [[ ! $secrets$stores_ca ]] || die "--secrets and --stores-ca belong to --database, --blobs and --rates"
        return
    fi
    outer=yes
    must_keep_stores
    [[ ! $stores_ca ]] || grep -qs -- '-----BEGIN CERTIFICATE-----' "$stores_ca" ||
        die "--stores-ca: there is no certificate (PEM) in $stores_ca"
    make_folder stores_made /run # passwords: in memory, not on the disk
    python3 -I "$HERE/outer/stores.py" --out "$stores_made" ${database:+--database "$database"} \
        ${blobs:+--blobs "$blobs"} ${rates:+--rates "$rates"} ${secrets:+--secrets "$secrets"} || exit 1
}

# outer_before TABLE: whether this store is on another machine by now.
outer_before() { grep -qsFx "[$1]" "$STORES/stores.toml"; }

# Rows and bodies do not move when a store is named, or not named any more: the server would begin empty.
must_keep_stores() {
    if [[ ! $database ]] && outer_before database; then
        die "this server keeps its rows on another machine; name all the stores again, --database too"
    fi
    if [[ ! $blobs ]] && outer_before blobs; then
        die "this server keeps its bodies on another machine; name all the stores again, --blobs too"
    fi
    if [[ $database && -s $STATE/tipbox.db ]] && ! outer_before database; then
        die "this server keeps its rows in SQLite; make a backup, and restore it into an empty $STATE with the stores"
    fi
}

# A courier's key is NAME.pub as keygen writes it, or NAME.auth as tor calls it: the same line.
check_couriers() {
    local file name found='' names=' '
    [[ -d $couriers ]] || die "--couriers: $couriers is no folder"
    for file in "$couriers"/*; do
        if [[ $file != *.auth && $file != *.pub ]]; then
            [[ ! -e $file ]] || say "not a courier's key, ignored: $file"
            continue
        fi
        name=$(courier_name "$file")
        grep -Eqx 'descriptor:x25519:[A-Z2-7]{52}' "$file" || die "$file is no courier's public key"
        [[ $name =~ ^[A-Za-z0-9._-]+$ ]] || die "$file: name it with Latin letters and digits only"
        [[ $names != *" $name "* ]] || die "$couriers has both $name.auth and $name.pub; remove one"
        names+="$name "
        found=yes
    done
    [[ $found ]] || die "there is no courier's key (NAME.pub or NAME.auth) in $couriers"
}

courier_name() {
    local name
    name=$(basename "$1")
    printf '%s\n' "${name%.*}"
}

# courier_files: those that were given.
courier_files() {
    [[ ! $couriers ]] || find -L "$couriers" -maxdepth 1 -type f \( -name '*.auth' -o -name '*.pub' \) | sort
}

packages() {
    local name missing=()
    local wanted=(apparmor ca-certificates dbus nftables python3 python3-venv tor unattended-upgrades)
    [[ ! $signers ]] || wanted+=(openssh-client)
    for name in "${wanted[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
    done
    if ((${#missing[@]} == 0)); then
        say "all there: ${wanted[*]}"
        return
    fi
    say "installing ${missing[*]}"
    run apt-get -q update
    run env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}"
}

pow_module() {
    local have
    have=$(tor --list-modules 2>/dev/null || true)
    [[ $have == *"pow: yes"* ]] || [[ $DRY ]] ||
        die "this tor has no proof of work (tor --list-modules): a flood would close the onion service; take Debian's own package"
    say "tor has its proof of work against floods"
}

program() {
    install_release "$wheel" "$lock" "$wheelhouse"
    use_release "$(release_of "$wheel" "$lock")"
    keep_floor
    if [[ $DRY ]]; then
        say "would write: /usr/local/sbin/tipbox-server"
        return
    fi
    put "$HERE/tipbox-server" /usr/local/sbin/tipbox-server 755
}

settings() {
    local manifest
    run install -d -m 755 "$SETTINGS" "$SETTINGS/keys"
    for manifest in ${keys:+"$keys"/*.json}; do
        put "$manifest" "$SETTINGS/keys/$(basename "$manifest")"
    done
    # Before the server pins them: whoever gave the files may have been deceived.
    if [[ $keys && ! $DRY ]]; then
        say "Compare each identity with its organisation, read aloud:"
        "$OPT/current/bin/tipbox" keys verify --keys "$keys" || say "one of them is not good; see above"
    fi
    [[ ! $operator_key ]] || put "$operator_key" "$SETTINGS/operator.pub"
    # The operator's from then on.
    [[ -e $SETTINGS/alert ]] || put "$HERE/etc/alert" "$SETTINGS/alert" 755
    [[ -s $STATE/tipbox.toml ]] || run install -m 640 -o root -g tipbox-state "$HERE/etc/tipbox.toml" "$STATE/tipbox.toml"
}

# What check_stores made. All three are given anew or none: what is not named is on this machine again.
stores() {
    local kind socket
    if [[ ! $stores_made ]]; then
        say "$(if has_outer_stores; then echo 'as they were named before'; else echo 'on this machine'; fi)"
        return
    fi
    run install -d -m 755 "$STORES"
    put "${stores_ca:-/etc/ssl/certs/ca-certificates.crt}" "$STORES/ca.pem"
    for kind in hosts relays.env ports; do
        put "$stores_made/$kind" "$STORES/$kind"
    done
    for kind in database blobs rates; do
        socket=tipbox-$kind.socket
        if [[ -f $stores_made/$socket ]]; then
            put "$stores_made/$socket" "$UNITS/$socket"
        elif [[ -f $UNITS/$socket ]]; then
            run systemctl disable --quiet "$socket"
            ! booted || run systemctl stop "$socket" "tipbox-$kind.service"
            run rm -f "$UNITS/$socket"
        fi
    done
    # Last: its presence says that the rest is there.
    put "$stores_made/stores.toml" "$STORES/stores.toml" 600
}

# plain_form: its bind, or none. Its onion service is one of the others.
plain_form() {
    if [[ $plain == yes ]]; then
        put "$HERE/systemd/plain.conf" "$PLAIN"
    elif [[ -f $PLAIN ]]; then
        run rm -f "$PLAIN" /etc/tor/torrc.d/tipbox-plain.conf
        CHANGED+=("$PLAIN" /etc/tor/torrc.d/tipbox-plain.conf)
    fi
}

units() {
    put_units
    plain_form
    put "$HERE/systemd/tor-tipbox.conf" "$UNITS/tor@default.service.d/tipbox.conf"
    put "$HERE/etc/journald@tipbox.conf" /etc/systemd/journald@tipbox.conf
    if booted; then
        run systemctl daemon-reload
        if changed /etc/systemd/journald@tipbox.conf; then
            run systemctl try-restart systemd-journald@tipbox.service
        fi
    fi
    enable_units
}

kernel() {
    put "$HERE/etc/sysctl.conf" /etc/sysctl.d/60-tipbox.conf
    if changed /etc/sysctl.d/60-tipbox.conf; then
        run /usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-tipbox.conf || say "this kernel does not take all of them"
    fi
    put_profiles
    put "$HERE/etc/apparmor-tor" /etc/apparmor.d/local/system_tor
    if [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]]; then
        run apparmor_parser -r /etc/apparmor.d/system_tor
    else
        say "this kernel has no AppArmor: the units' own sandbox is the only wall"
    fi
    [[ $(wc -l </proc/swaps) -le 1 ]] || say "note: this machine swaps; the units do not (MemorySwapMax=0)"
}

updates() {
    put "$HERE/etc/unattended-upgrades.conf" /etc/apt/apt.conf.d/60tipbox-upgrades
}

# as_tor COMMAND...: what is done in tor's folder, tor's user does: a link that it made there leads nowhere new.
as_tor() { runuser -u debian-tor -- "$@"; }

# tor_file FILE: made anew of what comes in.
# shellcheck disable=SC2016 # the inner shell expands it
tor_file() { as_tor sh -euC -c 'umask 077; rm -f -- "$1"; cat >"$1"' - "$1"; }

# onion NAME TEMPLATE SOCKET: one onion service; its keys are made by tor, or are there from before.
onion() {
    local filled
    run as_tor install -d -m 700 /var/lib/tor/tipbox "/var/lib/tor/tipbox/$1"
    filled=$(mktemp)
    sed -e "s|@DIRECTORY@|/var/lib/tor/tipbox/$1|; s|@SOCKET@|$3|" "$2" >"$filled"
    put "$filled" "/etc/tor/torrc.d/tipbox-$1.conf"
    rm -f "$filled"
}

tor_services() {
    local file auth key given=() clients=/var/lib/tor/tipbox/couriers/authorized_clients
    put "$HERE/etc/tor-defaults" /etc/tor/tipbox-defaults
    put "$HERE/etc/torrc" /etc/tor/torrc.d/tipbox.conf
    onion sources "$HERE/tor/sources.torrc" /run/tipbox/source.sock
    onion couriers "$HERE/tor/couriers.torrc" /run/tipbox-courier/courier.sock
    [[ $plain != yes ]] || onion plain "$HERE/tor/plain.torrc" /run/tipbox/plain.sock
    [[ $ssh != onion ]] || onion ssh "$HERE/etc/ssh.torrc" ''
    if ! grep -qs '^%include /etc/tor/torrc.d/\*.conf$' /etc/tor/torrc; then
        if [[ $DRY ]]; then
            say "would add to /etc/tor/torrc: %include /etc/tor/torrc.d/*.conf"
        else
            printf '%%include /etc/tor/torrc.d/*.conf\n' >>/etc/tor/torrc
        fi
        CHANGED+=(/etc/tor/torrc)
    fi
    run as_tor install -d -m 700 "$clients"
    mapfile -t given < <(courier_files)
    for file in "${given[@]}"; do
        auth=$(courier_name "$file").auth
        key=$(<"$file")
        if [[ $(as_tor cat "$clients/$auth" 2>/dev/null) == "$key" ]]; then continue; fi
        run tor_file "$clients/$auth" <<<"$key"
        CHANGED+=("$clients")
    done
    # Without any key the service would be open to everybody: one whose private half nobody has keeps it shut.
    if ((${#given[@]} == 0)) && ! compgen -G "$clients/*.auth" >/dev/null; then
        key=$(head -c 32 /dev/urandom | base32 | tr -d '=\n')
        run tor_file "$clients/nobody.auth" <<<"descriptor:x25519:$key"
    fi
    [[ $DRY ]] || runuser -u debian-tor -- tor --quiet --defaults-torrc /etc/tor/tipbox-defaults -f /etc/tor/torrc \
        --verify-config || die "tor does not take its configuration; see: tor --verify-config"
}

firewall_rules() {
    local ssh_rule='' time_rule='' stores_rule='' rules
    if [[ $firewall == no ]]; then
        say "left to you (--firewall no)"
        return
    fi
    [[ $ssh == onion || $ssh == none ]] || ssh_rule="tcp dport { ${ssh//,/, } } ct state new jump ssh"
    [[ $time == no ]] || time_rule='meta skuid "systemd-timesync" udp dport { 53, 123 } accept'
    if has_outer_stores; then
        stores_rule="meta skuid \"tipbox-relay\" tcp dport { 53, $(cat "${stores_made:-$STORES}/ports") } accept"
        stores_rule+='\n        meta skuid "tipbox-relay" udp dport 53 accept'
    fi
    rules=$(mktemp)
    sed -e "s|@ssh@|$ssh_rule|; s|@time@|$time_rule|; s|@stores@|$stores_rule|; s|[[:space:]]*\$||" "$HERE/nftables/tipbox.nft" >"$rules"
    put "$rules" /etc/nftables.d/tipbox.nft
    rm -f "$rules"
    if ! grep -qs '^include "/etc/nftables.d/\*.nft"$' /etc/nftables.conf; then
        if [[ $DRY ]]; then
            say 'would add to /etc/nftables.conf: include "/etc/nftables.d/*.nft"'
        else
            printf 'include "/etc/nftables.d/*.nft"\n' >>/etc/nftables.conf
        fi
    fi
    # At the next start the rules are there before the network is.
    run systemctl enable --quiet nftables.service
    if booted; then
        run nft -f /etc/nftables.d/tipbox.nft
    fi
}

# Where canaries go, once tor has made the address.
canary_address() {
    local host=/var/lib/tor/tipbox/sources/hostname onion filled
    # As tor's user, and nothing but an address: root would follow a link there, and show others where it leads.
    onion=$(as_tor cat "$host" 2>/dev/null || true)
    if [[ ! $onion =~ ^[a-z2-7]{56}\.onion$ ]]; then
        say "${DRY:+would write: $SETTINGS/canary.env, }once tor has made the address canaries can go there"
        return
    fi
    filled=$(mktemp)
    printf '# Written by install.sh: the sources'"'"' onion service.\nONION=http://%s\n' "$onion" >"$filled"
    put "$filled" "$SETTINGS/canary.env"
    rm -f "$filled"
}

# The profile was never enforced in a test: when it is what keeps the server from starting, it only watches, and says so.
without_apparmor() {
    [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] || return 1
    # -C: complain, in place of enforce.
    apparmor_parser -C -r /etc/apparmor.d/tipbox
    systemctl restart "${LISTENERS[@]}"
    if ! healthy; then
        # It was something else: the profile is a wall again.
        apparmor_parser -r /etc/apparmor.d/tipbox
        return 1
    fi
    say "note: with the AppArmor profile the server did not start; it is in complain mode now. Please report this."
}

# shipped_timers: those that an installation brings.
shipped_timers() { find "$HERE/systemd" -name 'tipbox*.timer' -printf '%f\n' | sort; }

start() {
    local timers sockets
    if ! booted; then
        say "systemd does not run here: the units start with the machine"
        return
    fi
    if changed "$STORES/*"; then
        mapfile -t sockets < <(relay_sockets)
        # A socket is not started while the service behind it runs.
        run systemctl stop "${sockets[@]}" tipbox-database.service tipbox-blobs.service tipbox-rates.service
        run systemctl start "${sockets[@]}"
    fi
    if changed "$OPT/current" || changed "$UNITS/*" || changed "$SETTINGS/keys/*" || changed "$STORES/*"; then
        run systemctl restart "${LISTENERS[@]}"
    else
        run systemctl start "${LISTENERS[@]}"
    fi
    if changed '/etc/tor/*' || changed '/var/lib/tor/*' || changed "$UNITS/tor@*"; then
        run systemctl restart tor@default.service
    else
        run systemctl start tor@default.service
    fi
    mapfile -t timers < <(if [[ $DRY ]]; then shipped_timers; else installed_units timer; fi)
    run systemctl start "${timers[@]}"
    [[ $DRY ]] || healthy || without_apparmor ||
        die "the server is not well; see: tipbox-server check; journalctl --namespace=tipbox"
}

send_test_tip() {
    if [[ $no_test_tip || -f $SETTINGS/test-tip ]] || ! booted; then
        say "none sent (once is enough, and only where the server runs)"
        return
    fi
    run "$OPT/current/bin/python" "$HERE/test_tip.py" --tipbox "$OPT/current/bin/tipbox" --keys "$STATE/keys" \
        --socket /run/tipbox/source.sock
    # The day only: a finer time would help to find this tip among others.
    [[ $DRY ]] || date -u +%F >"$SETTINGS/test-tip"
}

# What there will be, from what was asked for and what is here already.
report_dry() {
    local file names=''
    while read -r file; do names+=" $(courier_name "$file")"; done < <(courier_files)
    say "release     would be $(release_of "$wheel" "$lock")"
    say "couriers    ${names:+with a key:}${names:-none more}"
    if [[ $operator_key || -f $SETTINGS/operator.pub ]]; then
        say "backups     each night into /var/lib/tipbox-backup"
    else
        say "backups     none: install.sh --operator-key K.pub makes one each night"
    fi
    say "Nothing was changed."
}

report() {
    local name onion
    if [[ $DRY ]]; then
        report_dry
        return
    fi
    say "release     $(basename "$(readlink "$OPT/current" 2>/dev/null || echo none)")"
    for name in sources couriers ${plain/#yes/plain}; do
        [[ $name != no ]] || continue
        onion=$(as_tor cat "/var/lib/tor/tipbox/$name/hostname" 2>/dev/null || echo 'not yet: tor makes it when it starts')
        say "$(printf '%-11s %s' "$name" "$onion")"
    done
    say "couriers    $(find /var/lib/tor/tipbox/couriers/authorized_clients -name '*.auth' ! -name nobody.auth 2>/dev/null | wc -l) with a key"
    if booted; then
        for name in tipbox tipbox-courier tor@default; do
            say "$(printf '%-11s %s, exposure %s' "$name" "$(systemctl is-active "$name.service" || true)" \
                "$(systemd-analyze security --no-pager "$name.service" | sed -n 's/.*: \([0-9.]*\) .*/\1/p' | tail -n 1)")"
        done
        "$HERE/tipbox-server" check || true
    fi
    if [[ -f $SETTINGS/operator.pub ]]; then
        say "backups     each night into /var/lib/tipbox-backup, $(find /var/lib/tipbox-backup -name '*.bak' 2>/dev/null | wc -l) there"
    else
        say "backups     none: install.sh --operator-key K.pub makes one each night"
    fi
    say "canaries    $(find /var/lib/tipbox-canary/lists -name '*.canaries' 2>/dev/null | wc -l) lists"
    say
    say "Keep: backups, away from this machine; they hold the keys of the onion services too."
    say "Then: docs/operator-guide.md, 'Couriers' and 'Backups'."
}

step "What was asked for"
check_arguments
say "Debian, wheel $(basename "$wheel")${DRY:+, dry run}"
step "Packages"
packages
pow_module
step "Users and folders"
put_users
step "Program"
program
step "Settings"
settings
step "Stores"
stores
step "Units"
units
step "Kernel"
kernel
step "Updates"
updates
step "Onion services"
tor_services
step "Firewall"
firewall_rules
step "Start"
start
canary_address
step "Test tip"
send_test_tip
step "Report"
report
