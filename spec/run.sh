#!/bin/bash
# Runs the tests: `spec/run.sh all` (make test), `fast` (make test-fast), `bench` (make bench), `fuzz` (make fuzz).
#
# A step is a function below. What it prints is kept in build/logs/STEP.log; lines `N passed, N failed, N skipped` in it
# are counted, lines `SKIP name: reason` (or `skipped: reason`) are listed at the end, and when it fails its log's complaints are shown. A failed
# step does not keep the later ones from running. The last line is the sum, in the same words.
cd "$(dirname "$0")/.." || exit 1
export STANCE_LUA=$PWD/lua
export STANCE_ASSETS=${STANCE_ASSETS:-$(realpath -m ../shared/assets)}
jobs=$(nproc)
prefix=() # put before every program
logs=build/logs
passed=0 failed=0 skipped=0
began=$SECONDS
mkdir -p $logs

# -- What a step may call ---------------------------------------------------------------------------------------------

# Busted's closing words become ours, and its pending specs our SKIP lines.
in_our_words() {
    awk '
    /^[0-9]+ success(es)? \/ [0-9]+ failures? \/ [0-9]+ errors? \/ [0-9]+ pending/ {
        print; print $1 " passed, " ($4 + $7) " failed, " $10 " skipped"; fflush(); next }
    /^Pending .* @ [0-9]+/ { print; getline; name = $0; getline; print "SKIP " name ": " $0; next }
    { print; fflush() }'
}

# Runs a program that counts its own cases; one that dies without having counted a failure counts as one. One that takes
# too long is shown where it hangs.
# program SECONDS COMMAND...
program() {
    local seconds=$1 output=$logs/program.$BASHPID status
    shift
    timeout --foreground -k 120 "$seconds" spec/watched "${prefix[@]}" "$@" </dev/null 2>&1 | in_our_words | tee "$output"
    status=${PIPESTATUS[0]}
    if [ "$status" != 0 ] && ! grep -qE '^[0-9]+ passed, [1-9][0-9]* failed, ' "$output"; then
        echo "FAIL $* (status $status$([ "$status" = 124 ] && echo ": over $seconds s"))"
        echo "0 passed, 1 failed, 0 skipped"
    fi
    rm -f "$output"
    return "$status"
}

