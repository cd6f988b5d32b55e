local fiber = require "fiber"

local contract = require "spec.core.fiber_contract"
setfenv(contract, getfenv(1)) -- describe, it, assert
contract("fiber", function() return fiber, function(body) body() end end)
