#!/bin/bash
# Installs the official OpenAI clients, from PyPI and npm, for the tests that judge us by them.
# usage: clients.sh FOLDER   (offline once installed)
set -euo pipefail
folder=$1
here=$(dirname "$(readlink -f "$0")")
want=$(cat "$here/clients/requirements.txt" "$here/clients/package.json" | sha256sum)
[ "$(cat "$folder/installed" 2>/dev/null)" != "$want" ] || exit 0

mkdir -p "$folder"
echo "weir: installing the official clients for the tests" >&2
python3 -m venv "$folder/python"
"$folder/python/bin/pip" install -q --disable-pip-version-check -r "$here/clients/requirements.txt"
cp "$here/clients/package.json" "$folder/"
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts >/dev/null)
echo "$want" >"$folder/installed"
