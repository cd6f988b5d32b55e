--- api/profile.lua - where the host, or a worker, spends its CPU time.
local flamegraph, inspect = require "stance.flamegraph", require "stance.inspect"
local t = require "stance.schema"

local grace = 30 -- seconds that a worker may take to fold its stacks

return function(route, app)
  route.post "/api/profile" {
    doc = "Samples stacks for `seconds`: of Lua, of C (all threads) or both, of the host or of `worker` N. Answers folded stacks, or with "
      .. "`format=svg` a flame graph. One at a time; a client that leaves ends it.",
    scope = "debug:profile", no_deadline = true,
    query = t.object {
      seconds = t.number { default = 10, min = 0.1, max = 300, unit = "s" }, what = t.enum { "lua", "c", "all" } { default = "all" },
      hz = t.integer { default = 99, min = 1, max = 1000 }, worker = t.integer { optional = true, min = 1 },
      format = t.enum { "folded", "svg" } { default = "folded" },
    },
    handler = function(request)
      local query, who = request.query, "host"
      local args = { seconds = query.seconds, what = query.what, hz = query.hz }
      local result, why
      if query.worker then
        local worker
        worker, why = app.workers:find(query.worker)
        if not worker then return nil, why end
        who = worker:name()
        result, why = app.workers:ask(worker, "profile", args, query.seconds + grace)
      else
        result, why = inspect.answer("profile", args)
      end
      if not result then return nil, why end
      local headers = { ["Cache-Control"] = "no-store", ["Content-Type"] = "text/plain; charset=utf-8",
        ["Profile-Samples"] = tostring(result.samples), ["Profile-Lost"] = tostring(result.lost) }
      if query.format == "folded" then return 200, result.folded, headers end
      headers["Content-Type"] = "image/svg+xml"
      local title = ("stance %s, %g s at %d Hz: %d samples"):format(who, query.seconds, query.hz, result.samples)
      return 200, flamegraph.svg(result.folded, { title = title }), headers
    end,
  }
end
