#!/usr/bin/env bash
# Makes a folder for a USB stick: everything to install tipbox on a machine that has no network. By default the desk, on
# Debian 12, Debian 13 and Tails; with --for server what install.sh takes as --wheelhouse.
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
TEXT
}

out='' role=desk wheel='' key=''
while (($#)); do
    (($# > 1)) || { usage >&2; exit 2; }
    case $1 in
        --out) out=$2 ;;
        --for) role=$2 ;;
        --wheel) wheel=$2 ;;
        --sign) key=$2 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# Python of Debian 12 (also Tails 6) and of Debian 13 (also Tails 7), with the version that decides markers in the lock.
readonly PYTHONS=(3.11.2 3.13.5)
python=$HERE/../.venv/bin/python
[[ -x $python ]] || die "run 'make setup' first"
[[ $out && ! -e $out ]] || die "--out must name a folder that does not exist yet"
case $role in
    desk) lock=$HERE/../requirements-desk.lock ;;
    server) lock=$HERE/../requirements.lock ;;
    *) die "--for takes desk or server" ;;
esac
[[ $wheel ]] || wheel=$(find_wheel "$HERE/../dist")
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

mkdir -p "$out/wheels"
for version in "${PYTHONS[@]}"; do
    say "wheels for Python ${version%.*}"
    download "$version"
done
cp "$wheel" "$out/wheels/"
cp "$lock" "$out/requirements.lock"
if [[ $role == desk ]]; then
    # Tails and a small Debian have neither pip nor the package that brings it into a venv; its wheel runs as it is.
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: --dest "$out/pip" pip
    cp "$HERE/kit/install-desk.sh" "$HERE/kit/INSTALL.txt" "$out/"
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
say "$out: $(find "$out" -type f | wc -l) files, $(du -sh "$out" | cut -f 1)"
