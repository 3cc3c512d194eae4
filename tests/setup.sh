#!/bin/sh
# Installs the Debian packages that build, tests and demo need, and nothing when all of them are there.
set -eu

# Compiler for the C parts of aws-lc-rs and SQLite; make itself has already run.
build="gcc libc6-dev"
# What the tests and the demo talk to: the real client and server, soft tokens, a token server that can be
# killed, trust directories of old versions (golang-github-docker-notary-dev), a module that notes every call to a token, a throw-away CA (openssl), the reader library of smart cards,
# a virtual reader for smart cards with the daemon above it and a program that knows YubiKeys, a clock that is years off or
# runs fast (faketime), and a tracer that ends a process at a chosen system call (strace).
run="notary golang-github-docker-notary-dev softhsm2 opensc opensc-pkcs11 p11-kit p11-kit-modules openssl ca-certificates libpcsclite-dev"
run="$run pcscd vsmartcard-vpcd yubico-piv-tool faketime strace"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

command -v cargo >/dev/null 2>&1 ||
    fail "no cargo in PATH: install a Rust toolchain from https://rustup.rs and run this again"
command -v dpkg-query >/dev/null 2>&1 ||
    fail "this is not a Debian system: install by hand what Debian calls: $build $run"

missing=
for package in $build $run; do
    state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $state in
        ii*) ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "run as root: apt-get install$missing"
    sudo=sudo
fi

# shellcheck disable=SC2086 # a list of package names
install_missing() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >&2
}

say "installing with apt-get:$missing"
if ! install_missing; then
    say "fetching the package lists (apt-get update), then once more"
    $sudo apt-get update >&2
    install_missing || fail "apt-get could not install:$missing"
fi
