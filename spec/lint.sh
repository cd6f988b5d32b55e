#!/bin/bash
# Static checks: make lint. Each prints "ok", "FAIL" with what it found, or "SKIP" with a reason.
# clang-tidy's verdicts are kept by the hash of what it read, so only changed files are looked at again.
cd "$(dirname "$0")/.." || exit 1
mkdir -p build/lint
passed=0 failed=0 skipped=0

check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok $name"
        passed=$((passed + 1))
    else
        printf '%s\nFAIL %s\n' "$output" "$name"
        failed=$((failed + 1))
    fi
}

skip() {
    echo "SKIP $1: $2"
    skipped=$((skipped + 1))
}

have() { command -v "$1" >/dev/null; }

first_of() {
    local name
    for name; do have "$name" && echo "$name" && return; done
}

c_files() { git ls-files -co --exclude-standard -- 'runtime/*.[ch]' 'gpu/*.[ch]' 'spec/*.[ch]'; }

# Format: clang-format's taste changes with its version.
format=$(first_of clang-format-14 clang-format)
if [[ $format && $($format --version) =~ version\ 14\. ]]; then
    mapfile -t files < <(c_files && git ls-files -co --exclude-standard -- 'gpu/*.cu')
    check "clang-format" "$format" --dry-run -Werror "${files[@]}"
else
    skip "clang-format" "needs clang-format 14"
fi

# Bugs. Every C file includes our headers freely, so a header's change means looking at all again.
tidy=$(first_of clang-tidy-14 clang-tidy)
headers=$(c_files | grep '\.h$' | xargs cat .clang-tidy | sha256sum)
tidy_one() {
    local file=$1 stamp extra=(--extra-arg=-include --extra-arg=spec/analyzer.h)
    [ "$file" = runtime/core/err.c ] && extra=() # it defines what that header redefines
    stamp=build/lint/$({ cat "$file"; echo "$file $headers"; } | sha256sum | cut -c1-32)
    [ -e "$stamp" ] && return
    # The verdict and the line; the path that leads there is shown by `clang-tidy -p . FILE`.
    $tidy --quiet -p . "${extra[@]}" "$file" 2>/dev/null | grep -A2 ': error:'
    [ "${PIPESTATUS[0]}" = 0 ] && touch "$stamp"
}
tidy_all() { c_files | grep '^\(runtime\|spec\)/.*\.c$' | xargs -P "$(nproc)" -I{} bash -c 'tidy_one {}'; }
export -f tidy_one
export tidy headers
if [ "$tidy" ]; then
    check "clang-tidy" tidy_all
else
    skip "clang-tidy" "not installed"
fi

# Scripts.
if have luacheck; then
    check "luacheck" luacheck --quiet lua policies spec
else
    skip "luacheck" "not installed"
fi
if have shellcheck; then
    mapfile -t scripts < <(git ls-files -co --exclude-standard | xargs grep -lE '^#!/bin/(ba)?sh')
    check "shellcheck" shellcheck "${scripts[@]}"
else
    skip "shellcheck" "not installed"
fi

# The other architecture: everything must at least compile there. Library headers are borrowed from this machine, after the
# cross compiler's own.
cross=$(first_of aarch64-linux-gnu-gcc)
cross_one() {
    "$cross" -std=c11 -D_GNU_SOURCE -Iruntime -Igpu -Ibuild/gen -idirafter /usr/include/luajit-2.1 -idirafter /usr/include \
        -idirafter "/usr/include/$(gcc -print-multiarch)" -Wall -Wextra -c "$1" -o /dev/null
}
cross_all() {
    make -s -j"$(nproc)" -C gpu BUILD="$PWD/build/aarch64" CC="$cross" AR=aarch64-linux-gnu-gcc-ar CFLAGS=-O1 all &&
        c_files | grep '^runtime/.*\.c$' | xargs -P "$(nproc)" -I{} bash -c 'cross_one {}'
}
export -f cross_one
export cross
if [ "$cross" ]; then
    check "aarch64 compiles" cross_all
else
    skip "aarch64 compiles" "no aarch64-linux-gnu-gcc"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
