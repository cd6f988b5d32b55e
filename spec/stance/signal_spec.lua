local fiber = require "fiber"
local signal = require "stance.signal"

describe("signal", function()
  local changed, before

  before_each(function() changed, before = signal.new(), fiber.count() end)

  after_each(function()
    fiber.sleep(0.001)
    assert.equal(before, fiber.count(), "a fiber is left")
    assert.is_nil(next(changed.waiting), "somebody is still on the list")
  end)

  --- Runs `fn` in a fiber until its first wait.
  local function run(fn)
    local one = fiber.spawn(fn)
    fiber.sleep(0)
    return one
  end

  local function waiter(timeout) return run(function() return changed:wait(timeout) end) end

  it("wakes all that wait, at once", function()
    local all = {}
    for i = 1, 100 do all[i] = waiter(5) end
    changed:notify()
    for _, one in ipairs(all) do assert.same({ true, true }, { one:join(1) }) end
  end)

  it("forgets a notification that nobody waited for", function()
    changed:notify()
    assert.is_false(changed:wait(0.001))
  end)

  it("says false when the time is up", function()
    assert.is_false(changed:wait(0))
    assert.is_false(changed:wait(0.001))
  end)

  it("wakes each waiter once for each wait", function()
    local count = 0
    local one = run(function()
      for _ = 1, 3 do
        changed:wait(1)
        count = count + 1
      end
    end)
    for i = 1, 3 do
      changed:notify()
      changed:notify() -- nobody has waited again yet
      fiber.sleep(0)
      assert.equal(i, count)
    end
    one:join()
  end)

  it("may be notified by one that it woke", function()
    local second = run(function()
      changed:wait(1)
      changed:notify()
      return changed:wait(0.001)
    end)
    local third = run(function() return changed:wait(1) and changed:wait(1) end)
    changed:notify()
    assert.same({ true, false }, { second:join() })
    changed:notify()
    assert.same({ true, true }, { third:join() })
  end)

  it("lets a waiter that is cancelled go, with the reason", function()
    local one, other = waiter(5), waiter(5)
    one:cancel "enough"
    local ok, why = one:join()
    assert.same({ false, "cancelled", "enough" }, { ok, why.code, why.message })
    changed:notify()
    assert.same({ true, true }, { other:join() })
  end)

  it("keeps to the fiber's deadline", function()
    local ok, why = pcall(fiber.deadline, 0.001, changed.wait, changed, 5)
    assert.same({ false, "timeout" }, { ok, why.code })
  end)
end)
