local fiber, json, ws = require "fiber", require "json", require "ws"
local checks, support = require "spec.e2e.checks", require "spec.e2e.support"

local workflows = {
  count = [[
local t = require "stance.schema"
return {
  name = "count", version = 1,
  params = t.object { steps = t.integer { default = 3, min = 0, max = 1000 }, pause = t.number { default = 0, min = 0 },
    fail_at = t.integer { optional = true } },
  run = function(job, p)
    local fiber = require "fiber"
    for i = 1, p.steps do
      job:step("s" .. i, function(step)
        if p.fail_at == i then error("step " .. i .. " was told to fail", 0) end
        fiber.sleep(p.pause)
        step:artifact(("n/%d.txt"):format(i), tostring(i))
      end)
      job:progress(i, p.steps)
      job:log("did " .. i)
    end
    return { steps = p.steps }
  end,
}]],
  waits = [[
local t = require "stance.schema"
return { name = "waits", version = 1, params = t.object {}, run = function(job) return { got = job:wait("go", 20) } end }]],
  family = [[
local t = require "stance.schema"
return { name = "family", version = 1, params = t.object { n = t.integer { default = 3 } },
  run = function(job, p)
    local children, sum = {}, 0
    for i = 1, p.n do children[i] = job:spawn("count", { steps = i }) end
    for _, child in ipairs(children) do sum = sum + child:join().steps end
    return { sum = sum }
  end }]],
  loops = [[
local t = require "stance.schema"
return { name = "loops", version = 1, params = t.object {}, run = function() while true do end end }]],
  fragile = [[
local t = require "stance.schema"
return { name = "fragile", version = 1, params = t.object {},
  run = function(job)
    local outcomes = job:each({ "a", "bad", "c" }, { concurrency = 3 }, function(_, item)
      job:progress(1, 3, item)
      if item == "bad" then require("fiber").sleep(60) end
    end)
    return { a = outcomes[1].ok, bad = outcomes[2].err.code, c = outcomes[3].ok }
  end }]],
  odd = [[
local t = require "stance.schema"
local ends = {
  a_function = function() return { f = print } end,
  a_circle = function() local c = {} c.c = c return c end,
  not_a_number = function() return { 0 / 0 } end,
  a_megabyte = function() return ("x"):rep(2 ^ 21) end,
  an_error_that_fails = function() error(setmetatable({}, { __tostring = function() error "ha" end })) end,
  a_long_error = function() error(("x"):rep(2 ^ 21), 0) end,
}
return { name = "odd", version = 1, params = t.object { which = t.string, in_step = t.boolean { default = false } },
  run = function(job, p)
    if p.in_step then job:step("s", ends[p.which]) else return ends[p.which]() end
  end }]],
  broken = "return {",
}

