#!/usr/bin/env bash
# Each target for FUZZ_SECONDS under libFuzzer; `make fuzz` calls it. Arguments: targets, none means all.
# Without AddressSanitizer: nothing of ours is unsafe, and what is (C, assembler) is built by its own build scripts, which
# the sanitizer does not reach. FUZZ_SANITIZER=address turns it on.
# What is found is kept in fuzz/artifacts/TARGET/; what reaches new code in fuzz/corpus/TARGET/.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.tools/cargo/bin:$PATH"
SECONDS_EACH=${FUZZ_SECONDS:-60}
SANITIZER=${FUZZ_SANITIZER:-none}

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "make fuzz: WITHOUT libFuzzer: there is no nightly toolchain (rustup toolchain install nightly)"
    exit 0
fi
if ! command -v cargo-fuzz >/dev/null; then
    echo "make fuzz: WITHOUT libFuzzer: there is no cargo-fuzz (scripts/setup.py cargo-fuzz)"
    exit 0
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

cargo +nightly fuzz build --sanitizer "$SANITIZER"
failed=()
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    log=$(mktemp)
    # A check waits for nothing that takes a second; a configuration may hold 64 KiB, and nothing else needs more.
    options=(-max_total_time="$SECONDS_EACH" -dict="fuzz/dictionaries/$target.dict" -max_len=65536 -timeout=60 -rss_limit_mb=4096
        -print_final_stats=1)
    if cargo +nightly fuzz run --sanitizer "$SANITIZER" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- "${options[@]}" >"$log" 2>&1; then
        executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        coverage=$(grep -oE ' cov: [0-9]+' "$log" | tail -n 1)
        echo "libFuzzer $target: $executions executions in $SECONDS_EACH s,${coverage:- no coverage}"
    else
        failed+=("$target")
        tail -n 60 "$log"
        echo "libFuzzer $target: FAILED, see fuzz/artifacts/$target/"
    fi
    rm -f "$log"
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "make fuzz: failed under libFuzzer: ${failed[*]}"
    exit 1
fi
