#!/usr/bin/env bash
# Installs the desk from this folder, without a network. README.txt beside it says how.
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
bash install-desk.sh [options] [TARGET]      TARGET: the folder of the program (default ~/tipbox, on Tails ~/Persistent/tipbox)

  --signers FILE    check the signature against this file with the signer's line
  --sums HASH       check that SHA256SUMS has this hash, which was read to you
  --check           only see whether this folder is whole; install nothing
  --no-packages     leave Debian's packages out, which need root's rights
  --packages-only   only Debian's packages: on Tails after each start
TEXT
}

fail() {
    echo "install-desk: $*" >&2
    exit 1
}

# Beside the program as long as it is not whole.
readonly MARK=.tipbox-half-made
signers='' sums='' target='' named='' only='' packages=yes
# What is removed at the end, however it comes.
work='' half_made=''
trap '[[ ! $work ]] || rm -rf "$work"; [[ ! $half_made ]] || rm -rf "$half_made"' EXIT
while (($#)); do
    case $1 in
        --signers) signers=${2:?--signers takes a file} && shift ;;
        --sums) sums=${2:?--sums takes a hash of 64 characters} && shift ;;
        --check) only=check ;;
        --packages-only) only=packages ;;
        --no-packages) packages='' ;;
        -h | --help) usage && exit ;;
        -*) usage >&2 && exit 2 ;;
        *) target=$1 named=yes ;;
    esac
    shift
