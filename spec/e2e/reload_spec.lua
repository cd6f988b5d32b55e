-- Scripts of a running host are changed: with the real binary, as an operator does it.
local fiber, json, ws = require "fiber", require "json", require "ws"
local support = require "spec.e2e.support"

local head = 'local t = require "stance.schema"\n'

--- A workflow that waits for the signal `go` and then returns `answer`.
local function waiting(answer, more)
  return head .. ([[return { name = "greet", version = 1, params = t.object {}, %s
    run = function(job) job:step("begin", function() return true end) job:wait("go") return "%s" end }]]):format(more or "", answer)
end

local function host_with(options)
  options = options or {}
  return support.host { workflows = options.workflows or { greet = waiting "one" },
    flags = "--workers 1 " .. (options.watch and "" or "--no-watch ") .. (options.flags or "") }
end

local function script(host, path, text) support.write(host.folder .. "/scripts/" .. path, text) end

local function active(host) return select(2, host:get "/api/generations").active end

local function last_load(host) return select(2, host:get "/api/generations").loads[1] end

local function stance(host, command)
  return support.shell(("STANCE_URL=%s %s %s 2>&1; echo \"exit $?\""):format(host.url, support.absolute_binary, command))
end

local function finish(host, id)
  assert.equal(202, (host:post("/api/jobs/" .. id .. "/signals/go", {})))
  return host:wait(id).result
end

local function is_running(host, id)
  support.eventually("the start of " .. id, 10, function()
    return select(2, host:get("/api/jobs/" .. id)).status == "processing"
  end)
end

