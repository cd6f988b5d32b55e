local fiber = require "fiber"
local group = require "stance.group"

describe("group.map", function()
  local before

  before_each(function() before = fiber.count() end)

  after_each(function()
    fiber.sleep(0.005)
    assert.equal(before, fiber.count(), "a fiber is left")
  end)

  local function numbers(count)
    local list = {}
    for i = 1, count do list[i] = i end
    return list
  end

  it("gives the results in the list's order, whichever ends first", function()
    local results = group.map({ 3, 1, 2 }, 3, function(item, index)
      fiber.sleep(item / 1000)
      return ("%d at %d"):format(item, index)
    end)
    assert.same({ "3 at 1", "1 at 2", "2 at 3" }, results)
  end)

  for _, case in ipairs { { 0, 1 }, { 1, 1 }, { 5, 1 }, { 5, 2 }, { 5, 5 }, { 5, 50 }, { 300, 100 }, { 300, 300 } } do
    local count, limit = unpack(case)
    it(("calls for each of %d, at most %d at a time"):format(count, limit), function()
      local running, most, seen = 0, 0, {}
      local results = group.map(numbers(count), limit, function(item)
        assert.is_nil(seen[item])
        seen[item] = true
        running = running + 1
        most = math.max(most, running)
        fiber.sleep(0)
        running = running - 1
        return item * 2
      end)
      assert.equal(math.min(count, limit), most)
      assert.equal(count, #results)
      for i = 1, count do assert.equal(2 * i, results[i]) end
    end)
  end

  it("works for functions that never wait", function()
    assert.same({ 1, 4, 9 }, group.map({ 1, 2, 3 }, 2, function(item) return item * item end))
  end)

  it("keeps results that are nil or false apart", function()
    local results = group.map({ 1, 2, 3 }, 2, function(item)
      if item == 2 then return nil end
      return item == 3
    end)
    assert.same({ false, nil, true }, { results[1], results[2], results[3] })
  end)

  it("passes an error on and cancels the others", function()
    local reasons, started = {}, 0
    local ok, why = pcall(group.map, numbers(10), 3, function(item)
      started = started + 1
      if item == 2 then
        fiber.sleep(0.001)
        error({ code = "busy", message = "not now" }, 0)
      end
      local fine, reason = pcall(fiber.sleep, 5)
      if not fine then reasons[#reasons + 1] = reason.code end
      error(reason, 0)
    end)
    assert.same({ false, "busy", "not now" }, { ok, why.code, why.message })
    fiber.sleep(0.005)
    assert.equal(3, started)
    assert.same({ "cancelled", "cancelled" }, reasons)
  end)

  it("cancels the others when it is cancelled itself", function()
    local ended = 0
    local outer = fiber.spawn(group.map, numbers(6), 2, function()
      local _, why = pcall(fiber.sleep, 5)
      ended = ended + 1
      error(why, 0)
    end)
    fiber.sleep(0.001)
    outer:cancel "enough"
    local ok, why = outer:join()
    assert.same({ false, "cancelled" }, { ok, why.code })
    fiber.sleep(0.005)
    assert.equal(2, ended)
  end)

  it("gives up at the caller's deadline", function()
    local ok, why = pcall(fiber.deadline, 0.005, group.map, numbers(4), 2, function() fiber.sleep(5) end)
    assert.same({ false, "timeout" }, { ok, why.code })
  end)

  it("refuses a limit that lets nothing run", function()
    for _, limit in ipairs { 0, -1, 0.5 } do
      assert.has_error(function() group.map({ 1 }, limit, function() end) end)
    end
  end)

  it("nests", function()
    local results = group.map(numbers(3), 2, function(outer)
      return table.concat(group.map(numbers(3), 2, function(inner)
        fiber.sleep(0)
        return outer * inner
      end), " ")
    end)
    assert.same({ "1 2 3", "2 4 6", "3 6 9" }, results)
  end)
end)
