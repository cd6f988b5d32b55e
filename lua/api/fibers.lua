--- api/fibers.lua - what each fiber of the host, or of a worker, is at.
local inspect = require "stance.inspect"
local t = require "stance.schema"

local answer_wait = 5 -- seconds that a worker may take

return function(route, app)
  route.get "/api/fibers" {
    doc = "The fibers of the host, or of `worker` N: name, status, age, the call that each waits in and where, and for which request or "
      .. "job. `traceback` adds the Lua traceback of each.",
    scope = "debug:read",
    query = t.object { worker = t.integer { optional = true, min = 1 }, traceback = t.boolean { default = false } },
    handler = function(request)
      local args = { traceback = request.query.traceback }
      if not request.query.worker then return 200, { fibers = inspect.answer("fibers", args) } end
      local worker, why = app.workers:find(request.query.worker)
      if not worker then return nil, why end
      local fibers
      fibers, why = app.workers:ask(worker, "fibers", args, answer_wait)
      if not fibers then return nil, why end
      return 200, { worker = worker:name(), fibers = fibers }
    end,
  }
end
