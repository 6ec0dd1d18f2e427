#!/bin/bash
# A prompt of 131072 tokens through a small random model of Llama 3.1's shape: its memory against
# the plan, its logits against double precision. Some minutes; tests/property/long_context_test.cpp
# does the same with 4096 tokens in every run of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release >/dev/null
ninja -C build/release long_context_property_test
WEIR_LONG_CONTEXT="${1:-131072}" build/release/bin/long_context_property_test