describe("a host", function()
  local host

  setup(function() host = support.host { workflows = workflows, flags = "--workers 2" } end)

  teardown(function() host:stop() end)

  it("is healthy and ready", function()
    assert.equal(200, (host:get "/health"))
    assert.equal(200, (host:get "/ready"))
  end)

  it("keeps its data folder to itself", function()
    assert.equal("700", support.shell(("stat -c %%a %s/data"):format(host.folder)))
  end)

  it("refuses a second host on the same folder", function()
    local command = "%s serve --listen 127.0.0.1:0 --data %s/data 2>&1; echo status $?"
    local text = support.shell(command:format(support.binary, host.folder))
    assert.truthy(text:find(tostring(host.pid), 1, true), text)
    assert.truthy(text:find("status 1", 1, true), text)
  end)

  it("runs a job and lists what it made", function()
    local id = host:submit("count", { steps = 3 })
    assert.truthy(id:match "^count_%d%d%d%d%d%d%d%d_%d%d%d%d%d%d_%x%x%x%x%x%x%x%x$", id)
    local job = host:wait(id)
    assert.equal("completed", job.status)
    assert.same({ steps = 3 }, job.result)
    assert.equal(1, job.attempt)
    local _, list = host:get("/api/jobs/" .. id .. "/artifacts")
    assert.equal(3, #list.artifacts)
    local status, text, headers = host:get("/api/jobs/" .. id .. "/artifacts/n/2.txt")
    assert.same({ 200, "2" }, { status, text })
    assert.truthy(headers.etag)
    assert.equal(304, (host:get("/api/jobs/" .. id .. "/artifacts/n/2.txt", { ["If-None-Match"] = headers.etag })))
  end)

  it("answers a submission sent twice under one key with the same job", function()
    local body, headers = { job_type = "count", params = { steps = 1 } }, { ["Idempotency-Key"] = '"abc"' }
    local status, first = host:post("/api/jobs", body, headers)
    assert.equal(201, status)
    local _, second = host:post("/api/jobs", body, headers)
    assert.equal(first.job_id, second.job_id)
    body.params.steps = 2
    assert.equal(409, (host:post("/api/jobs", body, headers)))
  end)

  for name, case in pairs {
    ["an unknown job type"] = { 404, { job_type = "nonsense" } },
    ["a workflow that does not load"] = { 422, { job_type = "broken" } },
    ["a param of the wrong type"] = { 422, { job_type = "count", params = { steps = "many" } } },
    ["an unknown param"] = { 422, { job_type = "count", params = { step = 1 } } },
    ["a body without job_type"] = { 422, { params = { steps = 1 } } },
    ["no JSON"] = { 400, "{" },
  } do
    it("refuses " .. name, function()
      local body = case[2]
      local status, problem = host:post("/api/jobs", type(body) == "table" and body or body, { ["Content-Type"] = "application/json" })
      assert.equal(case[1], status, json.encode(problem))
      assert.equal(case[1], problem.status)
      assert.truthy(problem.detail and problem.requestId)
    end)
  end

  it("says 404 for a job that is not there", function()
    for _, path in ipairs { "", "/logs", "/artifacts", "/artifacts/x" } do
      assert.equal(404, (host:get("/api/jobs/none_1" .. path)))
    end
    for _, verb in ipairs { "cancel", "retry", "download" } do
      assert.equal(404, (host:post("/api/jobs/none_1/" .. verb, { force = false })))
    end
  end)

  it("fails a job with its reason, and retries it from the failed step", function()
    local id = host:submit("count", { steps = 3, fail_at = 2 })
    local job = host:wait(id)
    assert.equal("failed", job.status)
    assert.truthy(job.reason:find("step 2 was told to fail", 1, true))
    assert.equal(200, (host:post("/api/jobs/" .. id .. "/retry")))
    assert.equal("failed", host:wait(id).status)
    local _, list = host:get("/api/jobs/" .. id .. "/artifacts")
    assert.equal(1, #list.artifacts)
  end)

  for which, code in pairs { a_function = "invalid", a_circle = "invalid", not_a_number = "invalid", a_megabyte = "too_large",
    an_error_that_fails = "script", a_long_error = "script" } do
    it(("fails a job that ends with %s, in a step too"):format(which:gsub("_", " ")), function()
      for _, in_step in ipairs { false, true } do
        local job = host:wait(host:submit("odd", { which = which, in_step = in_step }), 10)
        assert.same({ "failed", code }, { job.status, job.error.code })
        assert.is_true(#job.reason < 5000)
      end
    end)
  end

  it("cancels a running job at its next wait", function()
    local id = host:submit("count", { steps = 1000, pause = 0.05 })
    support.eventually("the start", 5, function() return select(2, host:get("/api/jobs/" .. id)).status == "processing" end)
    assert.equal(202, (host:post("/api/jobs/" .. id .. "/cancel")))
    assert.equal("cancelled", host:wait(id, 5).status)
    assert.equal(409, (host:post("/api/jobs/" .. id .. "/cancel")))
  end)

  it("keeps the log of a job, and follows it to the end", function()
    local id = host:submit("count", { steps = 3, pause = 0.05 })
    local _, text = host:get("/api/jobs/" .. id .. "/logs?follow=1")
    local lines = {}
    for line in text:gmatch "[^\n]+" do lines[#lines + 1] = json.decode(line).message end
    assert.same({ "did 1", "did 2", "did 3" }, lines)
    local _, page = host:get("/api/jobs/" .. id .. "/logs?limit=2")
    assert.equal(2, #page.entries)
    local _, rest = host:get(("/api/jobs/%s/logs?after=%d"):format(id, page.next))
    assert.equal(1, #rest.entries)
  end)

  it("delivers a signal", function()
    local id = host:submit "waits"
    assert.equal(202, (host:post("/api/jobs/" .. id .. "/signals/go", { n = 7 })))
    assert.same({ got = { n = 7 } }, host:wait(id).result)
  end)

  it("runs children", function()
    local id = host:submit("family", { n = 3 })
    assert.same({ sum = 6 }, host:wait(id).result)
    local _, list = host:get("/api/jobs?parent=" .. id)
    assert.equal(3, #list.jobs)
  end)

  it("writes artifacts into a folder on request", function()
    local id = host:submit("count", { steps = 2 })
    host:wait(id)
    local status, answer = host:post("/api/jobs/" .. id .. "/download", {  force = false })
    assert.equal(200, status, json.encode(answer))
    assert.equal("1", support.shell(("cat %s/n/1.txt"):format(answer.output_dir)))
    assert.equal(200, (host:post("/api/jobs/" .. id .. "/download", { force = false })))
    support.write(answer.output_dir .. "/n/1.txt", "mine")
    assert.equal(409, (host:post("/api/jobs/" .. id .. "/download", { force = false })))
    assert.equal(200, (host:post("/api/jobs/" .. id .. "/download", { force = true })))
    assert.equal("1", support.shell(("cat %s/n/1.txt"):format(answer.output_dir)))
    local code = host:post("/api/jobs/" .. id .. "/download", { output_dir = "/etc/stance-spec" })
    assert.equal(403, code)
  end)

  it("sends events over a WebSocket from a cursor on", function()
    local function read_all(after, wanted)
      local socket = assert(ws.connect(host.url:gsub("^http", "ws") .. "/api/events?after=" .. after))
      local types, last = {}, nil
      while #types < wanted do
        local event = json.decode((assert(socket:receive(10))))
        types[#types + 1], last = event.type, event.seq
      end
      socket:close()
      return types, last
    end
    local id = host:submit("count", { steps = 1 })
    host:wait(id)
    local all = read_all(0, 5)
    assert.equal("job.submitted", all[1])
    local _, first = read_all(0, 2)
    local rest = read_all(first, 3)
    assert.same({ all[3], all[4], all[5] }, rest)
  end)

  it("writes metrics that promtool takes", function()
    local status, text = host:get "/metrics"
    assert.equal(200, status)
    assert.truthy(text:find("jobs_submitted_total", 1, true))
    support.write(host.folder .. "/metrics", text)
    local verdict = support.shell(("promtool check metrics < %s/metrics 2>&1; echo status $?"):format(host.folder))
    if verdict:find "not found" then return pending "promtool is not installed" end
    assert.equal("status 0", verdict)
  end)

  it("fails the step that crashes its worker, and only that", function()
    local id = host:submit "fragile"
    local before
    for _ = 1, 3 do -- the first crash has several suspects, then steps go one at a time
      support.eventually("the bad step", 10, function()
        local _, job = host:get("/api/jobs/" .. id)
        if job.status ~= "processing" or job.worker == before or not job.progress or job.progress.note == "a" then return false end
        before = job.worker
        return true
      end)
      fiber.sleep(0.3)
      support.shell("kill -SEGV " .. before:match "%d+$")
    end
    assert.same({ a = true, bad = "crashed", c = true }, host:wait(id, 20).result)
  end)

  it("kills a worker that does not answer, and calls its job poison at last", function()
    local other = support.host { workflows = workflows, flags = "--workers 1 --job-max-attempts 1" }
    finally(function() other:stop() end)
    local id = other:submit "loops"
    local pids = support.eventually("a worker", 5, function()
      local list = other:worker_pids()
      return select(2, other:get("/api/jobs/" .. id)).status == "processing" and list[1] and list
    end)
    support.shell("kill -9 " .. pids[1]) -- the supervisor would do it after ten seconds of silence
    local job = other:wait(id, 20)
    assert.equal("failed", job.status)
    assert.equal("poison", job.error.code)
    assert.equal("completed", other:wait(other:submit("count", { steps = 1 }), 20).status)
  end)
end)

describe("a job", function()
  it("survives twenty random kills of workers and hosts", function()
    local host = support.host { workflows = workflows, flags = "--workers 2 --job-max-attempts 100" }
    finally(function() host:stop() end)
    local id = host:submit("count", { steps = 48, pause = 0.06 })
    assert.equal(20, checks.kill_at_random(host, id, 20, function() return 0.02 + math.random() * 0.13 end))
    local job = host:wait(id, 60)
    assert.equal("completed", job.status, json.encode(job))
    assert.equal(48, select(2, checks.artifacts(host, id)))
    assert.equal(48, checks.committed_once(host, id))
  end)

  it("goes on with its own scripts when they have changed meanwhile", function()
    local host = support.host { workflows = { steady = [[
local t = require "stance.schema"
return { name = "steady", version = 1, params = t.object {}, run = function(job)
  job:step("pause", function() require("fiber").sleep(1) end)
  return { version = 1 }
end }]] } }
    finally(function() host:stop() end)
    local id = host:submit "steady"
    support.eventually("the start", 5, function() return select(2, host:get("/api/jobs/" .. id)).status == "processing" end)
    host:kill()
    support.write(host.folder .. "/scripts/workflows/steady.lua", [[
local t = require "stance.schema"
return { name = "steady", version = 2, params = t.object {}, run = function() return { version = 2 } end }]])
    host:start()
    assert.same({ version = 1 }, host:wait(id).result)
    assert.same({ version = 2 }, host:wait(host:submit "steady").result)
  end)

  it("of scripts that are gone can be retried", function()
    local host = support.host { workflows = workflows }
    finally(function() host:stop() end)
    local id = host:submit("count", { steps = 3, fail_at = 2 })
    host:wait(id)
    host:kill()
    support.write(host.folder .. "/scripts/workflows/count.lua", "return nil")
    host:start()
    assert.equal(200, (host:post("/api/jobs/" .. id .. "/retry")))
    local job = host:wait(id, 10)
    assert.same({ "failed", 2 }, { job.status, job.attempt })
    assert.truthy(job.reason:find("step 2 was told to fail", 1, true))
  end)

  it("is there after a SIGTERM that came at once", function()
    local host = support.host { workflows = workflows }
    finally(function() host:stop() end)
    local id = host:submit("count", { steps = 5, pause = 0.1 })
    host:signal "TERM"
    support.eventually("the end of the host", 15, function() return not host:is_alive() end)
    host:start()
    local job = host:wait(id)
    assert.equal("completed", job.status)
  end)
end)
