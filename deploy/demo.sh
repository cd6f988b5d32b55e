#!/bin/bash
# make demo: a host in a scratch folder, a job that renders, a job that looks for the people in what was rendered, and how well it
# found them. Leaves build/demo/out and build/demo/pose.
set -euo pipefail
cd "$(dirname "$0")/.."
demo=build/demo

began=$SECONDS
printf 'building ... ' >&2
mkdir -p build
if ! make -j"$(nproc)" all >build/demo-build.log 2>&1; then
    echo failed >&2
    tail -n 30 build/demo-build.log >&2
    exit 1
fi
echo "done ($((SECONDS - began)) s)" >&2

# A host of its own, on the usual port where that is free.
rm -rf $demo
mkdir -p $demo
port=5001
if (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; then port=0; fi
build/stance serve --listen 127.0.0.1:$port --data $demo/data --ready-fd 3 3>$demo/ready >$demo/host.log 2>&1 &
host=$!
trap 'kill "$host" 2>/dev/null; wait "$host" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
for _ in {1..200}; do
    grep -q url $demo/ready && break
    if ! kill -0 "$host" 2>/dev/null; then break; fi
    sleep 0.05
done
STANCE_URL=$(sed -nE 's/.*"url" *: *"([^"]*)".*/\1/p' $demo/ready)
if [ -z "$STANCE_URL" ]; then
    echo "the host did not start:" >&2
    tail -n 20 $demo/host.log >&2
    exit 1
fi
export STANCE_URL
echo "host on $STANCE_URL, data in $demo/data" >&2

characters=(mannequin)
STANCE_ASSETS=${STANCE_ASSETS:-../shared/assets}
if [ -d "$STANCE_ASSETS/characters" ]; then
    mapfile -t -O 1 characters < <(find "$STANCE_ASSETS/characters" -maxdepth 1 -type f | LC_ALL=C sort)
fi
status=0
build/stance render "${characters[@]}" --output $demo/out || status=$?

# The labels of the pictures are known: so estimates can be scored.
rendered=$(build/stance job list --type render --limit 1 | awk 'NR == 2 { print $1 }')
if why=$(build/stance job submit pose -p job="$rendered" -p overlay=true --wait 2>&1 >$demo/pose.id); then
    build/stance download --job "$(cut -d' ' -f1 $demo/pose.id)" --output $demo/pose >/dev/null
    cat $demo/pose/score.txt
    seen=", $demo/pose for the estimates"
else
    echo "no poses were estimated: ${why##* failed: }" >&2
fi
echo "Next: look at $demo/out/contact-sheet.png${seen-}; \`build/stance pose PHOTO\`; \`build/stance serve\`;" \
    "deploy/docs/workflows.md to write a workflow." >&2
exit $status
