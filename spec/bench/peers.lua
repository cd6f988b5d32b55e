--- peers.lua - servers to compare with, each a process of its own on a free port, pinned to the first core; the load is on the second.
---
--- What a server costs is the CPU that its process used (all threads, by the kernel's count), which stays honest on a busy machine,
--- divided by what it did. Servers take turns, round by round, and of each the cheapest round counts: noise only adds.
local fiber, http = require "fiber", require "http"

local M = {}

local folder = "spec/bench/peers/"
local work = "build/bench/"

---@class bench.peer
---@field name string
---@field title string
---@field needs? string     a command that succeeds when it is installed
---@field command string    PORT stands for the port
---@field sockets? boolean  it takes WebSockets too

---@type bench.peer[]
M.peers = {
  { name = "floor", title = "bare epoll loop in C", command = work .. "floor PORT", sockets = true },
  { name = "stance", title = "stance, Lua handler", sockets = true,
    command = "build/stance-spec --script " .. folder .. "stance.lua PORT" },
  { name = "lws", title = "libwebsockets alone, own loop", command = work .. "lws PORT", sockets = true },
  { name = "luv", title = "LuaJIT with luv", needs = "luajit -e 'require \"luv\" require \"cjson\"'",
    command = "luajit " .. folder .. "luv.lua PORT" },
  { name = "nginx", title = "nginx, no Lua", needs = "command -v nginx || test -x /usr/sbin/nginx",
    command = "/usr/sbin/nginx -c $PWD/" .. work .. "nginx.PORT.conf", configuration = folder .. "nginx.conf" },
  { name = "node", title = "Node http, ws", needs = "command -v node",
    command = "env BENCH_MODULES=$PWD/" .. work .. "node_modules node " .. folder .. "node.js PORT", sockets = true },
  { name = "tarantool", title = "Tarantool sockets", needs = "command -v tarantool",
    command = "tarantool " .. folder .. "tarantool.lua PORT" },
}

local function run(command) return os.execute("{ " .. command .. "; } >/dev/null 2>&1") == 0 end

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- Writes a file whole.
function M.write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- What a command prints; waits without holding the loop.
---@param command string
---@return string
function M.output(command)
  local path = os.tmpname()
  os.execute(("( %s ) >%s 2>&1; echo $? >%s.done"):format(command, path, path) .. " &")
  repeat fiber.sleep(0.02) until (read(path .. ".done") or ""):find "\n"
  local text = read(path)
  os.remove(path)
  os.remove(path .. ".done")
  return text
end

--- The peers that are here; tells which are not, and how to get them.
---@param sockets? boolean  only those that take WebSockets
---@return bench.peer[]
function M.present(sockets)
  local list, missing = {}, {}
  for _, peer in ipairs(M.peers) do
    local here = not peer.needs or run(peer.needs)
    if peer.sockets or not sockets then table.insert(here and list or missing, here and peer or peer.title) end
  end
  if #missing > 0 then print("not installed: " .. table.concat(missing, ", ") .. " (BENCH_PEERS=1 make bench installs them)") end
  return list
end

-- -- Processes ------------------------------------------------------------------------------------------------------------

---@class bench.server
---@field pid integer
---@field port integer
local Server = {}
Server.__index = Server

local function free_port()
  local server = assert(http.serve { listen = "127.0.0.1:0", handler = function() return 404 end })
  local port = server:address():match ":(%d+)$"
  server:close()
  return tonumber(port)
end

local function children(pid)
  local list = {}
  for child in (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch "%d+" do list[#list + 1] = tonumber(child) end
  return list
end

--- Starts a command whose word PORT becomes a free port, pinned to `core`, and waits until it answers there.
---@param peer bench.peer
---@return bench.server
function M.start(peer)
  local port = free_port()
  if peer.configuration then
    local text = read(peer.configuration):gsub("PORT", port):gsub("FOLDER", (M.output "pwd"):gsub("%s+$", "") .. "/" .. work)
    M.write(("%snginx.%d.conf"):format(work, port), text)
  end
  local pid = M.output(("exec taskset -c 0 %s >%s%s.log 2>&1 & echo $!"):format(peer.command:gsub("PORT", port), work, peer.name))
  local self = setmetatable({ pid = tonumber(pid), port = port }, Server)
  for _ = 1, 200 do
    if http.request { url = self:url(), timeout = 1 } then return self end
    fiber.sleep(0.05)
  end
  self:stop()
  error(("%s does not answer: see %s%s.log"):format(peer.title, work, peer.name))
end

function Server:url() return ("http://127.0.0.1:%d/"):format(self.port) end

function Server:pids()
  local pids = children(self.pid)
  table.insert(pids, 1, self.pid)
  return pids
end

--- CPU seconds used so far, by all its threads and children.
function Server:cpu()
  local sum = 0
  for _, pid in ipairs(self:pids()) do
    for task in M.output("ls /proc/" .. pid .. "/task"):gmatch "%d+" do
      sum = sum + tonumber((read(("/proc/%d/task/%s/schedstat"):format(pid, task)) or "0"):match "%d+") / 1e9
    end
  end
  return sum
end

--- Bytes of memory that are its own, as the kernel divides them (Pss).
function Server:memory()
  local sum = 0
  for _, pid in ipairs(self:pids()) do
    sum = sum + tonumber((read(("/proc/%d/smaps_rollup"):format(pid)) or "Pss: 0"):match "\nPss:%s*(%d+)") * 1024
  end
  return sum
end

--- Opens connections (kind "idle") or WebSockets ("sockets") and holds them; call what is returned to close them.
---@param kind string
---@param count integer
---@return fun() release
function Server:hold(kind, count)
  local path = os.tmpname()
  local pid = tonumber(M.output(("exec taskset -c 1 %sclients %s %d %d >%s 2>&1 & echo $!"):format(work, kind, self.port, count, path)))
  local text
  repeat
    fiber.sleep(0.05)
    text = read(path)
  until text:find "\n"
  os.remove(path)
  assert(text == "held\n", text)
  return function() M.output("kill " .. pid) end
end

function Server:stop() M.output(("kill %d; for i in 1 2 3 4 5 6 7 8; do kill -0 %d || break; sleep .1; done; kill -9 %d"):format(self.pid,
  self.pid, self.pid)) end

--- wrk's second thread of the story: requests for `seconds`, and what each cost the server.
---@param connections integer
---@param seconds number
---@param script? string  for wrk
---@param path? string
---@return table  per_second, cpu_us, p50_us, p99_us
function Server:load(connections, seconds, script, path)
  local lua = os.tmpname()
  M.write(lua, (script or "") .. [[

done = function(summary, latency)
  io.write(("RESULT %d %d %d %d %d\n"):format(summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read))
end
]])
  local before = self:cpu()
  local text = M.output(("taskset -c 1 wrk -t1 -c%d -d%d -s %s %s"):format(connections, seconds, lua, self:url() .. (path or "")))
  local cpu = self:cpu() - before
  os.remove(lua)
  local count, duration, p50, p99, errors = text:match "RESULT (%d+) (%d+) (%d+) (%d+) (%d+)"
  assert(count and errors == "0", text)
  return { per_second = count / duration * 1e6, cpu_us = cpu / count * 1e6, p50_us = tonumber(p50), p99_us = tonumber(p99) }
end

--- Whether the tools are here; says what is not.
function M.ready(name)
  if run "command -v wrk && command -v taskset" then return true end
  print(name .. ": skipped, wrk or taskset is not installed")
end

return M
