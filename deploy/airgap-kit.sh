#!/usr/bin/env bash
# Makes a folder for a USB stick: everything to install tipbox on a machine that has no network. By default the desk with
# Debian's packages, for Debian 12, Debian 13 and Tails; with --for server what install.sh takes as --wheelhouse.
set -euo pipefail
shopt -s inherit_errexit
umask 022

usage() {
    cat <<'TEXT'
airgap-kit.sh --out DIR [options]        run on a machine with a network, in a checkout after `make setup`

  --out DIR          the folder to make; it must not exist
  --for desk|server  what to install (default desk)
  --wheel FILE       the wheel of tipbox (default: the one in ../dist, as `python -m build --wheel` makes it)
  --sign KEY         sign the hashes with this Ed25519 key (ssh-keygen -t ed25519)
  --debs DIR|none    Debian's packages for the desk: from the folder  debian  of another kit, or none of them;
                     those of a kit of yours are not checked again (default: they are downloaded from deb.debian.org, and Debian's signatures are checked)
TEXT
}

out='' role=desk wheel='' key='' debs=''
while (($#)); do
    (($# > 1)) || { usage >&2; exit 2; }
    case $1 in
        --out) out=$2 ;;
        --for) role=$2 ;;
        --wheel) wheel=$2 ;;
        --sign) key=$2 ;;
        --debs) debs=$2 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# Python of Debian 12 (also Tails 6) and of Debian 13 (also Tails 7), with the version that decides markers in the lock.
readonly PYTHONS=(3.11.2 3.13.5)
readonly RELEASES=(12:bookworm 13:trixie)
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
python=$HERE/../.venv/bin/python
[[ -x $python ]] || die "run 'make setup' first"
[[ $out && ! -e $out ]] || die "--out must name a folder that does not exist yet"
case $role in
    desk) lock=$HERE/../requirements-desk.lock ;;
    server) lock=$HERE/../requirements.lock ;;
    *) die "--for takes desk or server" ;;
esac
[[ $wheel ]] || wheel=$(find_wheel "$HERE/../dist")
if [[ $role == server ]]; then
    [[ ! $debs ]] || die "--debs is for the desk"
elif [[ $debs && $debs != none ]]; then
    for debian in "${RELEASES[@]}"; do
        [[ -f $debs/${debian%:*}/Packages ]] || die "$debs has no packages of Debian ${debian%:*}"
    done
elif [[ ! $debs ]]; then
    [[ -f $KEYRING && $(command -v apt-get) ]] ||
        die "Debian's packages are fetched with apt and debian-archive-keyring: make the kit on Debian, or add --debs"
fi
[[ -f $wheel ]] || die "there is no wheel; run '.venv/bin/python -m build --wheel --no-isolation' or name it with --wheel"

# lock_for VERSION: the pins of the lock that this Python takes.
lock_for() {
    "$python" - "$lock" "$1" <<'PYTHON'
import sys

from packaging.requirements import Requirement

path, version = sys.argv[1:]
environment = {
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_full_version": version,
    "python_version": version.rpartition(".")[0],
    "sys_platform": "linux",
}
pins: list[str] = []
for line in open(path, encoding="utf-8"):
    if line[:1].isalnum():
        pins.append("")
    if pins and not line.lstrip().startswith("#"):
        pins[-1] += line
for pin in pins:
    requirement, separator, hashes = pin.partition("\\")
    name, _, _ = requirement.partition(";")
    marker = Requirement(requirement.strip()).marker
    # Without its marker: pip would ask it of the Python that runs here.
    if marker is None or marker.evaluate(environment):
        print(name.strip(), separator + hashes, end="")
PYTHON
}

download() {
    local version=$1 short platform pins options=()
    short=${version%.*}
    for platform in manylinux{_2_34,_2_28,_2_17,2014,1}_x86_64 any; do
        options+=(--platform "$platform")
    done
    for abi in "cp${short/./}" abi3 none; do
        options+=(--abi "$abi")
    done
    pins=$(mktemp)
    lock_for "$version" >"$pins"
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --dest "$out/wheels" --require-hashes \
        --only-binary :all: --implementation cp --python-version "$short" "${options[@]}" -r "$pins"
    rm -f "$pins"
}

