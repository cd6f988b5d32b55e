--- api/trace.lua - what became of a job, in order.
local trace = require "stance.trace"

return function(route, app)
  route.get "/api/jobs/:id/trace" {
    doc = "A job's timeline: when it was submitted, claimed, put back and ended, its steps, artifacts and children, and its trace id. "
      .. "Events are forgotten after a while (`events_keep`); steps are not.",
    scope = "jobs:read",
    handler = function(request)
      local row, why = app.jobs:row(request.params.id)
      if not row then return nil, why end
      local timeline
      timeline, why = trace.of(app.jobs.db, row)
      if not timeline then return nil, why end
      return 200, timeline
    end,
  }
end
