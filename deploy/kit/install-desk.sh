#!/usr/bin/env bash
# Installs the desk from this folder, without a network, without root: install-desk.sh [--signers FILE] [TARGET]
set -euo pipefail
umask 077

signers=''
if [[ ${1:-} == --signers ]]; then
    signers=${2:?--signers takes a file}
    shift 2
fi
target=${1:-}
if [[ ! $target ]]; then
    # On Tails only the Persistent folder outlives a restart.
    target=$HOME/tipbox
    [[ -d $HOME/Persistent ]] && target=$HOME/Persistent/tipbox
fi
cd "$(dirname "$0")"

fail() {
    echo "install-desk: $*" >&2
    exit 1
}

if [[ $signers ]]; then
    [[ -f SHA256SUMS.sig ]] || fail "this kit is not signed"
    command -v ssh-keygen >/dev/null ||
        fail "ssh-keygen is missing, which checks the signature: install Debian's package openssh-client, or leave out --signers and compare the hash that was read to you"
    ssh-keygen -Y verify -f "$signers" -I tipbox -n tipbox-kit -s SHA256SUMS.sig <SHA256SUMS ||
        fail "the signature is not right: do not use this kit; get it again, through another channel"
else
    echo "The signature was not checked (--signers). Compare this hash with the one that was read to you:"
    sha256sum SHA256SUMS
fi
# Every file that is here must be listed, and be what the list says: pip would take what somebody has added.
listed=$(cut -c 67- SHA256SUMS)
found=$(find . ! -type d ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig -printf '%P\n' | LC_ALL=C sort)
[[ $(LC_ALL=C sort <<<"$listed") == "$found" ]] || fail "files were added or are missing; get the kit again"
sha256sum --quiet --strict -c SHA256SUMS || fail "a file is damaged; get the kit again"

command -v python3 >/dev/null || fail "python3 is missing: install Debian's package python3"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "this needs Python 3.11 or newer"
[[ ! -e $target ]] || fail "$target is there already; move it away, or name another folder"
trap 'rm -rf "$target"' ERR
python3 -m venv --without-pip "$target"
pip=(pip/pip-*.whl)
install=("$target/bin/python" "${pip[0]}/pip" --disable-pip-version-check --no-input --isolated install --quiet
    --no-cache-dir --no-index --only-binary :all:)
"${install[@]}" --find-links wheels --require-hashes -r requirements.lock
tipbox=(wheels/tipbox-*.whl)
"${install[@]}" --no-deps "${tipbox[0]}"
"$target/bin/tipbox" --version
echo "Installed. The program is $target/bin/tipbox"
