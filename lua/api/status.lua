--- api/status.lua - how the host is doing, at a glance.
local host, json = require "host", require "json"

return function(route, app)
  route.get "/api/status" {
    doc = "Version, generation, workers, jobs and memory of this host.", scope = "status:read",
    handler = function()
      local memory, counts, why = host.memory(), app.jobs:counts()
      if not counts then return nil, why end
      return 200, {
        version = host.version, uptime_s = host.uptime(), generation = host.generation(), listen = app.address, data_dir = host.data_dir,
        pid = host.pid, workers = json.array(app.workers:list()), jobs = counts, memory_bytes = memory.resident,
        vm_memory_bytes = memory.vm,
      }
    end,
  }
end
