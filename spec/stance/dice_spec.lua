local dice = require "stance.dice"

describe("dice", function()
  it("fall the same for the same seed, keys and name", function()
    local roll = dice.new(42, "a", 3)
    local first = roll:number "x"
    roll:number "y"
    assert.equal(first, roll:number "x")
    assert.equal(first, dice.new(42, "a", 3):number "x")
  end)

  it("fall otherwise for another seed, key or name", function()
    local seen = {}
    for _, roll in ipairs { dice.new(42), dice.new(43), dice.new(42, 0), dice.new(42, "0"), dice.new(42 + 2 ^ 40), dice.new(42, 0, 0) } do
      for _, name in ipairs { "x", "y", "xy", "" } do
        local value = roll:number(name)
        assert.is_nil(seen[value])
        seen[value] = true
      end
    end
  end)

  it("know these numbers, which no version may change", function()
    -- Computed with a murmur3 finaliser of 32-bit integers in another language.
    assert.equal("0.605777544306790", ("%.15f"):format(dice.new(1):number "x"))
    assert.equal("0.324922878305729", ("%.15f"):format(dice.new(2 ^ 52 + 1, "look", 17):number "azimuth"))
  end)

  it("are fair: means, spread and neighbours", function()
    local count, sum, squares, together, bins, last = 20000, 0, 0, 0, {}, 0.5
    for i = 1, count do
      local value = dice.new(9, i):number "x"
      assert.is_true(value >= 0 and value < 1)
      sum, squares, together = sum + value, squares + value * value, together + (value - 0.5) * (last - 0.5)
      bins[math.floor(value * 16)] = (bins[math.floor(value * 16)] or 0) + 1
      last = value
    end
    assert.near(0.5, sum / count, 0.01)
    assert.near(1 / 3, squares / count, 0.01)
    assert.near(0, together / count, 0.003)
    for bin = 0, 15 do assert.near(count / 16, bins[bin], 150) end
  end)

  it("give whole numbers, choices and chances", function()
    local seen, heads = {}, 0
    for i = 1, 600 do
      local roll = dice.new(1, i)
      seen[roll:integer("n", 1, 6)] = true
      assert.is_true(roll:between("b", -2, 3) >= -2)
      if roll:chance("c", 0.25) then heads = heads + 1 end
      assert.is_truthy(({ a = true, b = true })[roll:pick("p", { "a", "b" })])
    end
    assert.same({ true, true, true, true, true, true }, seen)
    assert.near(150, heads, 40)
  end)

  it("refuse seeds that are none", function()
    for _, bad in ipairs { -1, 0.5, "1", 0 / 0 } do assert.has_error(function() dice.new(bad) end) end
  end)
end)
