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

describe("a queue that has counted", function()
  it("does not count again because some job was cancelled", function()
    local counted = 0
    local watched = setmetatable({ transaction = function(list)
      if list[1][1]:find("GROUP BY status", 1, true) then counted = counted + 1 end
      return db.transaction(list)
    end }, { __index = db })
    local queue = sqlite.new { db = watched, now = function() return 1000 end }
    for _, name in ipairs(tables) do assert(db.exec("DELETE FROM " .. name)) end
    queue:learn()
    for i = 1, 3 do assert(queue:submit { id = "t_" .. i, type = "t", params = {}, generation = "g" }) end
    assert.equal(3, #assert(queue:claim { worker = "w", generation = "g", limit = 3, lease = 30 }))
    assert.equal("cancelling", (queue:cancel("t_1", "x")))
    queue:counts()
    queue:cancelled("t_1", 1, "x")
    queue:release("t_2", 1)
    assert.equal(1, queue:counts().cancelled)
    assert.equal(1, counted)
    assert.equal("cancelling", (queue:cancel("t_3", "x")))
    queue:release("t_3", 1) -- which ends it, as only the table knows
    assert.equal(2, queue:counts().cancelled)
    assert.equal(2, counted)
  end)
end)
