-- Broken requests and frames against a real host: 20,000 of them, or STANCE_ATTACKS (STANCE_SEED chooses which).
local support = require "spec.e2e.support"

local attacks, seed = tonumber(os.getenv "STANCE_ATTACKS" or "20000"), os.getenv "STANCE_SEED" or "1"
local sanitized = support.binary:find "asan" ~= nil

local one_file = [[return { name = "one_file", version = 1, params = require("stance.schema").object {},
  run = function(job) job:artifact("a.txt", ("0123456789"):rep(100)) end }]]

describe("a host under attack", function()
  local host, id

  local function attack(first, count)
    local command = "build/spec/net_hostile_test 127.0.0.1:%d %s %s %d %d 2>&1; echo status $?"
    local text = support.shell(command:format(host.port, id, seed, first, count))
    assert.truthy(text:find "status 0$", text)
    print(text:match "[^\n]+ attacks of seed[^\n]*")
  end

  local function descriptors() return tonumber(support.shell(("ls /proc/%d/fd | wc -l"):format(host.pid))) end

  local function resident_kb() return tonumber(support.shell(("awk '/VmRSS/ { print $2 }' /proc/%d/status"):format(host.pid))) end

  --- A gauge of the host's own, all its series together.
  local function total(metric)
    local _, text = host:get "/metrics"
    local sum = 0
    for labels, value in text:gmatch("\n" .. metric .. "(%b{}) (%d+)") do if not labels:find "worker=" then sum = sum + value end end
    return sum
  end

  local function settle()
    support.eventually("the connections to be gone", 20, function() return total "http_connections" == 1 end) -- the one that asks
  end

  setup(function()
    host = support.host { workflows = { one_file = one_file }, flags = "--workers 1" }
    id = host:submit "one_file"
    assert.equal("completed", host:wait(id).status)
  end)

  teardown(function() host:stop() end)

  it("answers everybody rightly, and has nothing left over", function()
    attack(0, attacks / 2)
    settle()
    local files, memory, fibers = descriptors(), resident_kb(), total "fibers"
    attack(attacks / 2, attacks / 2)
    settle()
    assert.is_true(total "fibers" <= fibers + 2, ("%d fibers, %d before"):format(total "fibers", fibers))
    assert.is_true(descriptors() <= files + 4, ("%d descriptors, %d before"):format(descriptors(), files))
    if not sanitized then assert.is_true(resident_kb() < memory + 8192, ("%d KB, %d before"):format(resident_kb(), memory)) end
    assert.equal("completed", host:wait(id).status)
  end)

  it("has no fault to tell of, and ends in good order", function()
    for line in host:log():gmatch "[^\n]+" do
      assert.is_nil(line:match '"level":"error"' or line:match "ERROR: %a+Sanitizer" or line:match "runtime error:", line)
    end
    local folder = host.folder
    host.owns = false
    host:stop()
    local log = host:log()
    assert.is_nil(log:match "LeakSanitizer", log)
    support.shell("rm -rf " .. folder)
    host.stop = function() end
  end)
end)
