local fiber, json = require "fiber", require "json"
local job_api = require "stance.job"
local err = require "stance.err"

-- A host that keeps a job's journal in memory.
local function fake_host()
  local host = { steps = {}, notes = {}, refuse = nil }
  function host.call(op, fields)
    if host.refuse then return nil, host.refuse end
    if op == "step" then
      local step = fields.step
      host.steps[#host.steps + 1] = { key = step.key, result = json.encode(step.result), error = step.error and json.encode(step.error) }
    end
    if fields.note then host.notes[#host.notes + 1] = fields.note end
    return true
  end
  function host.job(attempt)
    return job_api.new { claim = { id = "t_1", type = "t", attempt = attempt or 1, epoch = attempt or 1, journal = host.steps,
        careful = host.careful },
      call = host.call, slot = function() end }
  end
  return host
end

describe("job", function()
  local host, job

  before_each(function()
    host = fake_host()
    job = host.job()
  end)

  after_each(function() job:close() end)

  local function resume()
    job:close()
    job = host.job(2)
  end

  describe("step", function()
    it("runs once, and returns the same after a restart", function()
      local runs = 0
      local function body() runs = runs + 1 return { n = runs } end
      assert.same({ n = 1 }, job:step("a", body))
      resume()
      assert.same({ n = 1 }, job:step("a", body))
      assert.equal(1, runs)
    end)

    it("that returns nothing is done too", function()
      local runs = 0
      job:step("a", function() runs = runs + 1 end)
      resume()
      assert.is_nil(job:step("a", function() runs = runs + 1 end))
      assert.equal(1, runs)
    end)

    it("may have the same name as another", function()
      assert.equal(1, job:step("a", function() return 1 end))
      assert.equal(2, job:step("a", function() return 2 end))
      resume()
      assert.equal(1, job:step("a", function() return 3 end))
      assert.equal(2, job:step("a", function() return 3 end))
      assert.equal(3, job:step("a", function() return 3 end))
    end)

    it("raises its error, now and after a restart", function()
      local function body() error(err("io", "the disk is gone"), 0) end
      for _ = 1, 2 do
        local ok, why = pcall(job.step, job, "a", body)
        assert.is_false(ok)
        assert.equal("io", why.code)
        assert.equal("the disk is gone", tostring(why))
        resume()
      end
    end)

    it("is tried again as often as it says", function()
      local runs = 0
      assert.equal("fine", job:step("a", { retries = 2, backoff = 0.001 }, function()
        runs = runs + 1
        if runs < 3 then error("not yet") end
        return "fine"
      end))
      assert.equal(3, runs)
    end)

    it("is not tried again when that cannot help", function()
      local runs = 0
      pcall(job.step, job, "a", { retries = 5 }, function(step)
        runs = runs + 1
        step:try(nil, err("invalid", "no skeleton"))
      end)
      assert.equal(1, runs)
    end)

    it("ends at its timeout", function()
      local ok, why = pcall(job.step, job, "a", { timeout = 0.01 }, function() fiber.sleep(10) end)
      assert.is_false(ok)
      assert.equal("timeout", why.code)
    end)

    it("is not journalled when its fiber is cancelled", function()
      local runner = fiber.spawn(function() job:step("a", function() fiber.sleep(10) end) end)
      fiber.sleep(0)
      runner:cancel()
      assert.is_false((runner:join()))
      assert.same({}, host.steps)
    end)

    it("that crashed the worker twice fails, and nothing else does", function()
      host.steps = { { key = "bad", crashes = 2 }, { key = "good", crashes = 1 } }
      host.careful = true
      resume()
      local ok, why = pcall(job.step, job, "bad", function() error "must not run" end)
      assert.is_false(ok)
      assert.equal("crashed", why.code)
      assert.equal("fine", job:step("good", function() return "fine" end))
    end)

    it("that lost its lease stops the run", function()
      host.refuse = err("conflict", "somebody else has it")
      local ok, why = pcall(job.step, job, "a", { retries = 5 }, function() return 1 end)
      assert.is_false(ok)
      assert.equal("conflict", why.code)
      assert.is_true(job.lost)
    end)
  end)

  describe("whose host cannot be reached", function()
    it("does nothing more, whatever its run makes of it", function()
      host.refuse = err("timeout", "no reply in time")
      local ok, why = pcall(job.step, job, "a", { retries = 5 }, function() return 1 end)
      assert.same({ false, "timeout" }, { ok, why.code })
      host.refuse = nil
      assert.is_false((pcall(job.step, job, "b", function() return 2 end)))
      assert.is_false((pcall(job.each, job, { 1, 2 }, function() return 3 end)))
      assert.same({}, host.steps)
      assert.equal("timeout", job.adrift.code)
    end)

    it("tells a step's own failure from that", function()
      pcall(job.step, job, "a", function() error(err("timeout", "too slow"), 0) end)
      assert.is_nil(job.adrift)
      assert.equal(1, #host.steps)
    end)
  end)

  describe("artifact", function()
    for _, name in ipairs { "", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\nb", "a\\b" } do
      it(("refuses the name %q"):format(name), function()
        assert.has_error(function() job:artifact(name, "x") end)
      end)
    end

    it("commits with its step", function()
      job:step("a", function(step) step:artifact("x/y.png", "bytes") end)
      local artifact = host.notes[#host.notes].artifacts[1]
      assert.equal("x/y.png", artifact.name)
      assert.equal("image/png", artifact.media_type)
      assert.equal(5, artifact.size)
    end)

    it("of a step that failed is dropped", function()
      pcall(job.step, job, "a", function(step)
        step:artifact("x.png", "bytes")
        error "no"
      end)
      for _, note in ipairs(host.notes) do assert.is_nil(note.artifacts) end
    end)
  end)

  describe("each", function()
    it("lets one item fail alone", function()
      local outcomes = job:each({ "a", "b", "c" }, function(_, item)
        if item == "b" then error(err("invalid", "bad"), 0) end
        return item:upper()
      end)
      assert.same({ true, false, true }, { outcomes[1].ok, outcomes[2].ok, outcomes[3].ok })
      assert.equal("A", outcomes[1].result)
      assert.equal("bad", tostring(outcomes[2].err))
    end)

    it("runs no item again that is journalled", function()
      local runs = {}
      local function body(_, item) runs[#runs + 1] = item return item end
      job:each({ "a", "b" }, body)
      resume()
      local outcomes = job:each({ "a", "b", "c" }, body)
      assert.same({ "a", "b", "c" }, runs)
      assert.equal("b", outcomes[2].result)
    end)

    it("keeps to its limit", function()
      local now, most = 0, 0
      job:each({ 1, 2, 3, 4, 5, 6 }, { concurrency = 2 }, function()
        now = now + 1
        most = math.max(most, now)
        fiber.sleep(0.002)
        now = now - 1
      end)
      assert.equal(2, most)
    end)

    it("ends all its items when the job is cancelled", function()
      local left = 0
      local runner = fiber.spawn(function()
        job:each({ 1, 2, 3 }, function()
          left = left + 1
          local ok, why = pcall(fiber.sleep, 10)
          left = left - 1
          error(ok and "slept" or why, 0)
        end)
      end)
      fiber.sleep(0.005)
      assert.equal(3, left)
      runner:cancel()
      runner:join()
      fiber.sleep(0.005)
      assert.equal(0, left)
      assert.same({}, host.steps)
    end)
  end)

  describe("log", function()
    it("does not repeat what stands between finished steps", function()
      local function run()
        for i = 1, 3 do
          job:step("s", function() return i end)
          job:log("after " .. i)
        end
        job:flush()
      end
      run()
      local before = #host.notes
      resume()
      run()
      assert.equal(before + 1, #host.notes)
      assert.same({ "after 3" }, { host.notes[#host.notes].events[1].data.message })
    end)
  end)

  describe("sleep", function()
    it("is only the rest after a restart", function()
      host.steps = { { key = "sleep", result = json.encode { at = 1 } } }
      resume()
      job:sleep(3600)
    end)

    it("is never more than it was to be, however the clock is set", function()
      host.steps = { { key = "sleep", result = json.encode { at = 1e12 } } }
      resume()
      job:sleep(0.001)
    end)
  end)
end)
