local db, fs, host = require "db", require "fs", require "host"
local sqlite = require "stance.queue.sqlite"

local tables = { "artifacts", "steps", "signals", "events", "jobs" }

local contract = require "spec.jobs.queue_contract"
setfenv(contract, getfenv(1)) -- describe, it, assert
contract("sqlite", function(clock)
  for _, name in ipairs(tables) do assert(db.exec("DELETE FROM " .. name)) end
  return sqlite.new { db = db, now = function() return clock.now end }
end)

describe("an idle queue", function()
  it("writes nothing when it is asked for jobs", function()
    local queue = sqlite.new { db = db, now = function() return 1000 end }
    for _, name in ipairs(tables) do assert(db.exec("DELETE FROM " .. name)) end
    local function log_file() return (assert(fs.stat(host.data_dir .. "/stance.db-wal"))) end
    local before = log_file()
    for _ = 1, 20 do
      assert.same({}, queue:claim { worker = "w", generation = "g", limit = 4, lease = 30 })
      queue:next_due()
      queue:counts()
    end
    assert.same({ before.size, before.modified }, { log_file().size, log_file().modified })
  end)
end)
