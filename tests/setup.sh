#!/bin/sh
# Installs the Debian packages that build, tests and demo need, and three things for the tests alone that are not installed
# but put into the cache; nothing when all of them are there.
set -eu

# Compiler for the C parts of aws-lc-rs and SQLite; make itself has already run.
build="gcc libc6-dev"
# What the tests and the demo talk to: the real client and server, soft tokens, a token server that can be
# killed, trust directories of old versions (golang-github-docker-notary-dev), a module that notes every call to a token, a throw-away CA (openssl), the reader library of smart cards,
# a virtual reader for smart cards with the daemon above it and a program that knows YubiKeys, a clock that is years off or
# runs fast (faketime), a tracer that ends a process at a chosen system call (strace), and what ykman is put into
# (python3-venv) and reads cards with (python3-pyscard: for Linux, PyPI has only its source).
run="notary golang-github-docker-notary-dev softhsm2 opensc opensc-pkcs11 p11-kit p11-kit-modules openssl ca-certificates libpcsclite-dev"
run="$run pcscd vsmartcard-vpcd yubico-piv-tool faketime strace python3-venv python3-pyscard"
# Yubico's own manager of YubiKeys, from PyPI: Debian's is too old for firmware 5.7.
ykman=5.9.2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/signet
# The agent loads no module that others can write.
umask 022

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

command -v cargo >/dev/null 2>&1 ||
    fail "no cargo in PATH: install a Rust toolchain from https://rustup.rs and run this again"
command -v dpkg-query >/dev/null 2>&1 ||
    fail "this is not a Debian system: install by hand what Debian calls: $build $run"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@" >&2
    else
        command -v sudo >/dev/null 2>&1 || fail "run as root: $*"
        sudo "$@" >&2
    fi
}

# The same again with new package lists if it fails.
with_apt() {
    "$@" && return
    say "fetching the package lists (apt-get update), then once more"
    as_root apt-get update
    "$@"
}

missing=
for package in $build $run; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $state in
        ii*) ;;
        *) missing="$missing $package" ;;
    esac
done

# shellcheck disable=SC2086 # a list of package names
install_missing() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

if [ -n "$missing" ]; then
    say "installing with apt-get:$missing"
    with_apt install_missing || fail "apt-get could not install:$missing"
fi

# Only unpacked: where Debian installs Yubico's PKCS#11 module, every `notary` finds it and looks for YubiKeys; and with
# Docker's client comes an engine that nothing here needs.
unpack() {
    (
        cd "$cache/$1.new" &&
            apt-get download -q -o APT::Sandbox::User=root "$1" >&2 && dpkg -x "$1"_*.deb . && rm "$1"_*.deb
    )
}

for package in ykcs11 docker.io; do
    [ -d "$cache/$package" ] && continue
    say "unpacking $package into $cache"
    rm -rf "$cache/$package.new"
    mkdir -p "$cache/$package.new"
    with_apt unpack "$package" || fail "apt-get could not download $package"
    mv "$cache/$package.new" "$cache/$package"
done

# By Debian's own python3, which knows python3-pyscard. The mark is set last: what was interrupted is begun anew.
if ! [ -e "$cache/ykman/is-$ykman" ]; then
    say "installing ykman $ykman from PyPI into $cache"
    rm -rf "$cache/ykman"
    /usr/bin/python3 -m venv --system-site-packages "$cache/ykman" >&2 || fail "python3 could not make $cache/ykman"
    "$cache/ykman/bin/pip" install -q --disable-pip-version-check --only-binary :all: "yubikey-manager==$ykman" >&2 ||
        fail "pip could not install yubikey-manager $ykman"
    : >"$cache/ykman/is-$ykman"
fi
