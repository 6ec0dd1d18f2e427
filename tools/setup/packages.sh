#!/bin/bash
# Installs the Debian packages that are missing. usage: packages.sh build|check|lint …
# build: what `./up` needs; check: what the tests need besides; lint: clang for CI and fuzzing.
set -euo pipefail

build="build-essential cmake ninja-build ca-certificates curl
    libboost1.81-dev libfmt-dev libspdlog-dev libssl-dev libcli11-dev libtomlplusplus-dev
    libicu-dev libre2-dev libsqlite3-dev libseccomp-dev"
check="libgtest-dev libgmock-dev python3 python3-venv nodejs npm openssl procps util-linux"
lint="clang-19 clang-format-19 libclang-rt-19-dev ccache git"

wanted=""
for set in "$@"; do
    wanted="$wanted ${!set}"
done
missing=""
for package in $wanted; do
    # A tool that came from elsewhere (a newer Node, a Python of one's own) will do as well.
    case "$package" in
        nodejs) command -v node >/dev/null && continue ;;
        npm) command -v npm >/dev/null && continue ;;
        python3) command -v python3 >/dev/null && continue ;;
        python3-venv) python3 -c 'import ensurepip' 2>/dev/null && continue ;;
    esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "weir: run this as root, or install sudo; missing:$missing" >&2; exit 1; }
    root=sudo
fi
echo "weir: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