describe("a change of scripts", function()
  local host

  after_each(function() if host then host:stop() end host = nil end)

  it("is taken by itself; running jobs stay with what they began with, also after a kill", function()
    host = host_with { watch = true }
    local old = host:submit "greet"
    is_running(host, old)
    local before = active(host)
    script(host, "workflows/greet.lua", waiting "two")
    support.eventually("the new scripts", 10, function() return active(host) ~= before end)
    local new = host:submit "greet"
    host:kill()
    host:start()
    assert.equal("two", finish(host, new))
    assert.equal("one", finish(host, old))
    support.eventually("the end of the older worker", 15, function() return #select(2, host:get "/api/status").workers == 1 end)
  end)

  it("waits until a script that vanished for a moment is back", function()
    host = host_with { watch = true }
    local path = host.folder .. "/scripts/workflows/greet.lua"
    os.remove(path)
    fiber.sleep(0.4) -- longer than a change needs to be noticed
    script(host, "workflows/greet.lua", waiting "three")
    support.eventually("the new scripts", 10, function() return last_load(host).trigger == "change" end)
    for _, load in ipairs(select(2, host:get "/api/generations").loads) do assert.not_equal("failed", load.outcome) end
    local id = host:submit "greet"
    assert.equal("three", finish(host, id))
  end)

  it("comes by SIGHUP, by command, and goes back by command", function()
    host = host_with()
    local first = active(host)
    script(host, "workflows/greet.lua", waiting "two")
    host:signal "HUP"
    support.eventually("the new scripts", 10, function() return active(host) ~= first end)
    assert.equal("signal", last_load(host).trigger)
    assert.matches("unchanged .*exit 0$", stance(host, "reload"))
    script(host, "workflows/greet.lua", waiting "four")
    assert.matches("^active %x+ in %d+ ms\nexit 0$", stance(host, "reload"))
    assert.matches("^active " .. first, stance(host, "rollback " .. first:sub(1, 8)))
    assert.equal(first, active(host))
    assert.equal("one", finish(host, host:submit "greet"))
    assert.matches("^active %x+", stance(host, "rollback")) -- to what was active before
    assert.matches("%x+ +active .*last loads\n.*rollback +active", stance(host, "generations"))
    assert.matches("ffffffff is not known.*exit 3$", stance(host, "rollback ffffffff"))
    assert.matches("'xyz' is no generation.*exit %d$", stance(host, "rollback xyz"))
  end)
end)

describe("scripts that are broken", function()
  local host
  local cases = {
    { "syntax", "local x = = 1", "workflows/bad.lua:1: unexpected symbol near '='" },
    { "an error at load", "\nerror 'no way'", "workflows/bad.lua:2: no way" },
    { "an endless loop", "while true do end", "workflows/bad.lua:1: ran for more than" },
    { "an endless loop inside pcall", "while true do pcall(function() while true do end end) end", "ran for more than" },
    { "an endless loop in a coroutine", "coroutine.wrap(function() while true do end end)()", "ran for more than" },
    { "1 GB of strings", "local all = {} for i = 1, 1024 do all[i] = ('x'):rep(2 ^ 20) .. i end", "memory" },
    { "a pattern that never ends", "local _ = (('a'):rep(60)):find(('a-'):rep(40) .. 'b')", "did not load within 4 s" },
    { "a check that fails", head .. [[return { name = "bad", version = 1, params = t.object {}, run = function() end,
        check = function() return nil, "the key is missing" end }]], "the key is missing" },
    { "a wrong shape", head .. 'return { name = "other", version = 1, params = t.object {}, run = function() end }', "is named 'other'" },
  }

  setup(function() host = host_with { flags = "--load-slice 1.5 --load-timeout 4 --load-memory '128 MiB'" } end)
  teardown(function() host:stop() end)

  for _, case in ipairs(cases) do
    it("change nothing and are told by place and reason: " .. case[1], function()
      local before, answered, asking = active(host), 0, true
      script(host, "workflows/bad.lua", case[2])
      local watcher = fiber.spawn(function()
        while asking do
          assert.equal(200, (host:get "/health"))
          answered = answered + 1
          fiber.sleep(0.01)
        end
      end)
      local status, problem = host:post "/api/reload"
      asking = false
      assert(watcher:join())
      assert.is_true(answered > 0)
      assert.equal(422, status)
      assert.is_truthy(problem.detail:find(case[3], 1, true), problem.detail)
      assert.equal(before, active(host))
      assert.is_truthy(last_load(host).reason:find(case[3], 1, true))
      assert.is_truthy(host:log():find("the scripts were not taken, nothing has changed (command): ", 1, true))
      local _, metrics = host:get "/metrics"
      assert.is_truthy(metrics:find("generation_load_failed{at=", 1, true))
      local job = host:submit "greet"
      assert.equal("one", finish(host, job))
    end)
  end

  it("are told at the command line, with exit code 1", function()
    script(host, "workflows/bad.lua", "local x = = 1")
    assert.matches("workflows/bad.lua:1: unexpected symbol near '='\nnothing has changed.*\nexit 1$", stance(host, "reload"))
  end)

  it("are forgotten once they are mended", function()
    os.remove(host.folder .. "/scripts/workflows/bad.lua")
    script(host, "workflows/more.lua", head .. 'return { name = "more", version = 1, params = t.object {}, run = function() return 7 end }')
    assert.equal(200, (host:post "/api/reload"))
    assert.is_nil(select(2, host:get "/metrics"):find("generation_load_failed{", 1, true))
    assert.equal(7, host:wait(host:submit "more").result)
  end)
end)

describe("a host whose scripts are broken at its start", function()
  it("takes those that were active last", function()
    local host = host_with()
    local function answering(n)
      return ('return function(route) route.get "/extra" { doc = "x", handler = function() return 200, { n = %d } end } end'):format(n)
    end
    script(host, "api/extra.lua", answering(1))
    assert.equal(200, (host:post "/api/reload"))
    local good = active(host)
    script(host, "api/extra.lua", "while true do end")
    host:kill()
    host:start()
    assert.equal(good, active(host))
    assert.equal(1, select(2, host:get "/extra").n)
    assert.equal("restore", last_load(host).trigger)
    script(host, "api/extra.lua", answering(2))
    assert.equal(200, (host:post "/api/reload"))
    assert.equal(2, select(2, host:get "/extra").n)
    host:stop()
  end)
end)

describe("across a change of scripts", function()
  local host

  before_each(function() host = host_with() end)
  after_each(function() host:stop() end)

  it("requests that were begun are answered by the scripts that began them", function()
    local function slow(answer)
      return ([[return function(route) route.get "/slow" { doc = "x", handler = function()
        require("fiber").sleep(%s) return 200, { answer = "%s" } end } end]]):format(answer == "old" and "0.5" or "0", answer)
    end
    script(host, "api/slow.lua", slow "old")
    assert.equal(200, (host:post "/api/reload"))
    local begun = fiber.spawn(function() return host:get "/slow" end)
    fiber.sleep(0.1)
    script(host, "api/slow.lua", slow "new")
    assert.equal(200, (host:post "/api/reload"))
    assert.equal("new", select(2, host:get "/slow").answer)
    local _, status, body = begun:join()
    assert.same({ 200, "old" }, { status, body.answer })
    support.eventually("the end of the drain", 5, function()
      for _, one in ipairs(select(2, host:get "/api/generations").generations) do if one.state == "draining" then return false end end
      return true
    end)
  end)

  it("watchers of events are told to come again, and miss nothing", function()
    local socket = assert(ws.connect(host.url:gsub("^http", "ws") .. "/api/events?after=0"))
    script(host, "workflows/greet.lua", waiting "two")
    assert.equal(200, (host:post "/api/reload"))
    local why
    repeat
      local message
      message, why = socket:receive(10)
    until not message
    assert.equal(1001, why.close_code)
    local id = host:submit "greet"
    socket = assert(ws.connect(host.url:gsub("^http", "ws") .. "/api/events?after=0"))
    local event = assert(socket:receive(10))
    assert.equal(id, json.decode(event).job_id)
    socket:close()
  end)

  it("whoever waits for a job at the command line goes on waiting", function()
    local said = host.folder .. "/said"
    support.shell(("(STANCE_URL=%s %s job submit greet --wait >%s 2>&1; echo \"exit $?\" >>%s) >/dev/null 2>&1 &"):format(host.url,
      support.absolute_binary, said, said))
    local id = support.eventually("the job", 10, function()
      local job = select(2, host:get "/api/jobs").jobs[1]
      return job and job.status == "processing" and job.job_id
    end)
    script(host, "workflows/greet.lua", waiting "two")
    assert.equal(200, (host:post "/api/reload"))
    finish(host, id)
    local text = support.eventually("the end of the command", 10, function()
      local all = support.shell("cat " .. said)
      return all:find "exit %d" and all
    end)
    assert.matches("exit 0$", text)
  end)

  it("jobs that wait move to scripts that can migrate them", function()
    local later = select(2, host:post("/api/jobs", { job_type = "greet", delay_s = 3600 })).job_id
    local function version_two(migrate)
      return head .. ([[return { name = "greet", version = 2, params = t.object { whom = t.string }, migrate = function(state, from)
        %s end, run = function(_, p) return p.whom end }]]):format(migrate)
    end
    script(host, "workflows/greet.lua", version_two "return nil")
    assert.equal(200, (host:post "/api/reload"))
    local before = select(2, host:get("/api/jobs/" .. later)).generation
    assert.not_equal(active(host), before)
    script(host, "workflows/greet.lua", version_two "state.params.whom = 'version ' .. from return state")
    assert.equal(200, (host:post "/api/reload"))
    local job = support.eventually("the move", 5, function()
      local found = select(2, host:get("/api/jobs/" .. later))
      return found.generation ~= before and found
    end)
    assert.equal(active(host), job.generation)
    assert.equal("version 1", job.params.whom)
  end)

  it("state lives on, migrated by the version that needs it", function()
    local function counter(version, migrate)
      return ([[local state = require("stance.state").open("count", { version = %d, initial = %s, migrate = %s })
      return function(route) route.post "/count" { doc = "x", handler = function()
        return 200, { value = state:update(function(n)
          if type(n) == "table" then n.n = n.n + 1 return n end
          return n + 1
        end) } end } end]])
        :format(version, version == 1 and "0" or "{ n = 0 }", migrate or "nil")
    end
    script(host, "api/count.lua", counter(1))
    assert.equal(200, (host:post "/api/reload"))
    for i = 1, 3 do assert.equal(i, select(2, host:post "/count").value) end
    script(host, "api/count.lua", counter(2, "function(old, from) return { n = old * 10 + from } end"))
    assert.equal(200, (host:post "/api/reload"))
    assert.equal(32, select(2, host:post "/count").value.n)
  end)

  it("nothing is left behind", function()
    local function census()
      local fds = tonumber(support.shell(("ls /proc/%d/fd | wc -l"):format(host.pid)))
      local status = select(2, host:get "/api/status")
      return { fds = fds, workers = #status.workers, children = #host:worker_pids() }, status.memory_bytes
    end
    local function reload(n)
      script(host, "workflows/greet.lua", waiting("number " .. n))
      assert.equal(200, (host:post "/api/reload"))
    end
    local function settled()
      support.eventually("the drain", 20, function()
        local now = census()
        return now.workers == 1 and now.children == 1
      end)
    end
    for n = 1, 5 do reload(n) end
    settled()
    local before, memory_before = census()
    for n = 6, 30 do reload(n) end
    settled()
    local after, memory_after = census()
    assert.same({ before.workers, before.children }, { after.workers, after.children })
    assert.is_true(after.fds <= before.fds + 5, ("%d descriptors, then %d"):format(before.fds, after.fds)) -- readers of the database
    -- The heap grows by about 5 MB before it has all the room that it needs; 25 VMs that stay would be far more.
    assert.is_true(memory_after < memory_before + 8e6, ("%d bytes, then %d"):format(memory_before, memory_after))
  end)
end)

describe("a host whose program was replaced on disk", function()
  it("goes on with the program that it runs: workers and trials of new scripts", function()
    local folder = support.folder()
    local program = folder .. "/stance"
    support.shell(("cp %s %s"):format(support.absolute_binary, program))
    local host = support.host { folder = folder, workflows = { greet = waiting "one" }, flags = "--workers 1 --no-watch", binary = program,
      environment = "STANCE_LUA=" .. support.shell "realpath lua" }
    os.remove(program)
    support.shell("kill -9 " .. host:worker_pids()[1])
    script(host, "workflows/greet.lua", waiting "two")
    assert.equal(200, (host:post "/api/reload"))
    assert.equal("two", finish(host, host:submit "greet"))
    host:stop()
    support.shell("rm -rf " .. folder)
  end)
end)
