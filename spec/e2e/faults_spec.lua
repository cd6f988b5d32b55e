local fiber, json = require "fiber", require "json"
local checks, support = require "spec.e2e.checks", require "spec.e2e.support"
local shell, eventually = support.shell, support.eventually

local workflows = {
  files = [[
local t = require "stance.schema"
return { name = "files", version = 1, params = t.object { count = t.integer, size = t.integer { default = 20000 } },
  run = function(job, p)
    for i = 1, p.count do
      job:step("s" .. i, function(step) step:artifact(i .. ".txt", (job.id .. " " .. i .. "\n"):rep(p.size / 40)) end)
    end
    return { count = p.count }
  end }]],
  waits = [[
local t = require "stance.schema"
return { name = "waits", version = 1, params = t.object {}, run = function(job) return job:wait "go" end }]],
  loops = [[
local t = require "stance.schema"
return { name = "loops", version = 1, params = t.object {}, run = function() while true do end end }]],
}

--- A folder for a host that is not started by support.host's own rules; removed at the end of the spec.
local function folder_with_workflows()
  local folder = support.folder()
  finally(function() shell("rm -rf " .. folder) end)
  for name, text in pairs(workflows) do support.write(("%s/scripts/workflows/%s.lua"):format(folder, name), text) end
  return folder
end

--- Runs `stance serve` on a folder until it ends by itself. Returns its words and its status.
local function serve_in_vain(folder, prefix)
  local command = "%s timeout -s KILL 10 %s serve --listen 127.0.0.1:0 --data %s/data 2>&1 >/dev/null; echo status $?"
  local text = shell(command:format(prefix or "", support.binary, folder))
  return text:match "^(.-)%s*status (%d+)$"
end

local function count_lines(text, words)
  local count = 0
  for line in text:gmatch "[^\n]+" do if line:find(words, 1, true) then count = count + 1 end end
  return count
end

-- A file system of its own for a host: the mount ends with the process.
local mounts = shell "unshare -m true 2>/dev/null && echo yes" == "yes"
local function on_tmpfs(folder, options)
  shell(("mkdir -p %s/data"):format(folder))
  return ([[unshare -m sh -c 'mount -t tmpfs -o mode=700,%s tmpfs %s/data && exec "$0" "$@"']]):format(options, folder)
end

