-- checks.lua - what must hold of a job's artifacts, whatever was killed on the way.
local crypto, fiber, http = require "crypto", require "fiber", require "http"
local assert = require "luassert"
local support = require "spec.e2e.support"

local M = {}

--- The artifacts of a job by name, each with its bytes; they are what their hashes say.
---@return table<string, string> bytes, integer count
function M.artifacts(host, id)
  local _, list = host:get("/api/jobs/" .. id .. "/artifacts")
  local found = {}
  for _, artifact in ipairs(list.artifacts) do
    local answer = assert(http.request { method = "GET", url = ("%s/api/jobs/%s/artifacts/%s"):format(host.url, id, artifact.name) })
    local bytes = answer.body -- as they are: host:get would decode JSON
    assert.equal(200, answer.status)
    assert.equal(artifact.sha256, crypto.sha256(bytes), artifact.name)
    assert.equal(artifact.size, #bytes)
    found[artifact.name] = bytes
  end
  return found, #list.artifacts
end

--- Each journalled step left its artifact's event exactly once, and the database is sound.
function M.committed_once(host, id)
  local seen, count = {}, 0
  local database = host.folder .. "/data/stance.db"
  local sql = "SELECT json_extract(data, '$.name') FROM events WHERE job_id = '%s' AND type = 'job.artifact'"
  for name in support.shell(("sqlite3 %s \"%s\""):format(database, sql:format(id))):gmatch "[^\n]+" do
    assert.is_nil(seen[name], name .. " was committed twice")
    seen[name], count = true, count + 1
  end
  assert.equal("ok", support.shell(("sqlite3 %s 'PRAGMA integrity_check'"):format(database)))
  return count
end

--- Kills a random worker, or the host and starts it again, `count` times, each `gap()` seconds after the job was seen running.
---@return integer kills that met the running job
function M.kill_at_random(host, id, count, gap)
  local seed = tonumber(os.getenv "STANCE_SEED" or "") or os.time()
  math.randomseed(seed)
  local function is_open(job) return job.status == "pending" or job.status == "processing" end
  for kills = 0, count - 1 do
    local job = support.eventually(("the job to run again (STANCE_SEED=%d)"):format(seed), 20, function()
      local status, now = host:get("/api/jobs/" .. id)
      return status == 200 and (now.status == "processing" or not is_open(now)) and now
    end)
    if not is_open(job) then return kills end
    fiber.sleep(gap())
    local pids = host:worker_pids()
    if math.random() < 0.5 and pids[1] then
      support.shell("kill -9 " .. pids[math.random(#pids)] .. " 2>/dev/null || true")
    else
      host:kill()
      host:start()
    end
  end
  return count
end

return M
