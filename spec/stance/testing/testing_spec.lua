-- The host in memory that operators' specs run on.
local testing = require "stance.testing"
local time = require "time"

local scripts = {
  ["workflows/plan.lua"] = [[
    local t = require "stance.schema"
    return { name = "plan", version = 1, params = t.object { pause = t.number { default = 0 }, fail = t.boolean { default = false } },
      run = function(job, p)
        local first = job:step("first", function(step) step:artifact("first.txt", "one") return 1 end)
        job:log("between")
        if p.pause > 0 then job:sleep(p.pause) end
        local second = job:step("second", function() if p.fail then error "no second" end return first + 1 end)
        return { sum = first + second }
      end }]],
  ["workflows/ask.lua"] = [[
    local t = require "stance.schema"
    return { name = "ask", version = 1, params = t.object {}, run = function(job) return job:wait("answer").text end }]],
  ["workflows/parent.lua"] = [[
    local t = require "stance.schema"
    return { name = "parent", version = 1, params = t.object {}, run = function(job)
      return { sum = job:spawn("plan", {}):join().sum }
    end }]],
  ["workflows/reach.lua"] = [[
    local t = require "stance.schema"
    return { name = "reach", version = 1, params = t.object { code = t.string },
      run = function(_, p) return assert(load(p.code))() end }]],
  ["workflows/draw.lua"] = [[
    local scene, t = require "scene", require "stance.schema"
    return { name = "draw", version = 1, params = t.object {}, run = function(job)
      return job:step("open", function(step)
        local body = step:try(scene.open "mannequin")
        for view in require("render").ring(body, { angles = 2, size = { 64, 64 } }) do
          step:artifact(view.name .. ".png", step:try(view:png()))
        end
        return { name = body:name(), vertices = body:vertices() }
      end)
    end }]],
  ["api/echo.lua"] = [[
    local t = require "stance.schema"
    return function(route, app)
      route.post "/api/echo/:name" { scope = "echo:say", body = t.object { text = t.string },
        query = t.object { times = t.integer { default = 1 } },
        handler = function(request)
          return 200, { text = request.body.text:rep(request.query.times), name = request.params.name }
        end }
      route.get "/api/stream" { handler = function()
        return 200, function(writer) writer:write "a" writer:write "b" end, { ["Content-Type"] = "text/plain" }
      end }
    end]],
}

