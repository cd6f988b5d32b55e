local bodies, fiber = require "stance.bodies", require "fiber"

describe("bodies", function()
  local opened, closed, with

  before_each(function()
    opened, closed = {}, {}
    with = bodies.share(function(key)
      fiber.sleep(0.002)
      if key == "broken" then return nil, { code = "corrupt", message = "broken" } end
      opened[#opened + 1] = key
      return { key = key, close = function() closed[#closed + 1] = key end }
    end)
  end)

  it("are opened once for all who ask at the same time", function()
    local seen = {}
    local members = {}
    for i = 1, 3 do
      members[i] = fiber.spawn(function() with(1, "a", function(body) seen[i] = body.key fiber.sleep(0.002) end) end)
    end
    for _, member in ipairs(members) do member:join() end
    assert.same({ "a", "a", "a" }, seen)
    assert.same({ "a" }, opened)
  end)

  it("are closed when a later one's turn has come", function()
    with(1, "a", function() end)
    assert.same({}, closed)
    with(2, "b", function() assert.same({}, closed) end)
    assert.same({ "a" }, closed)
  end)

  it("stay open while somebody uses them", function()
    local slow = fiber.spawn(function() with(1, "a", function() fiber.sleep(0.03) end) end)
    with(2, "b", function() end)
    assert.same({}, closed)
    slow:join()
    assert.same({ "a" }, closed)
  end)

  it("that cannot be opened say why, to each who asks, without trying again", function()
    for _ = 1, 2 do
      local result, why = with(1, "broken", function() return true end)
      assert.is_nil(result)
      assert.equal("corrupt", why.code)
    end
  end)

  it("pass an error of their user on, and let go", function()
    assert.has_error(function() with(1, "a", function() error({ code = "io" }, 0) end) end)
    with(2, "b", function() end)
    assert.same({ "a" }, closed)
  end)

  it("are opened by the next one when the one who opened was cancelled", function()
    local first = fiber.spawn(function() with(1, "a", function() end) end)
    fiber.sleep(0)
    local second = fiber.spawn(function() return with(1, "a", function(body) return body.key end) end)
    first:cancel "no longer needed"
    local ok, key = second:join()
    assert.is_true(ok)
    assert.equal("a", key)
  end)
end)
