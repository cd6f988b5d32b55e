-- engine_spec.lua - the job engine whole, on a virtual machine: what once went wrong between its parts.
local err = require "stance.err"
local virtual = require "stance.virtual"

local library = virtual.library {
  ["workflows/walk.lua"] = [[
    local fiber, t = require "fiber", require "stance.schema"
    return { name = "walk", version = 1, retries = 2, params = t.object { steps = t.integer {}, pause = t.number { default = 0 } },
      run = function(job, p)
        for i = 1, p.steps do job:step("s", function() fiber.sleep(p.pause) return i end) end
        return "there"
      end }]],
  ["workflows/ask.lua"] = [[
    local t = require "stance.schema"
    return { name = "ask", version = 1, params = t.object {}, run = function(job) return job:wait("answer") end }]],
  ["workflows/paint.lua"] = [[
    local fiber, t = require "fiber", require "stance.schema"
    return { name = "paint", version = 1, params = t.object {}, run = function(job)
      fiber.sleep(10)
      job:step("a", function(step) step:artifact("a.txt", "red") step:artifact("b/c.txt", "green") end)
      return { pots = 2 }
    end }]],
  ["workflows/look.lua"] = [[
    local t = require "stance.schema"
    return { name = "look", version = 1, params = t.object { at = t.string }, run = function(job, p)
      local other, names = job:other(p.at), {}
      local result, why = other:join()
      if why then error(why, 0) end
      for i, artifact in ipairs(other:artifacts()) do names[i] = artifact.name end
      return { result.pots, names, (other:read_artifact "a.txt"), select(2, other:read_artifact "none").code }
    end }]],
  ["workflows/stumble.lua"] = [[
    local err, lots, t = require "stance.err", require "lots", require "stance.schema"
    return { name = "stumble", version = 1, retries = 2, params = t.object {}, run = function(job)
      job:sleep(5)
      if lots.next() then error(err("io", "no luck"), 0) end
      return "there"
    end }]],
}

describe("job engine", function()
  local machine, host, failures

  before_each(function()
    failures = 0
    local lots = { next = function()
      failures = failures - 1
      return failures >= 0
    end }
    machine = virtual.new { library = library, modules = { lots = lots }, settings = { job_lease = 30 } }
  end)

  local function start(workers) host = machine:host { workers = workers or 1 } end

  local function submit(job_type, params) return assert(host:submit { job_type = job_type, params = params }).job_id end

  local function row(id) return machine.disk.db.query("SELECT * FROM jobs WHERE id = ?", id)[1] end

  --- Seconds until the job has completed, which it must.
  local function takes(id, most)
    local began = machine.scheduler.now
    local job = host:wait(id, most)
    assert.same({ "completed", nil }, { job.status, job.reason })
    return machine.scheduler.now - began
  end

  it("does not give a worker that stops what it has just given back", function()
    start(1)
    local id = submit("walk", { steps = 1, pause = 100 })
    machine:run(5)
    machine:inside(host.process, function() host.workers:stop(30) end)
    assert.same({ "pending", 0, 0 }, { row(id).status, row(id).attempt, row(id).poison })
  end)

  it("lets a job wait for another, and read what that made", function()
    start(1)
    local painted = submit "paint"
    local looks = submit("look", { at = painted })
    takes(looks, 60)
    assert.same({ 2, { "a.txt", "b/c.txt" }, "red", "not_found" }, host:wait(looks, 1).result)
    local nothing = host:wait(submit("look", { at = "paint_20200101_000000_00000000" }), 60)
    assert.same({ "failed", "not_found" }, { nothing.status, nothing.error.code })
  end)

  it("keeps a job that the same worker has claimed twice", function()
    start(1)
    local id = submit "ask"
    machine:run(5)
    machine.disk.db.exec("UPDATE jobs SET lease_until = 0 WHERE id = ?", id) -- as if the lease had run out
    machine:run(300)
    assert.same({ "processing", 2, 1 }, { row(id).status, row(id).epoch, row(id).poison })
    assert(host:signal(id, "answer", "yes"))
    takes(id, 10)
  end)

  it("goes on from the journal when answers of the host are lost", function()
    start(1)
    local id = submit("walk", { steps = 5, pause = 1 })
    machine:run(2.5)
    local lost = 0
    machine.trouble.link = function(_, way, kind)
      if way == "down" and kind == "reply" and lost < 3 then
        lost = lost + 1
        return "drop"
      end
    end
    takes(id, 200)
    assert.equal(3, lost)
  end)

  it("is patient with a database that is busy", function()
    start(1)
    local id = submit("walk", { steps = 3, pause = 1 })
    machine:run(0.5)
    local refusals = 0
    machine.trouble.db = function(_, call)
      if call == "query" or refusals > 6 then return nil end
      refusals = refusals + 1
      return err("busy", "the file is locked")
    end
    takes(id, 60)
    assert.equal(1, row(id).attempt)
  end)

  it("does not take a death of the worker for a failure of the run", function()
    start(1)
    failures = 2
    local id = submit "stumble"
    for _ = 1, 3 do
      machine:run(2)
      host.children[1]:die { signal = 9 }
      machine:run(1)
    end
    takes(id, 60)
    assert.equal(2, row(id).failures)
  end)

  for name, jump in pairs { ["set back"] = -3600, ["set forward"] = 3600 } do
    context("when the wall clock is " .. name, function()
      it("keeps leases, delays and deadlines", function()
        start(1)
        failures = 1
        local id = submit "stumble"
        local late = assert(host:submit { job_type = "walk", params = { steps = 1 }, delay_s = 30, deadline_s = 60 }).job_id
        machine:run(5.5) -- it waits for its second try
        machine:jump(jump)
        assert.is_true(takes(id, 60) < 10)
        machine:run(5)
        assert.equal("pending", row(late).status)
        assert.is_true(takes(late, 60) < 25)
        assert.same({ 0, 0 }, { row(id).poison, row(late).poison })
      end)
    end)
  end

  it("waits no longer than a delay when the clock was set back over a restart", function()
    start(1)
    local id = assert(host:submit { job_type = "walk", params = { steps = 1 }, delay_s = 30 }).job_id
    host:kill()
    machine:jump(-3600)
    start(1)
    assert.is_true(takes(id, 100) < 32)
  end)
end)
