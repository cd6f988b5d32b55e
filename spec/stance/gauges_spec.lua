local gauges, metrics = require "stance.gauges", require "metrics"

describe("gauges", function()
  local function ages() return metrics.gauge { name = "jobs_oldest_pending_seconds", help = "x", labels = { "type" } } end

  local function collected()
    local open = { { type = "spec_old", status = "pending", count = 2, oldest_s = 7 } }
    local one = gauges.new { jobs = { open_counts = function() return open end } }
    one:collect_jobs()
    return one, open
  end

  it("are 0 for what is there no more", function()
    local one, open = collected()
    assert.equal(7, ages():value { type = "spec_old" })
    open[1] = nil
    one:collect_jobs()
    assert.equal(0, ages():value { type = "spec_old" })
  end)

  it("leave nothing behind for the next generation to contradict", function()
    local one = collected()
    one:retire()
    assert.equal(0, ages():value { type = "spec_old" })
    one:collect_jobs() -- somebody's question that was under way
    assert.equal(0, ages():value { type = "spec_old" })
  end)
end)