# Runs the programs of a flavour but those whose names match. c_tests FOLDER [WITHOUT]
c_tests() {
    local file name status=0
    for file in spec/c/*_test.c; do
        [ -e "$file" ] || continue
        name=$(basename "$file" .c)
        [[ $name =~ ${2:-^$} ]] && continue
        echo "-- $name"
        program 300 "$1/spec/$name" || status=1
    done
    return $status
}

# Fuzz targets of a flavour, each once over its seeds. fuzz_seeds FOLDER
fuzz_seeds() {
    local file status=0
    for file in $(fuzz_targets); do
        echo "-- fuzz/$file"
        # assimp itself leaks over some broken scenes
        ASAN_OPTIONS=${ASAN_OPTIONS-}$([ "$file" = scene ] && echo :detect_leaks=0) program 300 "$1/spec/fuzz/$file" || status=1
    done
    return $status
}

fuzz_targets() { find spec/fuzz -name '*.c' ! -name once.c -printf '%f\n' | sed 's/\.c$//' | sort; }

# Each folder of specs in a process of its own. lua_specs RUNNER FOLDER...
lua_specs() {
    local runner=$1 folder status=0
    shift
    for folder; do
        compgen -G "$folder/*_spec.lua" >/dev/null || continue
        echo "-- $folder"
        program 900 "$runner" "$folder" || status=1
    done
    return $status
}

unit_folders() { find spec -mindepth 1 -type d ! -path 'spec/c*' ! -path 'spec/e2e*' ! -path 'spec/bench*' ! -path spec/sim | sort; }

# -- Steps ------------------------------------------------------------------------------------------------------------

step_build() { make -j"$jobs" tests; }
step_lint() { make -s lint; }
step_gpu() { program 600 make -s gpu-check; }
step_c() {
    local status=0
    c_tests build || status=1
    fuzz_seeds build || status=1
    return $status
}
step_lua() { mapfile -t folders < <(unit_folders) && lua_specs build/stance-spec "${folders[@]}"; }
step_sim() { lua_specs build/stance-spec spec/sim; }
step_e2e() { lua_specs build/stance-spec spec/e2e; }

step_memcheck() { program 240 spec/memcheck.sh; }

step_clang() { make -j"$jobs" CC=clang all; }

# The wide address randomisation of newer kernels collides with the shadow memory of older sanitizers.
fix_addresses() { if setarch -R true 2>/dev/null; then prefix=(setarch -R); fi; }

step_asan() {
    local status=0 folders
    make -j"$jobs" SAN=address,undefined tests || return
    fix_addresses
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
    export LSAN_OPTIONS=suppressions=$PWD/spec/lsan.supp:print_suppressions=0
    c_tests build/asan || status=1
    fuzz_seeds build/asan || status=1
    mapfile -t folders < <(unit_folders)
    lua_specs build/asan/stance-spec "${folders[@]}" || status=1
    STANCE_BINARY=build/asan/stance STANCE_ATTACKS=100000 program 300 build/stance-spec spec/e2e/hostile_spec.lua || status=1
    return $status
}

# Where threads meet; the makers of pictures and scenes have none, and those of faults are about what is left, after a fork. Signals
# that interrupt what computes come too late under this sanitizer (slow, stack).
step_tsan() {
    make -j"$jobs" SAN=thread tests || return
    fix_addresses
    export TSAN_OPTIONS=halt_on_error=0:suppressions=$PWD/spec/tsan.supp
    c_tests build/tsan '^(slow|stack|scene|mannequin|image|jpeg|png|glb|lathe|draw|views|labels|config|store_(nth|memory|power))'
}

# Whose fault a crash is: an importer's own (it ends a worker, no more), or ours.
blame() { if "$1" "$2" 2>&1 | grep -E '^ *#[0-9]+ ' | head -n 12 | grep -q 'libassimp'; then echo assimp; else echo ours; fi; }

# fuzz_one NAME: what it finds is kept in build/fuzz/NAME.
fuzz_one() {
    local name=$1 folder=build/fuzz/$1 binary=build/clang-fuzzer/spec/fuzz/$1 options=() log before file ours=0 theirs=0
    log=$folder/log
    mkdir -p "$folder/seeds" "$folder/corpus"
    build/spec/fuzz/"$name" --write "$folder/seeds" >/dev/null || return
    # One goes on after a crash, for crashes and leaks of the importer are not ours to mend.
    [ "$name" = scene ] && options=(-fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 -detect_leaks=0)
    before=$(mktemp)
    "$binary" -max_total_time="${FUZZ_SECONDS:-30}" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 "${options[@]}" \
        -artifact_prefix="$folder/" "$folder/corpus" "$folder/seeds" </dev/null >"$log" 2>&1
    for file in "$folder"/*-*; do
        if [ ! -s "$file" ] || [ ! "$file" -nt "$before" ]; then continue; fi
        if [ "$(blame "$binary" "$file")" = ours ]; then
            echo "FAIL fuzz/$name: $file"
            ours=$((ours + 1))
        else
            theirs=$((theirs + 1))
        fi
    done
    rm -f "$before"
    printf '%-12s %s\n' "$name" "$(grep -oE '^#[0-9]+.* (DONE|cov: [0-9]+)|cov: [0-9]+' "$log" | tail -n 1)$([ $theirs = 0 ] || echo ", $theirs in assimp")"
    echo "$((ours == 0)) passed, $ours failed, 0 skipped"
}

fuzz() {
    local name status=0
    fix_addresses
    export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 LSAN_OPTIONS=suppressions=$PWD/spec/lsan.supp:print_suppressions=0
    for name in ${FUZZ:-$(fuzz_targets)}; do
        fuzz_one "$name" | tee -a $logs/fuzz.log
    done
    ! grep -q '^FAIL' $logs/fuzz.log || status=1
    return $status
}

bench() {
    local file
    if [ "${BENCH_PEERS-}" = 1 ]; then spec/bench/peers/install || return; fi
    build/stance version
    for file in spec/bench/*_bench.lua; do
        [ -e "$file" ] && build/stance-spec --script "$file"
    done
}

# -- The driver -------------------------------------------------------------------------------------------------------

# step NAME TITLE
step() {
    local log=$logs/$1.log start=$SECONDS status counts p f s
    printf '== %-34s ' "$2"
    ("step_$1") >"$log" 2>&1
    status=$?
    read -r p f s < <(awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
        END { print p + 0, f + 0, s + 0 }' "$log")
    [ $status != 0 ] && [ "$f" = 0 ] && f=1
    [ $status = 0 ] && [ "$((p + f + s))" = 0 ] && p=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    counts="$p passed"
    [ "$f" = 0 ] || counts+=", $f FAILED"
    [ "$s" = 0 ] || counts+=", $s skipped"
    echo "$counts ($((SECONDS - start)) s)"
    [ "$f" = 0 ] || complain "$log"
}

# The part of a log that tells what went wrong: around its complaints, or its end.
complain() {
    if grep -qE '^(FAIL|FAILED|not ok|Failure|Error) |not so:|error:|ERROR:|WARNING: ThreadSanitizer' "$1"; then
        grep -nE -A12 '^(FAIL|FAILED|not ok|Failure|Error) |not so:|error:|ERROR:|WARNING: ThreadSanitizer' "$1" | head -n 100
    else
        tail -n 40 "$1"
    fi | sed 's/^/   /'
    echo "   (all of it: $1)"
}

summary() {
    if grep -hqE '^ *(SKIP |skipped: )' $logs/*.log; then
        echo "== skipped"
        grep -hE '^ *(SKIP |skipped: )' $logs/*.log | sort -u | sed -E 's/^ *(SKIP |skipped: )/   /'
    fi
    echo "took $(((SECONDS - began) / 60)) min $(((SECONDS - began) % 60)) s"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

rm -f $logs/*.log
case ${1-} in
fast)
    step c "C tests"
    step lua "Lua specs"
    step sim "simulated histories of jobs"
    summary ;;
all)
    step build "build"
    step lint "lint"
    step gpu "kernels against their reference"
    step c "C tests"
    step lua "Lua specs"
    SIM_COUNT=2000 step sim "simulated histories of jobs"
    step e2e "end to end"
    step memcheck "memcheck of a host and its worker"
    step clang "build with clang"
    step asan "address and undefined sanitizers"
    step tsan "thread sanitizer"
    summary ;;
bench) bench ;;
fuzz) fuzz ;;
*)
    echo "usage: spec/run.sh all|fast|bench|fuzz" >&2
    exit 2 ;;
esac