describe("a full disk", function()
  --- Fills it from outside; returns what makes room again.
  local function fill(host)
    local filler = ("/proc/%d/root%s/data/filler"):format(host.pid, host.folder)
    shell(("cat /dev/zero > %s 2>/dev/null || true"):format(filler))
    return function() shell("rm -f " .. filler) end
  end

  --- Submits until there is no room: what SQLite's log has room for is still taken.
  local function submit_until_full(host, accepted)
    for _ = 1, 400 do
      local status, job = host:post("/api/jobs", { job_type = "files", params = { count = 2 } })
      if status ~= 201 then return status, job end
      accepted[#accepted + 1] = job.job_id
    end
  end

  it("is a 507 in words, loses nothing, and is over when there is room again", function()
    if not mounts then return pending "file systems cannot be mounted here (no permission for unshare)" end
    local folder = folder_with_workflows()
    local host = support.host { folder = folder, environment = on_tmpfs(folder, "size=6m"),
      flags = ("--workers 2 --workspace %s/scripts"):format(folder) }
    finally(function() host:stop() end)
    local accepted = { host:submit "waits" }
    for _ = 1, 10 do -- these come due while nobody can claim them
      local _, job = host:post("/api/jobs", { job_type = "files", params = { count = 1 }, delay_s = 1.5 })
      accepted[#accepted + 1] = job.job_id
    end
    local make_room = fill(host)
    local status, problem = submit_until_full(host, accepted)
    assert.equal(507, status, json.encode(problem))
    assert.equal("no_space", problem.code)
    assert.truthy(problem.detail:find "full" or problem.detail:find "space", problem.detail)
    assert.equal(200, (host:get "/health"))
    assert.equal(200, (host:get "/api/jobs"))
    eventually("the workers to complain", 10, function() return host:log():find "cannot claim jobs" end)
    fiber.sleep(3)
    local complaints = count_lines(host:log(), "full") + count_lines(host:log(), "no space")
    assert.is_true(complaints <= 6, complaints .. " lines about one full disk")
    make_room()
    assert.equal(202, (host:post("/api/jobs/" .. accepted[1] .. "/signals/go", {})))
    accepted[#accepted + 1] = host:submit("files", { count = 1 })
    for _, id in ipairs(accepted) do assert.equal("completed", host:wait(id, 60).status) end
    checks.artifacts(host, accepted[2])
  end)
end)

describe("a data folder", function()
  it("on a read-only file system is refused in words", function()
    if not mounts then return pending "file systems cannot be mounted here (no permission for unshare)" end
    local folder = folder_with_workflows()
    local words, status = serve_in_vain(folder, on_tmpfs(folder, "size=1m,ro"))
    assert.equal("1", status)
    assert.truthy(words:find("read-only", 1, true), words)
    assert.truthy(words:find(folder, 1, true), words)
  end)

  --- A host that has run a job and was killed, so that its newest commits are in the log.
  local function left_behind()
    local folder = folder_with_workflows()
    local host = support.host { folder = folder, flags = ("--workers 1 --workspace %s/scripts"):format(folder) }
    local id = host:submit("files", { count = 2 })
    host:wait(id)
    return host, id
  end

  for name, case in pairs {
    ["whose database was cut"] = { stop = true, "truncate -s 8000 stance.db", "bring back a backup" },
    ["whose database was emptied"] = { stop = true, "truncate -s 0 stance.db", "bring back a backup" },
    ["whose database is something else"] = { stop = true, "head -c 50000 /dev/urandom > stance.db", "bring back a backup" },
    ["whose log is garbage"] = { "head -c 50000 /dev/urandom > stance.db-wal", "move that file away" },
    ["of a newer schema"] = { stop = true, "sqlite3 stance.db \"INSERT INTO schema_version VALUES (99, 'later', 0)\"", "run a newer one",
      status = "78" },
  } do
    it(name .. " is refused, and the words say what to do", function()
      local host = left_behind()
      host:signal(case.stop and "TERM" or "KILL")
      eventually("the end of the host", 15, function() return not host:is_alive() end)
      shell(("cd %s/data && %s"):format(host.folder, case[1]))
      local words, status = serve_in_vain(host.folder)
      assert.equal(case.status or "1", status, words)
      assert.truthy(words:find(case[2], 1, true), words)
    end)
  end

  it("that another process holds is refused, and says which", function()
    local host = left_behind()
    finally(function() host:stop() end)
    local words, status = serve_in_vain(host.folder)
    assert.equal("1", status)
    assert.truthy(words:find("in use by process " .. host.pid, 1, true), words)
  end)

  it("with half an object does not serve it as if it were whole", function()
    local host, id = left_behind()
    finally(function() host:stop() end)
    shell(("find %s/data/objects -type f -size +1k | xargs truncate -s 1000"):format(host.folder))
    local status, problem = host:get("/api/jobs/" .. id .. "/artifacts/1.txt")
    assert.same({ 500, "corrupt" }, { status, problem.code })
    assert.truthy(problem.detail:find("run the job again", 1, true), problem.detail)
    assert.equal(500, (host:post("/api/jobs/" .. id .. "/download", {})))
    assert.equal("completed", host:wait(host:submit("files", { count = 1 })).status)
  end)

  it("is whole after a SIGKILL at any moment of a host's first start", function()
    local folder = folder_with_workflows()
    local command = "%s serve --listen 127.0.0.1:0 --data %s/data --workers 1 --workspace %s/scripts >/dev/null 2>&1 & " ..
      "sleep %.3f; kill -9 $!; wait $! 2>/dev/null"
    for i = 0, 24 do
      if i % 5 == 0 then shell(("rm -rf %s/data"):format(folder)) end
      shell(command:format(support.binary, folder, folder, i * 0.006))
    end
    local host = support.host { folder = folder, flags = ("--workers 1 --workspace %s/scripts"):format(folder) }
    finally(function() host:stop() end)
    assert.equal("completed", host:wait(host:submit("files", { count = 1 })).status)
    assert.equal("ok", shell(("sqlite3 %s/data/stance.db 'PRAGMA integrity_check'"):format(folder)))
  end)
end)

describe("a host without descriptors", function()
  local function descriptors(pid) return tonumber(shell(("ls /proc/%d/fd | wc -l"):format(pid))) end

  local function limit(pid, count) shell(("prlimit --pid %d --nofile=%d:"):format(pid, count)) end

  it("says so once, answers those it has, and goes on when there are some again", function()
    if shell "command -v prlimit" == "" then return pending "prlimit is not installed" end
    local host = support.host { workflows = workflows, flags = "--workers 2" }
    finally(function() host:stop() end)
    local id = host:submit "waits"
    local before = shell(("prlimit --pid %d --nofile -o SOFT --noheadings"):format(host.pid))
    limit(host.pid, descriptors(host.pid) + 1)
    for _, pid in ipairs(host:worker_pids()) do limit(pid, descriptors(pid)) end
    local held = {} -- connections that ask for nothing
    local hold = "sleep 4 | timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/%s; cat' 2>/dev/null"
    for i = 1, 5 do held[i] = io.popen(hold:format(host.port)) end
    fiber.sleep(1)
    local busy = shell(("ps -o cputimes= -p %d"):format(host.pid))
    fiber.sleep(2)
    assert.is_true(shell(("ps -o cputimes= -p %d"):format(host.pid)) - busy <= 1, "the host spins")
    for _, pipe in ipairs(held) do pipe:close() end
    limit(host.pid, before)
    for _, pid in ipairs(host:worker_pids()) do limit(pid, before) end
    assert.equal(202, (host:post("/api/jobs/" .. id .. "/signals/go", {})))
    assert.equal("completed", host:wait(id).status)
    assert.equal("completed", host:wait(host:submit("files", { count = 3 })).status)
    local complaints = count_lines(host:log(), "no descriptor left")
    assert.is_true(complaints >= 1 and complaints <= 5, complaints .. " lines about one want of descriptors")
  end)

  it("lets artifacts of its workers wait until there are some", function()
    if shell "command -v prlimit" == "" then return pending "prlimit is not installed" end
    local host = support.host { workflows = workflows, flags = "--workers 1" }
    finally(function() host:stop() end)
    local worker = eventually("a worker", 5, function() return host:worker_pids()[1] end)
    assert.equal("completed", host:wait(host:submit("files", { count = 1 })).status)
    local before = shell(("prlimit --pid %d --nofile -o SOFT --noheadings"):format(worker))
    limit(worker, 3)
    local id = host:submit("files", { count = 3 })
    eventually("the job to say that it waits", 10, function()
      return json.encode(select(2, host:get("/api/jobs/" .. id .. "/logs"))):find "waits for the disk"
    end)
    limit(worker, before)
    assert.equal("completed", host:wait(id).status)
    assert.equal(3, select(2, checks.artifacts(host, id)))
  end)
end)

describe("SIGTERM", function()
  it("once drains: jobs that run are given back", function()
    local host = support.host { workflows = workflows, flags = "--workers 1" }
    local id = host:submit "waits"
    eventually("the start", 10, function() return select(2, host:get("/api/jobs/" .. id)).status == "processing" end)
    host:signal "TERM"
    eventually("the end of the host", 8, function() return not host:is_alive() end)
    assert.equal("pending 0", shell(("sqlite3 -separator ' ' %s/data/stance.db 'SELECT status, attempt FROM jobs'"):format(host.folder)))
    shell("rm -rf " .. host.folder)
  end)

  for name, case in pairs {
    ["twice ends a host at once whose worker is stuck"] = { signals = 2, flags = "--drain 60s" },
    ["once ends a host whose worker is stuck when the time to drain is over"] = { signals = 1, flags = "--drain 1s" },
  } do
    it(name, function()
      local host = support.host { workflows = workflows, flags = "--workers 1 " .. case.flags }
      local id = host:submit "loops"
      eventually("the start", 10, function() return select(2, host:get("/api/jobs/" .. id)).status == "processing" end)
      local worker = host:worker_pids()[1]
      for _ = 1, case.signals do
        assert.is_true(host:is_alive())
        host:signal "TERM"
        fiber.sleep(0.3)
      end
      eventually("the end of the host", 8, function() return not host:is_alive() end)
      eventually("the end of its worker", 5, function() return shell(("kill -0 %d 2>/dev/null || echo gone"):format(worker)) == "gone" end)
      host:start() -- and the job is not lost
      assert.equal(200, (host:get("/api/jobs/" .. id)))
      host:post("/api/jobs/" .. id .. "/cancel")
      host:kill()
      shell("rm -rf " .. host.folder)
    end)
  end
end)
