-- support.lua - a real host for end-to-end specs: the binary, on a free port, in a folder of its own.
local fiber, http, json = require "fiber", require "http", require "json"

local M = {}

local binary = os.getenv "STANCE_BINARY" or "build/stance"
M.binary = binary

local function shell(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end
M.shell = shell
M.absolute_binary = shell("realpath " .. binary) -- for commands that run in another folder

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

function M.write(path, text)
  shell(("mkdir -p $(dirname '%s')"):format(path))
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- Waits until `condition()` is true; an error with `what` after `seconds`.
function M.eventually(what, seconds, condition)
  for _ = 1, seconds * 50 do
    local got = condition()
    if got then return got end
    fiber.sleep(0.02)
  end
  error("did not come in time: " .. what, 2)
end

local Host = {}
Host.__index = Host

function M.folder() return shell "mktemp -d /tmp/stance-e2e-XXXXXX" end

--- A host that is up. options: folder (kept at the end when given), binary, flags, environment ("NAME=value ..."), workflows {name = text}.
function M.host(options)
  options = options or {}
  local self = setmetatable({ folder = options.folder or M.folder(), owns = not options.folder, flags = options.flags or "",
    environment = options.environment or "", binary = options.binary or binary }, Host)
  for name, text in pairs(options.workflows or {}) do M.write(("%s/scripts/workflows/%s.lua"):format(self.folder, name), text) end
  if options.workflows then self.flags = ("%s --workspace %s/scripts"):format(self.flags, self.folder) end
  self:start()
  return self
end

function Host:start()
  local ready = self.folder .. "/ready"
  os.remove(ready)
  local command = "%s %s serve --listen 127.0.0.1:%s --data %s/data --log-format json --ready-fd 3 %s 3>%s >/dev/null 2>>%s/log & echo $!"
  self.pid = tonumber(shell(command:format(self.environment, self.binary, self.port or 0, self.folder, self.flags, ready, self.folder)))
  local ok, line = pcall(M.eventually, "the host to be ready", 15, function()
    local text = read(ready)
    return text and text:find "\n" and text
  end)
  if not ok then error(("%s; its last words: %s"):format(line, self:log():sub(-500)), 2) end
  self.url = json.decode(line).url
  self.port = self.url:match ":(%d+)$" -- the same one after a restart
end

--- -> status, decoded body or text, headers
function Host:request(method, path, body, headers)
  headers = headers or {}
  if type(body) == "table" then
    body, headers["Content-Type"] = json.encode(body), "application/json"
  end
  local answer, why = http.request { method = method, url = self.url .. path, body = body, headers = headers, timeout = 60 }
  if not answer then return nil, why end
  local kind = answer.headers["content-type"] or ""
  return answer.status, kind:find "json" and not kind:find "ndjson" and json.decode(answer.body) or answer.body, answer.headers
end

function Host:get(path, headers) return self:request("GET", path, nil, headers) end

function Host:post(path, body, headers) return self:request("POST", path, body, headers) end

function Host:submit(job_type, params)
  local status, job = self:post("/api/jobs", { job_type = job_type, params = params or { nothing = nil } })
  assert(status == 201, type(job) == "table" and job.detail or tostring(job))
  return job.job_id
end

--- Waits for the end of a job, through restarts of the host.
function Host:wait(id, seconds)
  return M.eventually("the end of " .. id, seconds or 30, function()
    local status, job = self:get("/api/jobs/" .. id .. "?wait=1")
    return status == 200 and (job.status == "completed" or job.status == "failed" or job.status == "cancelled") and job
  end)
end

function Host:worker_pids()
  local pids = {}
  for pid in shell(("pgrep -P %d || true"):format(self.pid)):gmatch "%d+" do pids[#pids + 1] = tonumber(pid) end
  return pids
end

function Host:log() return read(self.folder .. "/log") or "" end

--- A process that has ended may stay in the table as a zombie until its new parent looks. Its first thread is one as soon as it has
--- ended itself: the locks and ports go with the last.
function Host:is_alive()
  local fields = {}
  for field in (read(("/proc/%d/stat"):format(self.pid)) or ""):gsub("^.*%) ", ""):gmatch "%S+" do fields[#fields + 1] = field end
  local state, threads = fields[1], tonumber(fields[18])
  return state ~= nil and (state ~= "Z" or threads > 1)
end

function Host:signal(name) shell(("kill -%s %d 2>/dev/null || true"):format(name, self.pid)) end

function Host:kill()
  self:signal "KILL"
  M.eventually("the end of the host", 5, function() return not self:is_alive() end)
end

function Host:stop()
  self:signal "TERM"
  M.eventually("the host to stop", 20, function() return not self:is_alive() end)
  if self.owns then shell("rm -rf " .. self.folder) end
end

return M