done
[[ ! $signers ]] || signers=$(realpath "$signers")
sums=${sums//[[:space:]]/}
# Root's own programs: su leaves the PATH of whoever calls it, in which dpkg misses some.
((EUID)) || [[ ! $packages ]] || export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
if [[ ! $target ]]; then
    # On Tails only the Persistent folder outlives a restart.
    target=$HOME/tipbox
    [[ -d $HOME/Persistent ]] && target=$HOME/Persistent/tipbox
fi
target=$(realpath -m "$target")
cd "$(dirname "$(realpath "$0")")" || fail "the name of this folder cannot be worked with: give it another one"
[[ $target$PWD != *[[:cntrl:]]* ]] || fail "a folder has a line feed or the like in its name: give it another one"

# --- is this the kit that was made? -----------------------------------------------------------------------------------

# A list of some hundreds of files has some tens of kilobytes.
readonly LARGEST_LIST=1000000

# some NAMES: the first of them. Somebody else may have named these files: no terminal shall obey a name.
some() { head -n 3 <<<"$1" | while IFS= read -r name; do printf ' %q' "$name"; done; }

check() {
    local listed found odd added missing changed hash name
    [[ -f SHA256SUMS ]] || fail "SHA256SUMS is missing, the list of this folder's files; nothing was installed: get the kit again"
    for name in SHA256SUMS SHA256SUMS.sig; do
        [[ ! -e $name || $(stat -L -c %s "$name") -le $LARGEST_LIST ]] ||
            fail "$name is too large to be what was made; nothing was installed: get the kit again"
    done
    hash=$(sha256sum SHA256SUMS | cut -d ' ' -f 1)
    if [[ $signers ]]; then
        [[ -f SHA256SUMS.sig ]] || fail "this kit is not signed"
        command -v ssh-keygen >/dev/null ||
            fail "ssh-keygen is missing, which checks the signature: install Debian's package openssh-client, or leave out --signers and compare the hash that was read to you"
        ssh-keygen -Y verify -f "$signers" -I tipbox -n tipbox-kit -s SHA256SUMS.sig <SHA256SUMS ||
            fail "the signature is not right: do not use this kit; get it again, through another channel"
    elif [[ $sums ]]; then
        [[ ${sums,,} == "$hash" ]] ||
            fail "SHA256SUMS has another hash than the one given: do not use this kit; get it again, through another channel"
    else
        echo "The signature was not checked (--signers). Compare this hash with the one that was read to you:"
        echo "$hash  SHA256SUMS"
        if [[ $only != check && -t 0 ]]; then
            read -rp 'Is it the same, from the first character to the last? Type yes or no: ' answer || answer=''
            [[ ${answer,,} == yes ]] || fail "stopped; nothing was installed"
        fi
    fi
    # Every file that is here must be listed, and be what the list says: pip would take what somebody has added.
    listed=$(cut -c 67- SHA256SUMS | LC_ALL=C sort)
    # A folder with nothing in it, too, which may have the name of a file.
    found=$(find . -mindepth 1 \( ! -type d -o -empty \) ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig -printf '%P\n' | LC_ALL=C sort)
    added=$(printf '%s\n' "$listed" "$listed" "$found" | LC_ALL=C sort | uniq -u)
    missing=$(printf '%s\n' "$listed" "$found" "$found" | LC_ALL=C sort | uniq -u)
    [[ ! $added ]] || fail "files were added or are missing; nothing was installed: get the kit again (added:$(some "$added"))"
    [[ ! $missing ]] || fail "files were added or are missing; nothing was installed: get the kit again (missing:$(some "$missing"))"
    # Also one whose name has a line feed, and so looks like two that are listed.
    [[ $listed == "$found" ]] || fail "files were added or are missing; nothing was installed: get the kit again"
    # A link's file may be another one when it is used, and a device or a pipe may have no end.
    odd=$(find . -mindepth 1 ! -type d ! -type f -printf '%P\n' | LC_ALL=C sort)
    [[ ! $odd && ! -L SHA256SUMS ]] || fail "something is not a file of its own; nothing was installed: get the kit again (changed:$(some "${odd:-SHA256SUMS}"))"
    # In English, whose words are cut off.
    changed=$(LC_ALL=C sha256sum --quiet --strict -c SHA256SUMS 2>/dev/null | sed 's/: FAILED.*//') ||
        fail "a file is damaged or was changed; nothing was installed: get the kit again (changed:$(some "$changed"))"
    [[ $only == check || $signers || $sums || -t 0 ]] ||
        fail "nobody can be asked whether the hash is right: add --signers or --sums; nothing was installed"
    sums=$hash
}

# --- Debian's packages, for which root's rights are needed ------------------------------------------------------------

debian=$(cut -d . -f 1 /etc/debian_version 2>/dev/null || true)

# lacking: which of the packages are not installed.
lacking() {
    local package
    while read -r package _; do
        [[ ! $package || $package == '#'* ]] && continue
        [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            echo "$package"
    done <debian/packages.txt
}

# install_packages: with nothing but the kit's files, as root. A version that is installed already stays.
install_packages() {
    local wanted options=()
    read -r -d '' -a wanted <<<"$(lacking)" || true
    ((${#wanted[@]})) || return 0
    # What was interrupted before, by a power cut or Ctrl+C, is ended first.
    DEBIAN_FRONTEND=noninteractive dpkg --configure -a >&2 || fail "dpkg cannot end what was interrupted before, for the reason above"
    work=$(mktemp -d /tmp/tipbox-kit.XXXXXX)
    mkdir -p "$work/lists/partial" "$work/archives/partial"
    # No blanks in the path: it stands in a line of apt's.
    ln -s "$PWD/debian/$debian" "$work/debian"
    # All of the kit's files were compared with its list; their own list has Debian's hashes, which apt compares.
    echo "deb [trusted=yes] file:$work/debian ./" >"$work/sources.list"
    # Nothing of how this machine finds packages otherwise: no sources, no preferences, no network.
    options=(-q -q --yes --no-install-recommends
        -o "Dir::Etc::SourceList=$work/sources.list" -o "Dir::Etc::SourceParts=/dev/null"
        -o "Dir::Etc::Preferences=/dev/null" -o "Dir::Etc::PreferencesParts=/dev/null"
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::Archives=$work/archives"
        -o APT::Sandbox::User=root -o Acquire::Languages=none
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold)
    echo "Debian's packages: installing ${wanted[*]}; this takes some minutes"
    # Not as private as the rest: everybody's programs are made here.
    if ! (umask 022 && export DEBIAN_FRONTEND=noninteractive &&
        apt-get "${options[@]}" update && apt-get "${options[@]}" install "${wanted[@]}") >"$work/log" 2>&1; then
        tail -n 20 "$work/log" >&2
        fail "Debian's packages could not be installed, for the reason above. Is the disk full? If this Debian is newer than the kit, ask for a new kit"
    fi
    read -r -d '' -a wanted <<<"$(lacking)" || true
    ((${#wanted[@]} == 0)) || fail "Debian's packages are still missing: ${wanted[*]}"
}

# have_packages: asks for root's rights where that can be asked; says what is left to do where it cannot.
have_packages() {
    local wanted again
    read -r -d '' -a wanted <<<"$(lacking)" || true
    if ((${#wanted[@]} == 0)); then
        echo "Debian's packages: all there"
        return
    fi
    if [[ ! -d debian/$debian ]]; then
        echo "Debian's packages are not installed: the kit has those of $(cd debian && echo *[0-9]), and this is ${debian:-no Debian}. Lacking: ${wanted[*]}"
        return
    fi
    # It compares all of the kit again, as root.
    again=(bash "$PWD/install-desk.sh" --packages-only --sums "$sums")
    if ((EUID == 0)); then
        install_packages
    elif [[ -t 0 ]]; then
        if [[ " $(id -nG) " == *' sudo '* || -d $HOME/Persistent ]]; then
            echo "Debian's packages need your password (on Tails the administration password):"
            sudo "${again[@]}" || fail "Debian's packages were not installed, and nothing else either"
        else
            echo "Debian's packages need root's password, which you chose when you installed Debian:"
            su root -c "$(printf '%q ' "${again[@]}")" || fail "Debian's packages were not installed, and nothing else either"
        fi
    elif sudo -n true 2>/dev/null; then
        sudo -n "${again[@]}"
    else
        echo "Debian's packages are not installed yet. As root, run: $(printf '%q ' "${again[@]}")"
        echo "Until then tipbox lists files and opens none. Lacking: ${wanted[*]}"
    fi
}

# --- the program, with the rights of whoever uses it ------------------------------------------------------------------

install_program() {
    local pip tipbox pip_install
    command -v python3 >/dev/null || fail "python3 is missing: install Debian's package python3"
    [[ $(python3 -I -c 'import sys; print(*sys.version_info[:2], sep=".")') =~ ^3\.1[13]$ ]] ||
        fail "this kit is for the Python of Debian 12 and 13 (3.11 and 3.13), and here is $(python3 -I --version)"
    half_made=$target
    if ! { mkdir -p "$target" && touch "$target/$MARK" && python3 -I -m venv --without-pip "$target"; }; then
        fail "$target cannot be made, for the reason above"
    fi
    pip=(pip/pip-*.whl)
    pip_install=("$target/bin/python" -I "${pip[0]}/pip" --disable-pip-version-check --no-input --isolated install --quiet
        --no-cache-dir --no-index --only-binary :all:)
    tipbox=(wheels/tipbox-*.whl)
    if ! {
        "${pip_install[@]}" --find-links wheels --require-hashes -r requirements.lock &&
            "${pip_install[@]}" --no-deps "${tipbox[0]}" &&
            install -m 755 tipbox-desk "$target/bin/tipbox-desk" &&
            cp -r guide "$target/guide" &&
            "$target/bin/tipbox" --version
    }; then
        fail "the program could not be installed, for the reason above, and nothing of it stays. Is the disk full?"
    fi
}

# put_entry FOLDER: "tipbox desk" among the programs that the desktop shows.
put_entry() {
    local program
    # As a desktop entry quotes: in quotes, with four characters escaped, backslashes twice, and % doubled.
    program=$(sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g' <<<"$target/bin/tipbox-desk")
    mkdir -p "$1"
    cat >"$1/tipbox-desk.desktop" <<ENTRY
[Desktop Entry]
Type=Application
Name=tipbox desk
Comment=Open what sources sent, without a network
Exec="$program"
Icon=dialog-password
Terminal=true
Categories=Office;
Actions=commands;

[Desktop Action commands]
Name=Commands of tipbox
Exec="$program" --commands
ENTRY
}

check
if [[ $only == check ]]; then
    echo "This folder is as the list says: $(wc -l <SHA256SUMS) files."
    exit
fi
if [[ $only == packages ]]; then
    ((EUID == 0)) || fail "--packages-only needs root's rights: write  sudo  in front, or log in with  su"
    [[ -d debian ]] || fail "this kit has no packages of Debian"
    [[ -d debian/$debian ]] || fail "the kit has packages of Debian $(cd debian && echo *[0-9]), and this is ${debian:-no Debian}"
    install_packages
    echo "Debian's packages: all there"
    exit
fi
# With root's rights it would become root's program, in root's folder.
((EUID)) || [[ $named ]] ||
    fail "run it without sudo or su, as the person who uses the desk: it asks for a password itself where it needs one"
# One that can give other bytes when it is read again, after it was checked.
[[ $PWD != /media/* && $PWD != /run/media/* ]] ||
    fail "this folder is still on the stick: copy it to the computer first, and run the copy"
[[ $target/ != "$PWD"/* ]] || fail "the program's folder cannot be in the kit: name another folder"
# Left by a power cut: nothing but ours is in it.
[[ ! -f $target/$MARK ]] || rm -rf "$target"
[[ ! -e $target ]] || fail "$target is there already; move it away, or name another folder"
[[ $(uname -m) == x86_64 ]] || fail "this kit is for computers with a processor of the kind x86_64 (amd64)"
[[ ! $packages || ! -d debian ]] || have_packages
install_program
put_entry "$HOME/.local/share/applications"
# What Tails puts back at each start, where its Dotfiles are switched on.
dotfiles=/live/persistence/TailsData_unlocked/dotfiles
[[ ! -w $dotfiles ]] || put_entry "$dotfiles/.local/share/applications"
rm "$target/$MARK"
half_made=''
echo "Installed. The program is $target/bin/tipbox"
why=$("$target/bin/python" -c 'from tipbox.desk.render.sandbox import problem; print(problem())')
echo "Files of sources: ${why:-they can be looked at here, in a sandbox}"
echo "Next: open \"tipbox desk\" among the programs of the desktop, or type  $target/bin/tipbox-desk"
