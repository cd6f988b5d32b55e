-- workflow.lua - the workflow "sim": runs a program of program.lua. `sim.ledger` is the simulation's own, outside every process.
local err, fiber, ledger = require "stance.err", require "fiber", require "sim.ledger"
local t = require "stance.schema"

local function body(job, key, at, step, value)
  ledger.step_began(job, key)
  if at.pause then fiber.sleep(at.pause) end
  if ledger.count(job.id, key) <= (at.fails or 0) then error(err("io", "not yet"), 0) end
  if at.broken then error(err("invalid", "never"), 0) end
  if at.artifact then step:artifact(key .. ".txt", "bytes of " .. key) end
  return value
end

local ops = {
  step = function(job, at)
    return job:step(at.name, { retries = at.retries }, function(step) return body(job, step.key, at, step, at.value) end)
  end,
  each = function(job, at)
    local list = {}
    for i = 1, at.count do list[i] = i end
    local outcomes = job:each(list, { name = at.name, concurrency = at.concurrency }, function(step, i)
      local item = { pause = at.pause, artifact = at.artifact, broken = i == at.broken_item }
      return body(job, ("%s/%d"):format(at.name, i), item, step, at.value * i)
    end)
    local values = {}
    for i, outcome in ipairs(outcomes) do values[i] = outcome.ok and outcome.result or outcome.err.code end
    return values
  end,
  sleep = function(job, at)
    job:sleep(at.seconds)
    return "slept"
  end,
  wait = function(job, at) return job:wait(at.name).text end,
  child = function(job, at)
    local child = job:spawn("sim", { program = at.program })
    if not at.joined then return "left" end
    local result = child:join()
    return result and result.values or "failed"
  end,
  artifact = function(job, at)
    job:artifact(at.name, "bytes of " .. at.name)
    return "kept"
  end,
  talk = function(job)
    job:progress(1, 2, "half")
    job:log("talking", { n = 1 })
    fiber.sleep(0.3)
    return "said"
  end,
  flaky = function(job, at)
    if ledger.count(job.id, "flaky") <= at.fails then error(err("io", "no luck"), 0) end
    return "at last"
  end,
}

return {
  name = "sim", version = 1, retries = 6,
  params = t.object { program = t.any },
  run = function(job, p)
    local values = {}
    for i, at in ipairs(p.program) do values[i] = ops[at.op](job, at) end
    return { values = values }
  end,
}
