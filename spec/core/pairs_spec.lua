-- pairs_spec.lua - loops over tables see all entries, also once LuaJIT has given up compiling them.
describe("loops over tables", function()
  -- In a LuaJIT that has the fault the outer loop's attempts are given up after some 40,000 rounds, if compiled code returns to the
  -- interpreter before each: it does at the end of a vararg function. All of it must be one function.
  local text = [[
    local inner = { 1, 2, 3, 4, 5 }
    local outer = { a = inner, b = inner, c = inner, d = inner, e = inner }
    local function return_to_interpreter(...) for _ = 1, 100 do end end
    for round = 1, 100000 do
      return_to_interpreter()
      local seen = 0
      for _, list in LOOP(outer) do
        for _ in LOOP(list) do end
        seen = seen + 1
      end
      if seen ~= 5 then error(("%d of 5 entries in round %d"):format(seen, round)) end
    end]]
  for name, loop in pairs { pairs = "pairs(%1)", next = "next, %1" } do
    it(("of %s see every entry, one loop in the other"):format(name), assert(loadstring((text:gsub("LOOP(%b())", loop)))))
  end

  it("see each of many tables as it was filled", function()
    for size = 0, 300 do
      local object, sum, count = {}, 0, 0
      for i = 1, size do object[i % 3 == 0 and "k" .. i or i % 3 == 1 and i or i + 0.5] = i end
      for key, value in pairs(object) do
        sum, count = sum + value, count + 1
        object[key] = nil -- what is there may be changed and removed meanwhile
      end
      assert.equal(size, count)
      assert.equal(size * (size + 1) / 2, sum)
      assert.is_nil(next(object))
    end
  end)

  it("complain of what is no table, in the line that has it", function()
    local ok, why = pcall(function() for _ in pairs(nil) do end end)
    assert.is_false(ok)
    assert.match("pairs_spec.lua:%d+: bad argument #1 to 'pairs' %(table expected, got nil%)", why)
    assert.is_false(pcall(next, {}, "no key of it"))
  end)
end)
