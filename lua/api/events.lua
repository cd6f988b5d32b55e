--- api/events.lua - what happens, as it happens. A client that comes back with its last `seq` misses nothing.
local host = require "host"
local t = require "stance.schema"

local query = t.object { after = t.integer { optional = true, min = 0 }, job = t.string { optional = true } }
local idle_check = 20 -- seconds between looks whether anybody still reads

return function(route, app)
  local bus = app.jobs.events

  --- Calls send(text) for each event until it fails or the host stops; once `join` (may be nil) takes the cursor, events come without us.
  local function pump(request, send, join)
    local cursor = request.query.after or bus:cursor()
    local oldest = bus:oldest() or 1
    if cursor + 1 < oldest and oldest > 1 then
      -- Said once, so that a client that was away for very long knows that it has to look for itself.
      local ok, why = send(('{"seq":%d,"type":"events.expired","job_id":null,"data":{"oldest":%d}}'):format(oldest - 1, oldest))
      if not ok then return nil, why end
    end
    while not app.stopping and not app.retired do
      if join and join(cursor) then
        bus.woken:wait() -- a socket that closes cancels this
        return true
      end
      local events, following = bus:after(cursor, request.query.job, idle_check)
      if not events then return nil, following end
      for _, event in ipairs(events) do
        local ok, why = send(event.text)
        if not ok then return nil, why end
      end
      cursor = following
    end
    return true
  end

  route.ws "/api/events" {
    doc = "Job events, one JSON object a message. `after`: the last seq seen; without it, from now on. `job`: of one job only.",
    scope = "jobs:read", query = query, send_budget = host.config "ws_send_budget",
    handler = function(socket, request)
      local function join(cursor) return bus:join(socket, cursor, request.query.job) end
      pump(request, function(text) return socket:send(text) end, join)
      socket:close(1001, app.retired and "the scripts were replaced; come again" or "the host is stopping")
    end,
  }

  route.get "/api/events" {
    doc = "The same as a stream of NDJSON.", scope = "jobs:read", query = query, no_deadline = true,
    handler = function(request)
      local function stream(writer)
        return pump(request, function(text) return writer:write(text .. "\n") end)
      end
      return 200, stream, { ["Content-Type"] = "application/x-ndjson", ["Cache-Control"] = "no-store" }
    end,
  }
end
