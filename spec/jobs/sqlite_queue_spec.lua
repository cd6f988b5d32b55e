local db = require "db"
local sqlite = require "stance.queue.sqlite"

local tables = { "artifacts", "steps", "signals", "events", "jobs" }

local contract = require "spec.jobs.queue_contract"
setfenv(contract, getfenv(1)) -- describe, it, assert
contract("sqlite", function(clock)
  for _, name in ipairs(tables) do assert(db.exec("DELETE FROM " .. name)) end
  return sqlite.new { db = db, now = function() return clock.now end }
end)
