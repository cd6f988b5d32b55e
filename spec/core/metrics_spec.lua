local metrics = require "metrics"

local function has(line) return metrics.text():find(line .. "\n", 1, true) ~= nil end

describe("metrics", function()
  it("counts", function()
    local clicks = metrics.counter { name = "spec_clicks_total", help = "Clicks." }
    assert.is_true(has "spec_clicks_total 0")
    clicks:inc()
    clicks:inc(2.5)
    assert.equal(3.5, clicks:value())
    assert.is_true(has "# HELP spec_clicks_total Clicks.\n# TYPE spec_clicks_total counter\nspec_clicks_total 3.5")
    assert.equal("counter spec_clicks_total", tostring(clicks))
  end)

  it("counts by labels, in whatever order they come", function()
    local ended = metrics.counter { name = "spec_ended_total", help = "Ended.", labels = { "type", "status" } }
    ended:inc { type = "render", status = "failed" }
    ended:inc({ status = "failed", type = "render" }, 2)
    ended:inc { type = 'od"d', status = 404 }
    assert.is_true(has 'spec_ended_total{type="render",status="failed"} 3')
    assert.is_true(has [[spec_ended_total{type="od\"d",status="404"} 1]])
  end)

  it("has gauges", function()
    local depth = metrics.gauge { name = "spec_depth", help = "Depth.", labels = { "queue" } }
    depth:set({ queue = "a" }, 5)
    depth:add({ queue = "a" }, -7)
    assert.equal(-2, depth:value { queue = "a" })
    local plain = metrics.gauge { name = "spec_plain", help = "Plain." }
    plain:set(4)
    plain:add(1)
    assert.is_true(has "spec_plain 5")
  end)

  it("has histograms", function()
    local took = metrics.histogram { name = "spec_took_seconds", help = "Time.", buckets = { 0.1, 1 } }
    for _, seconds in ipairs { 0.05, 0.5, 5 } do took:observe(seconds) end
    assert.is_true(has 'spec_took_seconds_bucket{le="1"} 2')
    assert.is_true(has 'spec_took_seconds_bucket{le="+Inf"} 3')
    assert.is_true(has "spec_took_seconds_count 3")
  end)

  it("can be read", function()
    local took = metrics.histogram { name = "spec_read_seconds", help = "Time.", buckets = { 1, 2 }, labels = { "a" } }
    for _, seconds in ipairs { 0.5, 1.5, 1.6, 9 } do took:observe({ a = "x" }, seconds) end
    local series = { labels = 'a="x"', value = 12.6, count = 4, bounds = { 1, 2 }, counts = { 1, 3, 4 } }
    assert.same({ series }, metrics.read "spec_read_seconds")
    assert.equal(3.5, metrics.read("spec_clicks_total")[1].value)
    assert.same({}, metrics.read "nobody_knows_it")
  end)

  it("gives the same metric to who declares it again", function()
    local options = { name = "spec_again_total", help = "Again.", labels = { "a" } }
    metrics.counter(options):inc { a = 1 }
    metrics.counter(options):inc { a = 1 }
    assert.equal(2, metrics.counter(options):value { a = 1 })
  end)

  it("tells of the process", function()
    assert.matches("\nprocess_resident_memory_bytes %d+\n", metrics.text())
  end)

  local misuse = {
    { "options", function() metrics.counter() end },
    { "a name", function() metrics.counter { help = "x" } end },
    { "a help line", function() metrics.gauge { name = "spec_x" } end },
    { "_total for counters", function() metrics.counter { name = "spec_x", help = "x" } end },
    { "a type of its own", function() metrics.gauge { name = "spec_again_total", help = "x" } end },
    { "the labels it has", function() metrics.counter { name = "spec_again_total", help = "x", labels = { "b" } } end },
    { "label names", function() metrics.gauge { name = "spec_y", help = "x", labels = { "a-b" } } end },
    { "rising buckets", function() metrics.histogram { name = "spec_z", help = "x", buckets = { 2, 1 } } end },
    { "all labels", function() metrics.counter({ name = "spec_again_total", help = "x", labels = { "a" } }):inc {} end },
    { "any labels", function() metrics.counter({ name = "spec_again_total", help = "x", labels = { "a" } }):inc() end },
    { "no others", function()
      metrics.counter({ name = "spec_again_total", help = "x", labels = { "a" } }):inc { a = 1, b = 2 }
    end },
    { "counts that rise", function() metrics.counter({ name = "spec_clicks_total", help = "x" }):inc(-1) end },
    { "numbers", function() metrics.gauge({ name = "spec_plain", help = "x" }):set "many" end },
    { "numbers that are", function() metrics.gauge({ name = "spec_plain", help = "x" }):set(0 / 0) end },
    { "the right object", function() metrics.gauge({ name = "spec_plain", help = "x" }).set({}, 1) end },
  }
  for _, case in ipairs(misuse) do
    it("insists on " .. case[1], function() assert.has_error(case[2]) end)
  end
end)
