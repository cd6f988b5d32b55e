--- api/system.lua - what machines ask of the host: is it alive, is it ready, how does it fare.
local generations = require "stance.generations"

return function(route, app)
  route.get "/health" {
    doc = "200 as long as the host answers at all.",
    handler = function() return 200, { status = "ok" } end,
  }

  route.get "/ready" {
    doc = "200 when the host takes jobs, 503 while it starts or stops.",
    handler = function()
      if app.stopping then return 503, { status = "stopping" }, { ["Retry-After"] = "5" } end
      return 200, { status = "ready" }
    end,
  }

  route.get "/metrics" {
    doc = "All metrics of the host and its workers as Prometheus text.",
    handler = function()
      return 200, app.gauges:text() .. generations.metrics(),
        { ["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8", ["Cache-Control"] = "no-store" }
    end,
  }
end
