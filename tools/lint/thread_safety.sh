#!/bin/bash
# What is guarded by a mutex is touched only under it: clang's analysis of every source that locks.
# usage: thread_safety.sh
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

mapfile -t headers < <(git grep -l WEIR_GUARDED_BY -- 'src/*.h' | grep -v base/mutex.h)
mapfile -t sources < <(
    git grep -l -e 'MutexLock' -e 'WEIR_GUARDED_BY' -- 'src/*.cpp'
    # The source beside a header that guards something.
    for header in "${headers[@]}"; do [ ! -f "${header%.h}.cpp" ] || echo "${header%.h}.cpp"; done)
mapfile -t sources < <(printf '%s\n' "${sources[@]}" | sort -u)
printf '%s\0' "${sources[@]}" | xargs -0 -P 2 -n 1 \
    clang++-19 -std=c++2b -fsyntax-only -Isrc -DFMT_SHARED -DWEIR_FAILPOINTS -Wthread-safety -Werror=thread-safety
echo "thread safety: ${#sources[@]} sources"