describe("a host in memory", function()
  local host

  before_each(function() host = testing.host { scripts = scripts } end)

  it("runs a job to its end", function()
    local job = assert(host:submit "plan")
    assert.equal("pending", job.status)
    job:finish()
    assert.equal("completed", job.status)
    assert.same({ sum = 3 }, job.result)
    assert.same({ "first.txt" }, job:artifacts())
    assert.equal("one", job:read "first.txt")
    assert.equal("between", job:logs()[1].message)
    assert.equal("first", job:steps()[1].key)
  end)

  it("refuses what a host refuses", function()
    local job, why = host:submit("plan", { pause = "long" })
    assert.is_nil(job)
    assert.match("params.pause must be a number", why.message)
    job, why = host:submit "paln"
    assert.is_nil(job)
    assert.equal("not_found", why.code)
  end)

  it("passes an hour of sleep in a moment", function()
    local began, job = time.monotonic(), assert(host:submit("plan", { pause = 3600 }))
    local before = host:now()
    job:finish()
    assert.equal("completed", job.status)
    assert.is_true(host:now() - before >= 3600)
    assert.is_true(time.monotonic() - began < 60)
  end)

  it("says where a job is that does not end", function()
    local job = assert(host:submit("plan", { pause = 1e6 }))
    local ok, why = pcall(job.finish, job, 5)
    assert.is_false(ok)
    assert.match("is still processing after 5 s; step 'sleep' was its last", why)
  end)

  it("says what failed", function()
    local job = assert(host:submit("plan", { fail = true })):finish()
    assert.equal("failed", job.status)
    assert.match("workflows/plan.lua:7: no second$", job.error.message)
  end)

  it("kills the worker before a step is kept: it runs again, the ones before do not", function()
    local job = assert(host:submit "plan")
    job:kill_worker { step = "second" }
    job:finish()
    assert.same({ "completed", 1, 2 }, { job.status, job:runs "first", job:runs "second" })
    assert.same({ sum = 3 }, job.result)
  end)

  it("kills the worker after a step is kept: it does not run again", function()
    local job = assert(host:submit "plan")
    job:kill_worker { step = "first", when = "after" }
    job:finish()
    assert.same({ "completed", 1, 1 }, { job.status, job:runs "first", job:runs "second" })
    assert.equal(2, job.attempt)
  end)

  it("kills hosts and all workers", function()
    local job = assert(host:submit("plan", { pause = 100 })):finish_step "first"
    host:kill_workers()
    host:run(20)
    host:restart()
    job:finish()
    assert.same({ "completed", 1 }, { job.status, job:runs "first" })
  end)

  it("sends signals, cancels, retries", function()
    local asked = assert(host:submit "ask")
    host:run(1)
    assert(asked:signal("answer", { text = "yes" }))
    assert.equal("yes", asked:finish().result)
    local other = assert(host:submit "ask")
    host:run(1)
    assert(other:cancel())
    assert.equal("cancelled", other:finish().status)
    assert(other:retry())
    assert(other:signal("answer", { text = "late" }))
    assert.equal("late", other:finish().result)
  end)

  it("shows children", function()
    local job = assert(host:submit "parent"):finish()
    assert.same({ sum = 3 }, job.result)
    local children = job:children()
    assert.same({ 1, "plan", "completed" }, { #children, children[1].job_type, children[1].status })
  end)

  it("draws with the real modules", function()
    local job = assert(host:submit "draw"):finish()
    assert.equal("completed", job.status, job.error and job.error.message)
    assert.equal("mannequin", job.result.name)
    assert.equal(2, #job:artifacts())
    assert.equal("\137PNG", job:read(job:artifacts()[1]):sub(1, 4))
  end)

  for code, expected in pairs {
    ["io.open 'x'"] = "io.open: blocks the loop", ["os.exit(1)"] = "os.exit: would end the process",
    ["require 'lfs'"] = "module 'lfs' not found", ["require 'ffi'"] = "module 'ffi' not found",
  } do
    it("keeps from scripts what a host keeps from them: " .. code, function()
      local job = assert(host:submit("reach", { code = code })):finish()
      assert.equal("failed", job.status)
      assert.match(expected, job.error.message, 1, true)
    end)
  end

  it("takes stand-ins for modules", function()
    host = testing.host { scripts = scripts, modules = { http = { get = function(url) return { body = "got " .. url } end } } }
    local job = assert(host:submit("reach", { code = "return require('http').get('there').body" })):finish()
    assert.equal("got there", job.result)
  end)

  describe("answers requests", function()
    it("of the shipped routes", function()
      local answer = host:request("POST", "/api/jobs", { job_type = "plan", params = {} })
      assert.equal(201, answer.status)
      assert.equal("plan", host:job(answer.json.job_id):finish().job_type)
      assert.equal("one", host:request("GET", ("/api/jobs/%s/artifacts/first.txt"):format(answer.json.job_id)).body)
    end)

    it("of one's own, with their schemas", function()
      local answer = host:request("POST", "/api/echo/me?times=2", { text = "ab" })
      assert.same({ 200, { text = "abab", name = "me" } }, { answer.status, answer.json })
      answer = host:request("POST", "/api/echo/me", { text = 1 })
      assert.same({ 422, "body.text" }, { answer.status, answer.json.errors[1].path })
      assert.equal("ab", host:request("GET", "/api/stream").body)
      assert.equal(404, host:request("GET", "/api/nothing").status)
    end)

    it("by the policies in force", function()
      assert.is_true(host:allows "echo:say")
      local strict = testing.host { scripts = { ["api/echo.lua"] = scripts["api/echo.lua"],
        ["policies/scopes.lua"] = "return { ['local'] = { 'jobs:*' } }" } }
      local allowed, why = strict:allows "echo:say"
      assert.is_false(allowed)
      assert.equal("denied", why.code)
      assert.is_true(strict:allows "jobs:read")
      assert.equal(403, strict:request("POST", "/api/echo/me", { text = "ab" }).status)
    end)
  end)

  it("gives the same history for the same seed", function()
    local function history(seed)
      local lines, one = {}, testing.host { scripts = scripts, seed = seed, workers = 2 }
      for _ = 1, 4 do one:submit("plan", { pause = 2 }) end
      one:run(30)
      for i, line in ipairs(one.log) do lines[i] = line.process .. " " .. line.message end
      return table.concat(lines, "\n")
    end
    assert.equal(history(3), history(3))
  end)
end)
