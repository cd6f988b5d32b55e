-- footprint_bench.lua - what a host takes while it does nothing: start, wakeups, memory, and what each connection adds.
--
-- Aims: ready within 100 ms, 12 MB resident when idle. Connections are held by thousands in ours and in the peers; memory is what the
-- kernel counts as the process's own (Pss: its share of what several processes share), without the kernel's buffers. Prints a table and
-- writes build/bench/footprint.json.
local fiber, json, time = require "fiber", require "json", require "time"
local peers, support = require "spec.bench.peers", require "spec.e2e.support"

local starts, held, idle_seconds = 5, 4000, 10
local results = {}

local function report(name, value, unit, note)
  results[#results + 1] = { name = name, value = value, unit = unit, note = note }
  print(("%-44s %10.2f %-8s %s"):format(name, value, unit, note or ""))
end

local function status(pid, field)
  local text = assert(io.open(("/proc/%d/status"):format(pid))):read "*a"
  return tonumber(text:match(field .. ":%s*(%d+)"))
end

local function bench_start()
  local best = math.huge
  for _ = 1, starts do
    local folder = support.folder()
    local command = "%s serve --listen 127.0.0.1:0 --workers 0 --data %s/data --ready-fd 3 3>&1 >/dev/null 2>%s/log & echo $! >%s/pid"
    local began = time.monotonic()
    local pipe = assert(io.popen(command:format(support.binary, folder, folder, folder)))
    assert(pipe:read "*l")
    best = math.min(best, time.monotonic() - began)
    support.shell(("kill $(cat %s/pid)"):format(folder))
    pipe:close()
    support.shell("rm -rf " .. folder)
  end
  report("start to ready, new data folder", best * 1000, "ms", "best of " .. starts)
end

local function wakeups(pid)
  local sum = 0
  for task in support.shell(("ls /proc/%d/task"):format(pid)):gmatch "%d+" do
    local text = assert(io.open(("/proc/%d/task/%s/status"):format(pid, task))):read "*a"
    sum = sum + tonumber(text:match "\nvoluntary_ctxt_switches:%s*(%d+)")
  end
  return sum
end

local function bench_idle()
  local host = support.host { flags = "--workers 2 --log-level error" }
  fiber.sleep(2)
  local pids = host:worker_pids()
  table.insert(pids, 1, host.pid)
  local before = {}
  for i, pid in ipairs(pids) do before[i] = wakeups(pid) end
  fiber.sleep(idle_seconds)
  report("idle host, resident", status(host.pid, "VmRSS") / 1024, "MB")
  report("idle worker, resident", status(pids[2], "VmRSS") / 1024, "MB")
  report("idle host wakes", (wakeups(host.pid) - before[1]) / idle_seconds, "/s", "all threads")
  report("idle worker wakes", (wakeups(pids[2]) - before[2]) / idle_seconds, "/s", "all threads")
  host:stop()
end

local function bench_vm()
  local vm = json.decode(peers.output "build/bench/vm")
  report("script VM, made", vm.new_us, "us")
  report("script VM, freed", vm.free_us, "us")
  report("script VM, memory", vm.kb, "KB")
end

--- Kilobytes that each connection adds; the second thousand tells, since the first also fills pools.
local function each_held(server, kind)
  local release_first = server:hold(kind, held / 2)
  local before = server:memory()
  local release = server:hold(kind, held)
  local each = (server:memory() - before) / held / 1024
  release()
  release_first()
  return each
end

local function bench_held(kind, what)
  local ours
  for _, peer in ipairs(peers.present(kind == "sockets")) do
    local server = peers.start(peer)
    local each = each_held(server, kind)
    server:stop()
    if peer.name == "stance" then ours = each end
    report(("1,000 idle %s, %s"):format(what, peer.title), each * 1000 / 1024, "MB", ours and ("%.2fx ours"):format(each / ours) or "")
  end
end

bench_start()
bench_idle()
bench_vm()
if peers.ready "connections" then
  bench_held("idle", "keep-alive connections")
  bench_held("sockets", "WebSockets")
end
peers.write("build/bench/footprint.json", json.encode { results = results })