# download_debs VERSION SUITE: the packages of the list with all that they depend on, as if nothing was installed, and
# Debian's own words about each, with its hash, as the index of a local repository.
download_debs() {
    local to=$out/debian/$1 work file name names=() wanted=()
    work=$(mktemp -d)
    mkdir -p "$to" "$work/state/lists/partial" "$work/archives/partial"
    : >"$work/status"
    for file in "debian $2" "debian $2-updates" "debian-security $2-security"; do
        echo "deb [arch=amd64 signed-by=$KEYRING] http://deb.debian.org/$file main"
    done >"$work/sources.list"
    # Nothing of what is installed here, or how: the same kit on each machine. Proxies are this machine's.
    cat >"$work/apt.conf" <<CONF
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work";
Dir::Cache::Archives "$work/archives";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    mapfile -t wanted < <(awk '/^[a-z]/ { print $1 }' "$HERE/kit/packages.txt")
    APT_CONFIG=$work/apt.conf apt-get -q -q update
    APT_CONFIG=$work/apt.conf apt-get -q -q --yes --download-only install "${wanted[@]}" >/dev/null
    for file in "$work"/archives/*.deb; do
        name=$(basename "$file")
        # NAME_VERSION_ARCHITECTURE, an epoch with %3a; without epochs in Debian's pool, and on sticks.
        names+=("$(sed -E 's/^([^_]+)_([^_]+)_.*/\1=\2/; s/%3a/:/' <<<"$name")")
        mv "$file" "$to/$(sed -E 's/_[0-9]+%3a/_/' <<<"$name")"
    done
    APT_CONFIG=$work/apt.conf apt-cache show "${names[@]}" | sed -E 's#^Filename: .*/#Filename: ./#' >"$to/Packages"
    rm -rf "$work"
    sed -n 's/^Filename: //p' "$to/Packages" | (cd "$to" && xargs -d '\n' ls) >/dev/null
    [[ $(grep -c '^Filename: ' "$to/Packages") == "${#names[@]}" ]] || die "the index of Debian $1 is not whole"
}

# megabytes FOLDER: what its files have together.
megabytes() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f MB", sum / 1e6 }'; }

# describe_kit: the end of README.txt, about this kit.
describe_kit() {
    local file debian
    file=$(basename "$wheel")
    file=${file#tipbox-}
    cat <<TEXT

This kit
--------

tipbox ${file%%-*}, for Python ${PYTHONS[*]%.*}; $(find "$out" -type f | wc -l) files besides the list, $(megabytes "$out").
SHA256SUMS is the list of its files: the SHA-256 of each, this page's too. What is read to you is the hash of that list.
TEXT
    [[ -d $out/debian ]] || echo "Debian's packages are not in it: README.txt speaks of them in vain."
    for debian in "${RELEASES[@]%:*}"; do
        [[ ! -d $out/debian/$debian ]] ||
            echo "debian/$debian: $(find "$out/debian/$debian" -name '*.deb' | wc -l) packages of Debian $debian, $(megabytes "$out/debian/$debian"); debian/packages.txt says what for."
    done
    echo "wheels: $(find "$out/wheels" -type f | wc -l) packages of Python, $(megabytes "$out/wheels")."
}

mkdir -p "$out/wheels"
for version in "${PYTHONS[@]}"; do
    say "wheels for Python ${version%.*}"
    download "$version"
done
cp "$wheel" "$out/wheels/"
cp "$lock" "$out/requirements.lock"
if [[ $role == desk ]]; then
    # Tails and a small Debian have neither pip nor the package that brings it into a venv; its wheel runs as it is.
    pins=$(mktemp)
    sed -n '/^pip==/,/[^\\]$/p' "$HERE/../requirements-build.lock" >"$pins"
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: --require-hashes \
        --dest "$out/pip" -r "$pins"
    rm -f "$pins"
    cp "$HERE/kit/install-desk.sh" "$HERE/kit/tipbox-desk" "$HERE/kit/README.txt" "$out/"
    mkdir -p "$out/guide/pictures"
    cp -r "$HERE"/../docs/{desk-install.md,desk-first-hour.md,staff-guide.md,staff,glossary.md,exit-codes.md} "$out/guide/"
    cp "$HERE"/../docs/pictures/desk-*.png "$out/guide/pictures/"
    if [[ $debs != none ]]; then
        mkdir "$out/debian"
        for debian in "${RELEASES[@]}"; do
            say "packages of Debian ${debian%:*}"
            if [[ $debs ]]; then
                cp -r "$debs/${debian%:*}" "$out/debian/"
            else
                download_debs "${debian%:*}" "${debian#*:}"
            fi
        done
        cp "$HERE/kit/packages.txt" "$out/debian/"
    fi
    end=$(describe_kit)
    printf '%s\n' "$end" >>"$out/README.txt"
else
    mv "$out"/wheels/* "$out/" && rmdir "$out/wheels"
fi
(cd "$out" && find . -type f ! -name 'SHA256SUMS*' -printf '%P\0' | sort -z | xargs -0 sha256sum >SHA256SUMS)
if [[ $key ]]; then
    ssh-keygen -q -Y sign -f "$key" -n tipbox-kit "$out/SHA256SUMS"
    say "signed; give the public half to the other side through another channel:"
    say "tipbox $(ssh-keygen -y -f "$key")"
else
    say "not signed (--sign): the other side can only compare the hash of SHA256SUMS, read aloud"
fi
say "SHA256SUMS has the hash $(sha256sum "$out/SHA256SUMS" | cut -d ' ' -f 1)"
if [[ $role == desk ]]; then
    say "Give the other side these lines too, on paper: what runs before they were typed may be somebody else's."
    say "    sha256sum SHA256SUMS"
    [[ ! $key ]] || say "    ssh-keygen -Y verify -f ~/signers -I tipbox -n tipbox-kit -s SHA256SUMS.sig < SHA256SUMS"
    say "    sha256sum --quiet --strict -c SHA256SUMS && echo whole"
fi
say "$out: $(find "$out" -type f | wc -l) files, $(du -sh "$out" | cut -f 1)"
