--- api/top.lua - what the host does right now; what `stance top` shows.
local fiber, json = require "fiber", require "json"
local t = require "stance.schema"
local top = require "stance.top"

return function(route, app)
  --- Calls send(view) once, or with `follow` until it fails or the host stops.
  local function watch(interval, follow, send)
    local before, why = top.look(app)
    if not before then return nil, why end
    repeat
      fiber.sleep(interval)
      local after
      after, why = top.look(app)
      if not after then return nil, why end
      local ok
      ok, why = send(top.view(app, before, after))
      if not ok then return nil, why end
      before = after
    until not follow or app.stopping or app.retired
    return true
  end

  route.get "/api/top" {
    doc = "Rates, queues, workers, memory and fibers, measured over `interval` seconds. `follow` streams one such object a line.",
    scope = "status:read", no_deadline = true,
    query = t.object { interval = t.number { default = 1, min = 0.1, max = 60, unit = "s" }, follow = t.boolean { default = false } },
    handler = function(request)
      local interval, view = request.query.interval, nil
      if request.query.follow then
        local function stream(writer)
          return watch(interval, true, function(one) return writer:write(json.encode(one) .. "\n") end)
        end
        return 200, stream, { ["Content-Type"] = "application/x-ndjson", ["Cache-Control"] = "no-store" }
      end
      local ok, why = watch(interval, false, function(one) view = one return true end)
      if not ok then return nil, why end
      return 200, view
    end,
  }
end
