#!/usr/bin/env bash
# Runs each fuzz target tests/fuzz/fuzz_*.py for FUZZ_SECONDS (60), then the desk on 10,000 changed files, then three readers of Envelopes on DIFFERENTIAL_INPUTS
# (10,000) inputs. What crashes a target, or what readers differ in, is kept in build/fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."

shopt -s nullglob
targets=(tests/fuzz/fuzz_*.py)
if ((${#targets[@]} == 0)); then
    echo "running the fuzz targets: there are none in tests/fuzz" >&2
    exit 1
fi
for target in "${targets[@]}"; do
    name=$(basename "$target" .py)
    mkdir -p "build/fuzz/$name/corpus"
    echo "$name: ${FUZZ_SECONDS:-60} seconds"
    .venv/bin/python "$target" -max_total_time="${FUZZ_SECONDS:-60}" -artifact_prefix="build/fuzz/$name/" \
        -print_final_stats=1 "build/fuzz/$name/corpus" "$@"
done

echo "files of the desk: 10,000 with changed bytes, each in a sandbox"
EVERY_FLIP=1 .venv/bin/python -m pytest tests/desk/render/test_flips.py --timeout 14400 -q

echo "differential: ${DIFFERENTIAL_INPUTS:-10000} inputs"
.venv/bin/python tests/fuzz/readers/differential.py "${DIFFERENTIAL_INPUTS:-10000}"
