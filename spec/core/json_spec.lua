local json = require "json"

describe("json", function()
  it("reads back what it writes", function()
    local value = { a = { 1, 2.5, "ü\n\"", true, json.null }, b = { c = {} } }
    assert.same(value, json.decode(json.encode(value)))
    assert.equal("{}", json.encode {})
    assert.equal("[1,null]", json.encode { 1, json.null })
  end)

  it("raises for what is no JSON", function()
    for _, text in ipairs { "", "{", "{a:1}", "[1,]", "nul", "[NaN]", "[Infinity]", "[0x10]", "[1] x" } do
      assert.has_error(function() json.decode(text) end)
    end
  end)

  it("raises for numbers that would become infinite", function()
    for _, text in ipairs { "1e999", "[-1e400]", '{"a":' .. ("9"):rep(400) .. "}", "1E+309" } do
      assert.has_error(function() json.decode(text) end)
    end
    assert.equal(1e308, json.decode "1e308")
    assert.equal("1e999", json.decode '"1e999"')
  end)

  it("raises for what JSON cannot say", function()
    local loop = {}
    loop.loop = loop
    for _, value in ipairs { { print }, { 0 / 0 }, { math.huge }, loop, { [{}] = 1 } } do
      assert.has_error(function() json.encode(value) end)
    end
  end)

  it("limits how deep it goes", function()
    local function nested(levels) return ("["):rep(levels) .. ("]"):rep(levels) end
    assert.has_no_error(function() json.decode(nested(128)) end)
    assert.has_error(function() json.decode(nested(129)) end)
    assert.has_error(function() json.decode(("["):rep(100000)) end)
    assert.has_no_error(function() json.decode(nested(5), 5) end)
    assert.has_error(function() json.decode(nested(6), 5) end)
    assert.has_no_error(function() json.decode('["[[[[", "\\"[[[["]', 1) end)
  end)
end)
