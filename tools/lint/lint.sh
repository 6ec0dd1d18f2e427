#!/bin/bash
# Form, layers, locks. usage: lint.sh
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

python3 tools/lint/check_layers.py .
python3 tools/lint/check_connect.py .
mapfile -t sources < <(git ls-files 'src/*.h' 'src/*.cpp' 'tests/*.h' 'tests/*.cpp' 'bench/*.h' 'bench/*.cpp')
clang-format-19 --dry-run --Werror "${sources[@]}"
echo "format: ${#sources[@]} files"
tools/lint/thread_safety.sh
