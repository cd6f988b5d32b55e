local state = require "stance.state"

describe("state", function()
  local count = 0
  local name

  before_each(function()
    count = count + 1
    name = "spec " .. count
  end)

  it("keeps what JSON can carry, as copies", function()
    local one = state.open(name, { initial = { n = 0 } })
    assert.same({ n = 0 }, one:get())
    local value = { n = 1, list = { "a" } }
    one:set(value)
    value.n = 2
    assert.same({ n = 1, list = { "a" } }, state.open(name):get())
    assert.equal(2, one:update(function(old) return old.n + 1 end))
    one:set(nil)
    assert.is_nil(state.open(name):get())
  end)

  it("goes through migrate once when an older version has left it", function()
    state.open(name):set(7)
    local calls = 0
    local two = state.open(name, { version = 2, migrate = function(old, from)
      calls = calls + 1
      return { old = old, from = from }
    end })
    assert.same({ old = 7, from = 1 }, two:get())
    assert.same({ old = 7, from = 1 }, two:get())
    assert.equal(1, calls)
  end)

  it("is not misread by a version that does not know it", function()
    state.open(name, { version = 3 }):set "new"
    assert.has_error(function() state.open(name, { version = 2 }):get() end,
      ("the state '%s' has version 3, newer than this generation's 2"):format(name))
    assert.has_error(function() state.open(name, { version = 4 }):get() end)
    assert.has_error(function() state.open "" end)
  end)
end)
