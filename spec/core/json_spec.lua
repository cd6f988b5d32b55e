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

  it("raises for what JSON cannot say", function()
    local loop = {}
    loop.loop = loop
    for _, value in ipairs { { print }, { 0 / 0 }, { math.huge }, loop, { [{}] = 1 } } do
      assert.has_error(function() json.encode(value) end)
    end
  end)

  it("limits how deep it goes", function()
    assert.has_no_error(function() json.decode(("["):rep(64) .. ("]"):rep(64)) end)
    assert.has_error(function() json.decode(("["):rep(65) .. ("]"):rep(65)) end)
    assert.has_error(function() json.decode(("["):rep(100000)) end)
  end)
end)
