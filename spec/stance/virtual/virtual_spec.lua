local time = require "time"
local virtual = require "stance.virtual"

local workflows = {
  ["workflows/walk.lua"] = [[
    local t = require "stance.schema"
    return { name = "walk", version = 1, params = t.object { steps = t.integer {}, pause = t.number { default = 0 } },
      run = function(job, p)
        local sum = 0
        for i = 1, p.steps do
          sum = sum + job:step("s", function(step) step:artifact(i .. ".txt", "step " .. i) return i end)
          if p.pause > 0 then job:sleep(p.pause) end
        end
        return { sum = sum }
      end }]],
  ["workflows/ask.lua"] = [[
    local t = require "stance.schema"
    return { name = "ask", version = 1, params = t.object {}, run = function(job) return job:wait("answer").text end }]],
}

describe("virtual machine", function()
  local library = virtual.library(workflows)

  local function new(options)
    options = options or {}
    options.library = library
    return virtual.new(options)
  end

  it("runs the real engine, hours in a moment", function()
    local machine = new()
    local host, began = machine:host { workers = 2 }, time.monotonic()
    local job = assert(host:submit { job_type = "walk", params = { steps = 3, pause = 3600 } })
    job = host:wait(job.job_id, 4 * 3600)
    assert.same({ "completed", 6, 3 }, { job.status, job.result.sum, job.artifacts })
    assert.equal("step 2", host:read(job.job_id, "2.txt"))
    assert.is_true(machine.scheduler.now > 1000 + 3 * 3600)
    assert.is_true(time.monotonic() - began < 60)
    assert.same({}, machine.scheduler.failures)
  end)

  it("passes signals on", function()
    local machine = new()
    local host = machine:host()
    local job = host:submit { job_type = "ask" }
    assert(host:signal(job.job_id, "answer", { text = "yes" }))
    assert.equal("yes", host:wait(job.job_id, 60).result)
  end)

  it("is the same from the same seed, and another from another", function()
    local function trace(seed)
      local lines = {}
      local machine = new { seed = seed, trace = function(line) lines[#lines + 1] = line end }
      local host = machine:host { workers = 2 }
      for _ = 1, 3 do host:submit { job_type = "walk", params = { steps = 2, pause = 1 } } end
      machine:run(20)
      return table.concat(lines, "\n")
    end
    local first = trace(5)
    assert.is_true(#first > 1000)
    assert.is_true(first == trace(5))
    assert.is_true(first ~= trace(6))
  end)

  describe("process that is killed", function()
    it("runs no further, and its successor finds what was kept", function()
      local machine = new()
      local host = machine:host()
      local job = host:submit { job_type = "walk", params = { steps = 4, pause = 10 } }
      machine:run(15)
      host:kill()
      machine:run(100)
      host = machine:host()
      job = host:wait(job.job_id, 100)
      assert.same({ "completed", 10, 2 }, { job.status, job.result.sum, job.attempt })
    end)

    it("leaves its calls without an answer", function()
      local machine = new()
      local host = machine:host()
      machine:inside(machine.client, function()
        local fiber = machine.client:require "fiber"
        local asked = fiber.spawn(function() return host:submit { job_type = "ask" } end)
        fiber.sleep(0)
        host:kill()
        local _, job, why = asked:join()
        assert.is_nil(job)
        assert.equal("closed", why.code)
      end)
    end)

    it("if it is a worker, is followed by another", function()
      local machine = new()
      local host = machine:host()
      local job = host:submit { job_type = "walk", params = { steps = 2, pause = 5 } }
      machine:run(2)
      host.children[1]:die { signal = 9 }
      job = host:wait(job.job_id, 60)
      assert.same({ "completed", 2 }, { job.status, job.attempt })
      assert.equal(1, host.children[1]:restarts())
    end)
  end)

  it("starts hosts whose scripts have changed, and workers that run the former ones", function()
    local machine = new()
    local host = machine:host()
    local old = host:submit { job_type = "ask" }
    machine:run(1)
    host:kill()
    local changes = { ["workflows/ask.lua"] = workflows["workflows/ask.lua"]:gsub("return job:wait%(\"answer\"%).text", "return 'new'") }
    host = machine:host { library = virtual.library(changes, "0123456789abcdef") }
    local new_job = host:submit { job_type = "ask" }
    assert.equal("new", host:wait(new_job.job_id, 60).result)
    assert(host:signal(old.job_id, "answer", { text = "old" }))
    assert.equal("old", host:wait(old.job_id, 60).result)
  end)

  it("reloads scripts under a running host: jobs go on with those that they began with", function()
    local machine = new()
    local host = machine:host()
    local old = host:submit { job_type = "ask" }
    machine:run(1)
    local changes = { ["workflows/ask.lua"] = workflows["workflows/ask.lua"]:gsub("return job:wait%(\"answer\"%).text", "return 'new'") }
    assert(host:reload(virtual.library(changes, "0123456789abcdef")))
    local new_job = host:submit { job_type = "ask" }
    assert.equal("new", host:wait(new_job.job_id, 60).result)
    assert(host:signal(old.job_id, "answer", { text = "old" }))
    old = host:wait(old.job_id, 60)
    assert.same({ "old", 1 }, { old.result, old.attempt })
    assert.same({}, machine.scheduler.failures)
  end)

  it("kills a worker that is silent for ten seconds", function()
    local machine = new()
    local host = machine:host()
    machine:run(1)
    local worker = host.children[1]
    local pid = worker:pid()
    worker:freeze(8)
    machine:run(9)
    assert.equal(pid, worker:pid())
    worker:freeze(20)
    machine:run(12)
    assert.is_true(worker:pid() ~= pid)
  end)

  it("stops in good order: workers give back what they have", function()
    local machine = new()
    local host = machine:host()
    local job = host:submit { job_type = "walk", params = { steps = 2, pause = 50 } }
    machine:run(10)
    host:stop()
    assert.equal("pending", machine.disk.db.query("SELECT status FROM jobs WHERE id = ?", job.job_id)[1].status)
  end)

  it("tells of fibers that failed", function()
    local machine = new()
    machine.client:spawn("bad", function() error "no luck" end)
    machine:run(1)
    assert.equal("bad", machine.scheduler.failures[1].fiber)
    assert.truthy(machine.scheduler.failures[1].reason:find("no luck", 1, true))
  end)

  it("sets only the wall clock", function()
    local machine = new { start = 1e9 }
    local wall, now = machine:wall(), machine.scheduler.now
    machine:jump(-3600)
    assert.same({ wall - 3600, now }, { machine:wall(), machine.scheduler.now })
    machine:inside(machine.client, function() assert.equal(1e9 - 3600, math.floor(machine.client:require("time").now())) end)
  end)
end)
