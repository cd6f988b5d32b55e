--- templates.lua - the texts of `stance new`. NAME stands for the name; in the texts everything works as it is.
local M = {}

local texts = {}

texts.workflow = [=[
--- workflows/NAME.lua - greets everybody: a first version, to be made into what you need.
---
---     stance job submit NAME -p 'names=["ann","bob"]' --wait
---
--- A job's steps are journalled: whatever is killed on the way, a finished step does not run again. So what happens between steps
--- must come to the same steps each time, and everything that costs or that others see belongs into one.
local json = require "json"
local t = require "stance.schema"

return {
  name = "NAME", version = 1,

  -- What a job is given; checked before it is accepted. There are t.integer, number, string, boolean, path, size, any, and
  -- t.enum { ... }, t.list(type), t.map(type), t.object { ... }.
  params = t.object {
    names = t.list(t.string { min = 1, max = 100 }) { default = { "world" }, min = 1, max = 1000, doc = "who is greeted" },
    pause = t.number { default = 0, min = 0, max = 86400, unit = "s", doc = "before the greetings begin" },
  },

  estimate = function(p) return { greetings = #p.names } end,

  ---@param job stance.job
  ---@param p { names: string[], pause: number }
  run = function(job, p)
    if p.pause > 0 then job:sleep(p.pause) end -- goes on counting while the host is down

    -- A step for each, four at once; one that fails is tried again, and does not end the others.
    local outcomes = job:each(p.names, { retries = 2, timeout = 60 }, function(step, name, i)
      local text = ("Hello, %s!\n"):format(name)
      step:artifact(("greeting-%d.txt"):format(i), text)
      return { name = name, bytes = #text }
    end)

    local greeted = {}
    for _, outcome in ipairs(outcomes) do
      if outcome.ok then greeted[#greeted + 1] = outcome.result
      else job:log("warn", "not greeted", { name = outcome.item, reason = outcome.err.message }) end
    end
    job:progress(#greeted, #p.names)
    job:step("summary", function(step) step:artifact("summary.json", json.encode(greeted)) end)
    return { greeted = #greeted } -- the job's result: at most 1 MiB of what JSON can carry
  end,
}
]=]

texts.workflow_spec = [=[
-- Specs of workflows/NAME.lua: `stance test`. The host lies in memory, and its clock jumps: an hour of sleep takes a moment.
local testing = require "stance.testing"

describe("NAME", function()
  local host

  before_each(function() host = testing.host() end)

  it("greets everybody", function()
    local job = assert(host:submit("NAME", { names = { "ann", "bob" } })):finish()
    assert.equal("completed", job.status)
    assert.same({ greeted = 2 }, job.result)
    assert.same({ "greeting-1.txt", "greeting-2.txt", "summary.json" }, job:artifacts())
    assert.equal("Hello, bob!\n", job:read "greeting-2.txt")
  end)

  it("wants somebody to greet", function()
    local job, why = host:submit("NAME", { names = {} })
    assert.is_nil(job)
    assert.match("params.names must have 1 to 1000 entries", why.message)
  end)

  it("goes on where it was when its worker is killed", function()
    local job = assert(host:submit("NAME", { names = { "ann" }, pause = 3600 }))
    job:kill_worker { step = "each/ann", when = "after" } -- "before": before the step is kept, so that it runs again
    job:finish()
    assert.equal("completed", job.status)
    assert.equal(1, job:runs "each/ann")
  end)
end)
]=]

texts.route = [=[
--- api/NAME.lua - a route of your own: a first version, to be made into what you need.
---
---     curl 'http://127.0.0.1:5001/api/NAME/ann?times=2'
local err = require "stance.err"
local t = require "stance.schema"

---@param route stance.Router
---@param app stance.app
return function(route, app)
  route.get "/api/NAME/:name" {
    doc = "Greets somebody who is asked for by name.",
    scope = "jobs:read", -- who may: policies/scopes.lua says who has it
    query = t.object { times = t.integer { default = 1, min = 1, max = 10, doc = "how often" } },
    answers = { [200] = t.object { greeting = t.string, pending = t.integer }, [404] = route.problem },
    handler = function(request)
      local name = request.params.name
      if name == "nobody" then return nil, err("not_found", "there is nobody") end -- 404 as application/problem+json
      local counts, why = app.jobs:counts()
      if not counts then return nil, why end
      return 200, { greeting = ("Hello, " .. name .. "! "):rep(request.query.times), pending = counts.pending }
    end,
  }
end
]=]

texts.route_spec = [=[
-- Specs of api/NAME.lua: `stance test`. Requests go through matching, schemas and access as in a host, without a socket.
local testing = require "stance.testing"

describe("GET /api/NAME/:name", function()
  local host

  before_each(function() host = testing.host() end)

  it("greets", function()
    local answer = host:request("GET", "/api/NAME/ann?times=2")
    assert.equal(200, answer.status)
    assert.same({ greeting = "Hello, ann! Hello, ann! ", pending = 0 }, answer.json)
  end)

  it("does not know nobody", function()
    local answer = host:request("GET", "/api/NAME/nobody")
    assert.equal(404, answer.status)
    assert.equal("there is nobody", answer.json.detail)
  end)

  it("greets ten times at most", function()
    assert.equal(422, host:request("GET", "/api/NAME/ann?times=11").status)
  end)
end)
]=]

texts.policy_spec = [=[
-- Specs of policies/NAME.lua: `stance test`.
local testing = require "stance.testing"

describe("the policy NAME", function()
  it("lets the machine's own people submit jobs", function()
    local host = testing.host()
    assert.is_true(host:allows "jobs:write")
    assert.equal(200, host:request("GET", "/api/jobs").status)
  end)

  it("may be stricter", function()
    local host = testing.host { scripts = { ["policies/NAME.lua"] = "return { ['local'] = { 'jobs:read' } }" } }
    assert.is_false(host:allows "jobs:write")
    assert.equal(403, host:request("POST", "/api/jobs", { job_type = "render" }).status)
  end)
end)
]=]

texts.doctor = [=[
--- doctor/NAME.lua - a check of your own for `stance doctor`.
---
--- Each call of report makes a line: ok(text), warn(text, remedy), fail(text, remedy). With a fail `stance doctor` ends with 1.
local fs = require "fs"

return {
  name = "NAME",

  ---@param report stance.doctor.report
  run = function(report)
    local found = fs.stat "/etc/hostname"
    if found then report:ok(("/etc/hostname has %d bytes"):format(found.size))
    else report:warn("/etc/hostname is not there", "give this machine a name: hostnamectl hostname NAME") end
  end,
}
]=]

texts.test = [=[
-- NAME_spec.lua: run with `stance test`.
local testing = require "stance.testing"

describe("NAME", function()
  local host

  before_each(function() host = testing.host() end)

  it("runs jobs in memory", function()
    local workflow = [[
      local t = require "stance.schema"
      return { name = "wait", version = 1, params = t.object {}, run = function(job) job:sleep(3600) return "late" end }
    ]]
    host = testing.host { scripts = { ["workflows/wait.lua"] = workflow } }
    local job = assert(host:submit "wait"):finish()
    assert.equal("late", job.result)
  end)

  it("answers requests without a socket", function()
    assert.equal(200, host:request("GET", "/health").status)
  end)
end)
]=]

M.luacheckrc = [=[
-- For luacheck: scripts are LuaJIT without what blocks a host; nothing may make or read a global of its own.
std = "luajit"
not_globals = { "io", "dofile", "loadfile", "newproxy", "getfenv", "gcinfo" }
max_line_length = 140
self = false
files["spec"] = { std = "+busted" }
]=]

M.luarc = [=[
{
  "runtime.version": "LuaJIT",
  "runtime.path": ["?.lua"],
  "workspace.library": [LUA_DIR],
  "workspace.checkThirdParty": false,
  "diagnostics.globals": ["describe", "context", "it", "setup", "teardown", "before_each", "after_each", "finally", "pending"]
}
]=]

--- The text of a template; nil when there is none of that name.
---@param name string
---@param value string what NAME becomes
---@return string|nil
function M.fill(name, value)
  local text = texts[name]
  return text and (text:gsub("NAME", (value:gsub("%%", "%%%%"))))
end

local try = {
  workflow = "stance serve%s\n  stance job submit NAME -p 'names=[\"ann\",\"bob\"]' --wait     in another terminal",
  route = "stance serve%s\n  curl 'http://127.0.0.1:5001/api/NAME/ann?times=2'           in another terminal",
  policy = "stance serve%s",
  doctor = "stance doctor%s",
}

--- What to do next, word for word.
---@param kind string
---@param name string
---@param flag string
---@return string
function M.hint(kind, name, flag)
  local lines = { "Next:", ("  stance check%s"):format(flag), ("  stance test%s"):format(flag) }
  if try[kind] then lines[#lines + 1] = "  " .. try[kind]:format(flag):gsub("NAME", name) end
  return table.concat(lines, "\n")
end

return M
