local json = require "json"
local canonical = require "stance.canonical"

describe("canonical", function()
  it("does not depend on the order in which a table was filled", function()
    local first, names = nil, {}
    for i = 1, 200 do names[i] = "key" .. i end
    for _ = 1, 20 do
      local value = {}
      for i = #names, 2, -1 do
        local j = math.random(i)
        names[i], names[j] = names[j], names[i]
      end
      for _, name in ipairs(names) do value[name] = { n = #name, list = { name, 1 } } end
      first = first or canonical(value)
      assert.equal(first, canonical(value))
    end
  end)

  for text, expected in pairs {
    ['{"b":1,"a":{"d":[2,1],"c":null}}'] = '{"a":{"c":null,"d":[2,1]},"b":1}',
    ["{}"] = "{}",
    ['"x\\n"'] = '"x\\n"',
    ['[[1],{},[{"z":1,"y":false}]]'] = '[[1],{},[{"y":false,"z":1}]]',
  } do
    it("writes " .. text .. " as " .. expected, function() assert.equal(expected, canonical(json.decode(text))) end)
  end
end)
