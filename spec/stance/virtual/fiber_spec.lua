local virtual = require "stance.virtual"

local library = virtual.library()

local contract = require "spec.core.fiber_contract"
setfenv(contract, getfenv(1)) -- describe, it, assert
for seed = 1, 3 do
  contract(("virtual fiber, seed %d"):format(seed), function()
    local machine = virtual.new { seed = seed, library = library }
    return machine.client:require "fiber", function(body) machine:inside(machine.client, body) end
  end)
end
