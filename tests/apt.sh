#!/usr/bin/env bash
# Installs the Debian packages of tests/apt-packages.txt that are missing, and says which.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
while read -r package _; do
    [[ -z $package || $package == \#* ]] && continue
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) || status=absent
    [[ $status == installed ]] || missing+=("$package")
done < apt-packages.txt

if ((${#missing[@]} == 0)); then
    echo "Debian packages: all there"
    exit 0
fi

echo "Debian packages: installing ${missing[*]}"
as_root=()
if ((EUID != 0)); then
    as_root=(sudo)
fi
"${as_root[@]}" apt-get -q update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}"
