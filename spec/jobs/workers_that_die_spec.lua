local virtual = require "stance.virtual"

local workflows = {
  ["workflows/many.lua"] = [[
    local t = require "stance.schema"
    return { name = "many", version = 1, params = t.object { steps = t.integer {} },
      run = function(job, p)
        local sum = 0
        for i = 1, p.steps do
          sum = sum + job:step("s", function() return i end)
          job:log("did " .. i)
        end
        return { sum = sum }
      end }]],
}

describe("workers that die", function()
  local library = virtual.library(workflows)

  it("between a report and its answer cost no step and write none twice", function()
    for seed = 1, 25 do
      local machine = virtual.new { seed = seed, library = library }
      local host, ids = machine:host { workers = 2 }, {}
      for i = 1, 12 do ids[i] = assert(host:submit { job_type = "many", params = { steps = 5 } }).job_id end
      for _ = 1, 4 do
        machine:run(machine.random:number(0.001, 0.02))
        host.children[machine.random:integer(1, 2)]:die { signal = 9 }
      end
      for _, id in ipairs(ids) do
        local job = host:wait(id, 600)
        assert.same({ "completed", 15 }, { job.status, job.result.sum }, "seed " .. seed)
      end
      local function count(sql) return machine.disk.db.query(sql)[1].n end
      assert.equal(12 * 5, count "SELECT count(*) AS n FROM steps WHERE ended_at IS NOT NULL")
      assert.equal(12, count "SELECT count(*) AS n FROM events WHERE type = 'job.completed'")
      assert.equal(0, count "SELECT count(*) AS n FROM jobs WHERE status <> 'completed' OR worker IS NOT NULL")
    end
  end)

  it("leave what they had claimed ahead to others", function()
    local machine = virtual.new { seed = 3, library = library }
    local host = machine:host { workers = 2 }
    for _ = 1, 60 do host:wait(assert(host:submit { job_type = "many", params = { steps = 0 } }).job_id, 60) end
    local ids = {}
    for i = 1, 80 do ids[i] = assert(host:submit { job_type = "many", params = { steps = 2 } }).job_id end
    host.children[1]:die { signal = 9 }
    for _, id in ipairs(ids) do assert.equal("completed", host:wait(id, 600).status) end
  end)
end)
