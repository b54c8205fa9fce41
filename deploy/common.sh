# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this use them
# What the scripts of this folder share. Sourced, never run.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
STATE=/var/lib/tipbox
SETTINGS=/etc/tipbox
OPT=/opt/tipbox
UNITS=/etc/systemd/system
LISTENERS=(tipbox.service tipbox-courier.service)
# Where the stores are on other machines: their settings, and the units that work with them.
STORES=$SETTINGS/stores
PLAIN=$UNITS/tipbox.service.d/plain.conf
STORE_UNITS=(tipbox tipbox-courier tipbox-prune tipbox-settle tipbox-check tipbox-backup)
WITHIN=/usr/local/lib/tipbox/within
DRY=${DRY:-}
CHANGED=()
# What was found before: upgrade.sh sets it.
FOUND=''
# Folders of this run alone: all, the release as it was judged, and what was unpacked of it.
MADE=()
checked='' unpacked=''

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# make_folder VARIABLE [PLACE]: a folder that root alone can look into, until this ends.
make_folder() {
    local made
    made=$(mktemp -d -p "${2:-/var/tmp}" tipbox.XXXXXXXXXX)
    MADE+=("$made")
    declare -g "$1=$made"
    trap forget_made EXIT
}

forget_made() {
    ((${#MADE[@]} == 0)) || rm -rf -- "${MADE[@]}"
    MADE=()
}

# Do it, or with --dry-run only say it.
run() {
    if [[ $DRY ]]; then
        printf 'would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

# options VALUED FLAGS ARGUMENT...: each --name VALUE of VALUED goes into the variable of that name, each --name of FLAGS
# makes it "yes". The script that calls this has a function usage.
options() {
    local valued=" $1 " flags=" $2 " name
    shift 2
    while (($#)); do
        name=${1#--}
        if [[ $1 == -h || $1 == --help ]]; then
            usage
            exit 0
        elif [[ $1 == --* && $valued == *" $name "* ]] && (($# > 1)); then
            declare -g "${name//-/_}=$2"
            shift
        elif [[ $1 == --dry-run ]]; then
            DRY=yes
        elif [[ $1 == --* && $flags == *" $name "* ]]; then
            declare -g "${name//-/_}=yes"
        else
            usage >&2
            exit 2
        fi
        shift
    done
}

need_root() {
    [[ $DRY ]] || ((EUID == 0)) || die "this changes the whole machine: run it as root, or with --dry-run"
}

need_debian() {
    local id='' version=''
    # shellcheck source=/dev/null
    {
        id=$(. /etc/os-release && echo "${ID:-}")
        version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    }
    [[ $id == debian && ($version == 12 || $version == 13) ]] ||
        die "this is for Debian 12 and 13; here is ${id:-something unknown} ${version}"
}

# systemd runs as the first process, so that units can be started.
booted() { [[ -d /run/systemd/system ]]; }

# put SOURCE TARGET [MODE]: the file is there, as given; whole or as it was before. Notes what changed.
put() {
    local source=$1 target=$2 mode=${3:-644}
    if [[ -f $target ]] && cmp -s "$source" "$target" && [[ $(stat -c %a "$target") == "$mode" ]]; then
        return
    fi
    CHANGED+=("$target")
    if [[ $DRY ]]; then
        say "would write: $target"
        return
    fi
    install -d -m 755 "$(dirname "$target")"
    install -m "$mode" -o root -g root "$source" "$target.tipbox-new"
    # One rename: nobody ever reads half of it.
    mv -T "$target.tipbox-new" "$target"
    say "wrote $target"
}

# changed PATTERN: whether one of the files that were put matches.
changed() {
    local file
    for file in "${CHANGED[@]}"; do
        # shellcheck disable=SC2053 # the right side is a pattern
        [[ $file == $1 ]] && return 0
    done
    return 1
}

# find_wheel FOLDER...: the one wheel of tipbox in the first folder that has any.
find_wheel() {
    local folder found
    for folder; do
        found=("$folder"/tipbox-*.whl)
        [[ -f ${found[0]} ]] || continue
        ((${#found[@]} == 1)) || die "there are several wheels in $folder; name one with --wheel"
        printf '%s\n' "${found[0]}"
        return
    done
}

# take_copy VARIABLE FOLDER OPTION...: makes the folder in VARIABLE a copy of FOLDER, with these options of cp. What is
# judged must be what is installed: a disk may read differently the second time, and somebody may write meanwhile.
take_copy() {
    local variable=$1 folder=$2
    shift 2
    [[ -d $folder ]] || die "$folder is not a folder"
    make_folder "$variable"
    cp -R "$@" -- "$folder/." "${!variable}" ||
        die "$folder was not copied into /var/tmp, see above: make room there, or get the folder again"
}

# choose_release WHEEL WHEELHOUSE SIGNERS: sets $wheel, $lock and $wheelhouse, what install_release takes. With SIGNERS all
# of it is what they signed.
choose_release() {
    wheel=$1
    [[ ! $2 || -d $2 ]] || die "$2 is not a folder"
    [[ ! $3 || -f $3 ]] || die "there is no file $3 of signers"
    [[ ! $3 || $2 ]] || die "--signers signs a wheelhouse; name it with --wheelhouse"
    lock=$HERE/../requirements.lock
    if [[ $2 ]]; then
        [[ ! $3 || ! $wheel ]] || signed_in "$2" "$2" "$wheel"
        choose_wheelhouse "$2" "$3"
        [[ ! $3 || ! $wheel ]] || wheel=$wheelhouse/$(basename "$wheel")
        [[ ! -f $wheelhouse/requirements.lock ]] || lock=$wheelhouse/requirements.lock
    fi
    [[ $wheel ]] || wheel=$(find_wheel ${2:+"$wheelhouse"} "$HERE/../dist")
    [[ $wheel && -f $wheel ]] || die "there is no wheel of tipbox; build one with 'python -m build' or name it with --wheel"
    [[ -f $lock ]] || die "requirements.lock is missing beside the wheel"
    [[ ! $3 ]] || signed_in "$wheelhouse" "$2" "$wheel" "$lock"
}

# choose_wheelhouse FOLDER SIGNERS: sets $wheelhouse, a copy of FOLDER that is judged.
choose_wheelhouse() {
    take_copy wheelhouse "$1" -L
    verify_folder "$wheelhouse" "$2" "$1"
}

# choose_published FOLDER SIGNERS WHEEL WHEELHOUSE: the same from a release as maintainers publish it (RELEASING.md). What
# the wheel needs comes from where the signed source says, with the hashes that it says.
choose_published() {
    local folder=$1 signers=$2 who file source=() said=()
    [[ $signers ]] || die "--release needs --signers, the maintainers' public keys: who made it is all that there is to trust"
    [[ ! $3 ]] || die "--release brings its wheel; leave --wheel out"
    [[ -d $folder ]] || die "$folder is not a folder"
    [[ -f $signers ]] || die "there is no file $signers of signers"
    command -v ssh-keygen >/dev/null ||
        die "ssh-keygen is missing, which checks the signature: install Debian's package openssh-client"
    if [[ $(head -c 1 "$signers") == '{' ]]; then
        take_copy checked "$folder" -P
        # signers.json: as many of the maintainers as it says, an expiry, and a floor (docs/releases.md).
        # shellcheck disable=SC2046 # what is kept is up to three words
        who=$(python3 -I "$HERE/published.py" "$checked" "$signers" "$(date -u +%F)" \
            $(cat "$OPT/floor" 2>/dev/null || true) 2>&1) || die "${who//"$checked"/"$folder"}"
        mapfile -t said <<<"$who"
        wheel=$checked/${said[0]} floor=${said[2]}
        say "release signed by ${said[3]}"
        must_be_of_release "$checked/${said[1]}" "$folder"
        [[ ! $4 ]] || choose_wheelhouse "$4" ""
        return
    fi
    take_copy checked "$folder" -L
    [[ -f $checked/SHA256SUMS && -f $checked/SHA256SUMS.sig ]] ||
        die "$folder is not signed: it lacks SHA256SUMS or SHA256SUMS.sig"
    who=$(ssh-keygen -Y find-principals -f "$signers" -s "$checked/SHA256SUMS.sig" 2>/dev/null | head -n 1 || true)
    ssh-keygen -q -Y verify -f "$signers" -I "$who" -n tipbox-release -s "$checked/SHA256SUMS.sig" \
        <"$checked/SHA256SUMS" >/dev/null 2>&1 ||
        die "none of the maintainers in $signers signed $folder; get the release again, through another channel"
    (cd "$checked" && sha256sum --quiet --strict -c SHA256SUMS) ||
        die "files of $folder are not what SHA256SUMS says; get the release again"
    wheel=$(find_wheel "$checked")
    source=("$checked"/tipbox-*.tar.gz)
    [[ $wheel && -f ${source[0]} && ${#source[@]} == 1 ]] || die "$folder must hold one wheel of tipbox and one source"
    for file in "$wheel" "${source[0]}"; do
        cut -c 67- "$checked/SHA256SUMS" | grep -Fxq "$(basename "$file")" ||
            die "$folder/$(basename "$file") is not in SHA256SUMS; get the release again"
    done
    must_be_of_release "${source[0]}" "$folder"
    [[ ! $4 ]] || choose_wheelhouse "$4" ""
}

# must_be_of_release SOURCE FOLDER: sets $lock, that of SOURCE. These scripts run as root already; but a lock beside them
# that is not the release's shows a mix of two versions.
must_be_of_release() {
    make_folder unpacked
    lock=$unpacked/requirements.lock
    tar -xOzf "$1" --wildcards --no-wildcards-match-slash '*/requirements.lock' >"$lock"
    cmp -s "$lock" "$HERE/../requirements.lock" ||
        die "this script is not of the release in $2; unpack $(basename "$1") and run its deploy/$(basename "$0")"
}

# must_not_be_older NAME: an old release may have weaknesses that everybody knows, and its signature is as right as ever.
must_not_be_older() {
    local running
    running=$(basename "$(readlink "$OPT/current" || true)")
    [[ $running ]] || return 0
    ! dpkg --compare-versions "$(ordered "$1")" lt "$(ordered "$running")" ||
        die "release ${1%%-*} is older than the one that runs, ${running%%-*}; if you mean it, add --older"
}

# ordered NAME: its version as Debian orders them, 1.0rc1 before 1.0.
ordered() { sed -E 's/-.*//; s/(a|b|rc|\.dev)([0-9]+)/~\1\2/g' <<<"$1"; }

# keep_floor: the lowest version that maintainers allow, which no upgrade goes below from now on, and number and hash of the
# signers in force: whom they replaced sign nothing for this machine any more.
keep_floor() {
    [[ ${floor:-} ]] || return 0
    if [[ $DRY ]]; then
        say "would write: $OPT/floor"
        return
    fi
    printf '%s\n' "$floor" >"$OPT/floor.new"
    mv -T "$OPT/floor.new" "$OPT/floor"
}

# signed_in COPY FOLDER FILE...: dies unless the files lie in the copy that was verified.
signed_in() {
    local copy folder=$2 file
    copy=$(realpath "$1")
    shift 2
    for file; do
        [[ $(dirname "$(realpath "$file")") == "$copy" ]] || die "$file is not in $folder, which is what was signed"
    done
}

# has_outer_stores: the stores are on other machines. install.sh sets $outer before it writes anything.
has_outer_stores() { [[ ${outer:-} || -f $STORES/stores.toml ]]; }

# installed_units SUFFIX...: our units that are on this machine.
installed_units() {
    local suffix unit
    for suffix; do
        for unit in "$UNITS"/tipbox*."$suffix"; do
            [[ ! -f $unit ]] || basename "$unit"
        done
    done
}

# put_users: the users and folders of this version.
put_users() {
    put "$HERE/etc/sysusers.conf" /etc/sysusers.d/tipbox.conf
    put "$HERE/etc/tmpfiles.conf" /etc/tmpfiles.d/tipbox.conf
    run systemd-sysusers tipbox.conf
    run systemd-tmpfiles --create tipbox.conf
}

# put_units: those of this version.
put_units() {
    local unit
    for unit in "$HERE"/systemd/tipbox*.service "$HERE"/systemd/tipbox*.timer; do
        put "$unit" "$UNITS/$(basename "$unit")"
    done
    ! has_outer_stores || put_relays
}

# relay_sockets: those of the stores that are on other machines; in a dry run those that would be there.
relay_sockets() {
    find "$UNITS" ${stores_made:+"$stores_made"} -maxdepth 1 -name 'tipbox-*.socket' -printf '%f\n' | sort -u
}

# put_relays: the private network, the relays into it, and what lets the server's units reach them.
put_relays() {
    local unit
    for unit in "$HERE"/outer/tipbox-*.service; do
        put "$unit" "$UNITS/$(basename "$unit")"
    done
    for unit in "${STORE_UNITS[@]}"; do
        put "$HERE/outer/stores.conf" "$UNITS/$unit.service.d/stores.conf"
    done
    put "$HERE/outer/within" "$WITHIN" 755
}

# load_profiles: has the kernel take our AppArmor profiles as they are on the disk now; nothing without AppArmor.
load_profiles() {
    [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] || return 0
    run apparmor_parser -r /etc/apparmor.d/tipbox
}

# put_profiles: those of this version, which its units name.
put_profiles() {
    local profiles
    profiles=$(mktemp)
    cp "$HERE/apparmor/tipbox" "$profiles"
    if has_outer_stores; then
        # Those of the units that reach the relays: all but the canaries'.
        # shellcheck disable=SC2016 # the $ is sed's
        sed -i -e '/^profile tipbox-canary /,$b' -e "/^  deny network inet,\$/{
            r $HERE/outer/apparmor
            d
        }" "$profiles"
    fi
    put "$profiles" /etc/apparmor.d/tipbox
    rm -f "$profiles"
    load_profiles
}

# enable_units: the listeners, and all that has a timer.
enable_units() {
    local sockets timers=("$HERE"/systemd/tipbox*.timer)
    mapfile -t sockets < <(relay_sockets)
    run systemctl enable --quiet "${LISTENERS[@]}" "${timers[@]##*/}" "${sockets[@]}"
}

# verify_folder COPY SIGNERS FOLDER: the hashes of a kit. When the signers are known, both lists must be there and right,
# and name every file: pip would take what somebody has added.
verify_folder() {
    local copy=$1 signers=$2 folder=$3 listed found
    if [[ $signers ]]; then
        [[ -f $copy/SHA256SUMS && -f $copy/SHA256SUMS.sig ]] ||
            die "$folder is not signed: it lacks SHA256SUMS or SHA256SUMS.sig"
        command -v ssh-keygen >/dev/null ||
            die "ssh-keygen is missing, which checks the signature: install Debian's package openssh-client"
        ssh-keygen -Y verify -f "$signers" -I tipbox -n tipbox-kit -s "$copy/SHA256SUMS.sig" \
            <"$copy/SHA256SUMS" || die "the signature of $folder is not right; get the kit again, through another channel"
        # A line is 64 digits, two characters and the name.
        listed=$(cut -c 67- "$copy/SHA256SUMS" | LC_ALL=C sort)
        found=$(cd "$copy" && find . ! -type d ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig -printf '%P\n' |
            LC_ALL=C sort)
        [[ $listed == "$found" ]] || die "files were added to $folder, or are missing; get the kit again"
    fi
    [[ -f $copy/SHA256SUMS ]] || return 0
    (cd "$copy" && sha256sum --quiet --strict -c SHA256SUMS) ||
        die "files of $folder are not what SHA256SUMS says; get the kit again"
}

# release_of WHEEL LOCK: the name of a release, made of its version and of all that goes into it.
release_of() {
    local name
    name=$(basename "$1")
    name=${name#tipbox-}
    printf '%s-%s\n' "${name%%-*}" "$(cat "$1" "$2" | sha256sum | cut -c 1-12)"
}

# install_release WHEEL LOCK WHEELHOUSE: a venv of its own; a half-made one is made again. Prints nothing but progress.
install_release() {
    local wheel=$1 lock=$2 wheelhouse=$3 target source=()
    target=$OPT/releases/$(release_of "$wheel" "$lock")
    if [[ -f $target/.complete ]]; then
        say "release $(basename "$target") is there"
        return
    fi
    if [[ $wheelhouse ]]; then
        source=(--isolated --no-index --find-links "$wheelhouse")
    fi
    run rm -rf "$target"
    run install -d -m 755 "$OPT" "$OPT/releases"
    # Wheels only: no package runs code of its own as root while it is installed.
    run python3 -m venv "$target"
    run "$target/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --no-cache-dir \
        --only-binary :all: --require-hashes "${source[@]}" -r "$lock"
    run "$target/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --no-cache-dir \
        --isolated --no-index --no-deps "$wheel"
    # The services' users read it, and nobody but root changes it.
    run chmod -R go-w,a+rX "$target"
    run touch "$target/.complete"
    say "${DRY:+would have }installed release $(basename "$target")"
}

# use_release NAME: the link moves in one step.
use_release() {
    [[ $(readlink "$OPT/current" 2>/dev/null) != "releases/$1" ]] || return 0
    CHANGED+=("$OPT/current")
    run ln -sfn "releases/$1" "$OPT/current.new"
    run mv -T "$OPT/current.new" "$OPT/current"
}

# as_courier COMMAND...: as the user who may read the server's keys.
as_courier() {
    if has_outer_stores; then
        "$WITHIN" tipbox-courier "$@"
    else
        runuser -u tipbox-courier -- "$@"
    fi
}

# answers SOCKET [PROXY LINE]: the page or the refusal that shows a living process behind a unix socket.
answers() {
    "$OPT/current/bin/python" - "$@" <<'PYTHON'
import socket
import sys

path, *proxy = sys.argv[1:]
line = socket.socket(socket.AF_UNIX)
line.settimeout(30)
try:
    line.connect(path)
    line.sendall("".join(f"{one}\r\n" for one in proxy).encode() + b"GET / HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n")
    head = line.recv(64)
except OSError:
    sys.exit(1)
# Sources are led to the pages of a language; a release before this one answers with a page.
sys.exit(not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 303" if proxy else b"HTTP/1.1 404")))
PYTHON
}

# found: what the check of the program in use finds, as JSON; nothing when it cannot say.
found() {
    local errors
    errors=$(mktemp)
    # 8: it found something
    as_courier timeout --foreground 900 "$OPT/current/bin/tipbox" server check --home "$STATE" --json 2>"$errors" ||
        (($? == 8)) || cat "$errors" >&2
    rm -f "$errors"
}

# judged: whether nothing in the findings that come in speaks against the program that made them; what is in $FOUND, if that
# is set, was there before. By Debian's Python, for the programs are what is judged.
judged() { python3 -I "$HERE/findings.py" ${FOUND:+"$FOUND"}; }

# healthy: both listeners answer, and nothing that is found speaks against the program in use. Says what is found.
healthy() {
    systemctl is-active --quiet tipbox.service || return 1
    systemctl is-active --quiet tipbox-courier.service || return 1
    answers /run/tipbox/source.sock "PROXY TCP6 fc00::1 ::1 1 80" || return 1
    answers /run/tipbox-courier/courier.sock || return 1
    found | judged
}
