local db, fiber, json = require "db", require "fiber", require "json"
local jobs_service = require "stance.jobs"
local reporter = require "stance.reporter"

describe("reports", function()
  local jobs, outbox, requests, ids

  before_each(function()
    for _, name in ipairs { "artifacts", "steps", "signals", "events", "jobs" } do assert(db.exec("DELETE FROM " .. name)) end
    jobs = jobs_service.new { db = db, lease = 30, max_attempts = 3 }
    assert(jobs:open(true))
    jobs:worker_came "w"
    requests, ids = {}, {}
    outbox = reporter.new(function(payload)
      requests[#requests + 1] = json.decode(payload)
      return jobs:answer("w", payload)
    end)
    for i = 1, 4 do
      ids[i] = "t_" .. i
      assert(jobs.queue:submit { id = ids[i], type = "t", params = {}, generation = "g" })
    end
    assert.equal(4, #jobs.queue:claim { worker = "w", generation = "g", limit = 4, lease = 30 })
  end)

  after_each(function()
    jobs:retire()
  end)

  --- Runs fn(i) for each job at once; what each returned.
  local function together(fn)
    local tasks, results = {}, {}
    for i = 1, 4 do tasks[i] = fiber.spawn(fn, i) end
    for i, task in ipairs(tasks) do results[i] = { select(2, task:join()) } end
    return results
  end

  local function step(i, epoch, key)
    return outbox:tell("step", { id = ids[i], epoch = epoch or 1, step = { key = key or "s", name = "s", result = i } })
  end

  it("of one moment are one request", function()
    local results = together(function(i) return step(i) end)
    assert.same({ { true }, { true }, { true }, { true } }, results)
    assert.equal(1, #requests)
    assert.equal(4, #requests[1].reports)
    for i = 1, 4 do assert.equal(tostring(i), jobs.queue:journal(ids[i])[1].result) end
  end)

  it("that are refused do not spoil the others", function()
    local results = together(function(i) return step(i, i == 2 and 7 or 1) end)
    assert.equal("conflict", results[2][2].code)
    for _, i in ipairs { 1, 3, 4 } do assert.is_true(results[i][1]) end
    assert.same({}, jobs.queue:journal(ids[2]))
  end)

  it("that cannot be written down do not spoil the others", function()
    local results = together(function(i) return step(i, 1, i == 3 and { "no key" } or "s") end)
    assert.equal("invalid", results[3][2].code)
    for _, i in ipairs { 1, 2, 4 } do assert.is_true(results[i][1]) end
    assert.same({}, jobs.queue:journal(ids[3]))
  end)

  it("that JSON cannot carry are raised where they are made", function()
    local results = together(function(i)
      return pcall(outbox.tell, outbox, "note", { id = ids[i], epoch = 1, note = { progress = { note = i == 1 and print or "x" } } })
    end)
    assert.is_false(results[1][1])
    for i = 2, 4 do assert.same({ true, true }, results[i]) end
  end)

  it("keep the order in which they were made", function()
    together(function(i)
      outbox:tell("note", { id = ids[i], epoch = 1, note = { events = { { type = "job.log", data = { message = "before" } } } } })
      step(i)
      outbox:tell("complete", { id = ids[i], epoch = 1, result = json.null, type = "t" })
    end)
    local tasks = { fiber.spawn(step, 1), fiber.spawn(step, 1) }
    for _, task in ipairs(tasks) do assert.equal("conflict", select(3, task:join()).code) end
    for _, id in ipairs(ids) do
      local rows = assert(db.query("SELECT type FROM events WHERE job_id = ? AND type IN ('job.log', 'job.completed') ORDER BY seq", id))
      assert.same({ { type = "job.log" }, { type = "job.completed" } }, rows)
    end
  end)

  it("do not wait for the answers of earlier ones", function()
    local held, free = true, fiber.channel()
    local call = outbox.call
    outbox.call = function(payload)
      if held then
        held = false
        free:get()
      end
      return call(payload)
    end
    local first = fiber.spawn(step, 1)
    for _ = 1, 5 do fiber.sleep(0) end
    assert.is_true(step(2))
    assert.equal("waiting", first:status())
    free:put(true)
    assert.is_true(select(2, first:join()))
  end)

  it("all fail when the host does not answer", function()
    outbox.call = function() return nil, { code = "closed", message = "the host is gone" } end
    for _, result in ipairs(together(function(i) return step(i) end)) do assert.equal("closed", result[2].code) end
  end)
end)
