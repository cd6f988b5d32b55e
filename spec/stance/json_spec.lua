local json = require "json"

describe("json", function()
  it("writes numbers exactly", function()
    local cases = {
      [0] = "0", [17] = "17", [-3] = "-3", [2 ^ 53] = "9007199254740992", [0.1] = "0.1",
      [1763641190.123456] = "1763641190.123456",
      [1e300] = "1e+300", [-2.5e-7] = "-2.5e-07",
    }
    for number, text in pairs(cases) do
      assert.equal(text, json.encode(number))
      assert.equal(number, json.decode(json.encode(number)))
    end
  end)

  it("writes text that every reader takes", function()
    assert.equal([["a/b \"c\" \\ \n\t\u0001 grüezi ]] .. "\u{1F600}" .. [["]], json.encode "a/b \"c\" \\ \n\t\1 grüezi \u{1F600}")
    assert.equal('"\239\191\189x"', json.encode "\255x")
    assert.equal('"a\\u0000b"', json.encode "a\0b")
    assert.equal('""', json.encode "")
  end)

  it("tells lists from objects", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("[]", json.encode(json.array()))
    assert.equal('{"a":[]}', json.encode { a = json.array() })
    assert.equal("[1,[2,3]]", json.encode { 1, { 2, 3 } })
    assert.equal('{"2":1}', json.encode { [2] = 1 })
    assert.equal("[1,null]", json.encode { 1, json.null })
    assert.equal("[true,false]", json.encode { true, false })
  end)

  it("refuses what is no JSON", function()
    local deep = {}
    for _ = 1, 140 do deep = { deep } end
    local looped = {}
    looped[1] = looped
    for _, value in ipairs { 0 / 0, 1 / 0, print, deep, looped, { [true] = 1 }, { coroutine.create(print) } } do
      assert.error(function() json.encode(value) end)
    end
    for _, text in ipairs { "", "{", "[1,]", "nul", "NaN", "0x10", '"\255"', "[1] 2", ("["):rep(140) .. ("]"):rep(140) } do
      assert.error(function() json.decode(text) end)
    end
    assert.equal("[1]", json.encode { 1 }) -- after failures too
  end)

  it("reads what it writes", function()
    local value = { a = { 1, 2, { b = "x" } }, c = json.null, d = true }
    assert.same(value, json.decode(json.encode(value)))
  end)
end)
