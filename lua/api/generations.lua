--- api/generations.lua - hot reload over HTTP: what runs, load what is on disk, go back.
local t = require "stance.schema"

local statuses = { active = 200, unchanged = 200, failed = 422 }

return function(route, app)
  local generations = app.generations

  --- A load that failed is the scripts' fault: 422, with everything that is wrong in the detail.
  local function answer(load, why)
    if not load then return nil, why end
    if load.outcome ~= "failed" then return statuses[load.outcome], load end
    return nil, { code = "invalid", message = load.reason }
  end

  route.get "/api/generations" {
    doc = "The generations of scripts (active, draining, stored) and how the last attempts to load others went.",
    scope = "generations:read",
    handler = function()
      local list, why = generations:list()
      if not list then return nil, why end
      return 200, list
    end,
  }

  route.post "/api/reload" {
    doc = "Load the scripts on disk. 200 when they are active or nothing has changed, 422 with the reasons when they are not fit: then "
      .. "nothing changes.",
    scope = "generations:write",
    handler = function(request) return answer(generations:reload(request.principal)) end,
  }

  route.post "/api/rollback" {
    doc = "Go back to an earlier generation; without a name to the one before.", scope = "generations:write",
    body = t.object { generation = t.string { optional = true, max = 16 } },
    handler = function(request) return answer(generations:rollback(request.body.generation, request.principal)) end,
  }
end
