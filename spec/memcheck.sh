#!/bin/bash
# A host and its worker under valgrind's memcheck: start, requests, jobs, stop. Anything that memcheck complains about, a leak
# included, is a failure. Prints the counts in the words of spec/run.sh.
cd "$(dirname "$0")/.." || exit 1
export STANCE_LUA=$PWD/lua

if ! command -v valgrind >/dev/null; then
    echo "SKIP memcheck: valgrind is not installed (deploy/install-deps test)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

folder=$(mktemp -d /tmp/stance-memcheck-XXXXXX)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/scripts/workflows"
cat >"$folder/scripts/workflows/walk.lua" <<'LUA'
local t = require "stance.schema"
return { name = "walk", version = 1, params = t.object { steps = t.integer, fail = t.boolean { default = false } },
  run = function(job, p)
    for i = 1, p.steps do
      job:step("s" .. i, function(step) step:artifact(i .. ".txt", ("x"):rep(1000 * i)) end)
      job:log("did " .. i)
    end
    job:sleep(0.1)
    if p.fail then error "it was told to fail" end
    return { steps = p.steps }
  end }
LUA

# Pointers into the middle of blocks ("possibly lost") are LuaJIT's way. A system call that valgrind does not know (openat2) fails.
valgrind --quiet --trace-children=yes --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    --suppressions=spec/valgrind.supp --error-exitcode=99 --log-file="$folder/valgrind.%p" \
    build/stance serve --listen 127.0.0.1:0 --data "$folder/data" --workspace "$folder/scripts" --workers 1 \
    --drain 60s --load-slice 30s --load-timeout 120s --ready-fd 3 3>"$folder/ready" 2>"$folder/log" &
host=$!

fail() {
    echo "FAIL memcheck: $1"
    tail -n 20 "$folder/log"
    grep -h '^==' "$folder"/valgrind.* | head -n 60
    kill -KILL $host 2>/dev/null
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

for _ in $(seq 600); do
    [ -s "$folder/ready" ] && break
    kill -0 $host 2>/dev/null || fail "the host ended before it was ready"
    sleep 0.1
done
url=$(sed -E 's/.*"url":"([^"]*)".*/\1/' "$folder/ready")
[ "$url" ] || fail "the host was not ready in time"

# Jobs that complete, one that fails, one that is cancelled; then all ways of looking at them.
export STANCE_URL=$url
build/stance job submit walk -p steps=3 --wait >"$folder/out" 2>&1 || fail "a job did not complete: $(cat "$folder/out")"
build/stance job submit walk -p steps=1 -p fail=true --wait >/dev/null 2>&1 && fail "a job that was told to fail did not"
build/stance job submit render -p 'characters=["mannequin"]' -p angles=1 -p 'size=[64,64]' --wait >"$folder/out" 2>&1 ||
    fail "a picture was not drawn: $(cat "$folder/out")"
post() { curl -s -X POST -H 'Content-Type: application/json' "$url$1" -d "$2"; }
id=$(post /api/jobs '{"job_type": "walk", "params": {"steps": 500}}' | grep -o 'walk_[0-9a-f_]*' | head -n 1)
post "/api/jobs/$id/cancel" '{}' >/dev/null
first=$(curl -s "$url/api/jobs" | grep -o 'walk_[0-9a-f_]*' | tail -n 1)
for path in /health /ready /metrics /api/status /api/jobs "/api/jobs/$first" "/api/jobs/$first/logs" "/api/jobs/$first/artifacts" \
    "/api/jobs/$first/artifacts/1.txt" /nowhere; do
    curl -s -o "$folder/out" "$url$path" || fail "no answer from $path"
done
post /api/jobs '{"job_type": 7' >/dev/null
post "/api/jobs/$first/download" '{}' >/dev/null
timeout 3 curl -sN "$url/api/events?after=0" >"$folder/out"
grep -q job.completed "$folder/out" || fail "no events"
post /api/reload '{}' >/dev/null
build/stance job submit walk -p steps=1 --wait >/dev/null 2>&1 || fail "a job after a reload did not complete"

kill -TERM $host
wait $host
status=$?
[ $status = 0 ] || fail "the host ended with status $status"
grep -q '^==' "$folder"/valgrind.* && fail "memcheck complains"
echo "1 passed, 0 failed, 0 skipped"
