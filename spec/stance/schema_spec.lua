local t = require "stance.schema"
local json = require "json"

local function faults(schema, value, options)
  local copy, why = schema:check(value, options)
  assert.is_nil(copy)
  assert.equal("invalid", why.code)
  local list = {}
  for i, fault in ipairs(why.errors) do list[i] = fault.path .. ": " .. fault.message end
  return list
end

describe("schema", function()
  it("fills in defaults in a copy", function()
    local schema = t.object {
      angles = t.integer { default = 8 }, size = t.size { default = { 512, 512 } }, name = t.string { optional = true },
    }
    local input = {}
    local value = assert(schema:check(input))
    assert.same({ angles = 8, size = { 512, 512 } }, value)
    assert.same({}, input)
    value.size[1] = 1
    assert.same({ 512, 512 }, schema:check({}).size)
  end)

  it("takes what is right", function()
    local cases = {
      { t.integer { min = 1, max = 3 }, 3 }, { t.number, -0.5 }, { t.string { pattern = "^%l+$" }, "abc" }, { t.boolean, false },
      { t.enum { "a", 4 }, 4 }, { t.list(t.integer), { 1, 2 } }, { t.list(t.integer), {} }, { t.size, { 640, 480 } }, { t.path, "a/b" },
      { t.any, { x = 1 } }, { t.map(t.number), { a = 1 } }, { t.object { a = t.any } { open = true }, { a = 1, b = 2 } },
    }
    for _, case in ipairs(cases) do assert.same(case[2], (case[1]:check(case[2]))) end
  end)

  it("says what is wrong, where", function()
    local schema = t.object {
      angles = t.integer { default = 8, min = 1, max = 360 }, distance = t.number { min = 0, unit = "m" },
      mode = t.enum { "fast", "fine" } { optional = true },
      characters = t.list(t.path) { min = 1 }, flag = t.boolean { optional = true }, size = t.size { optional = true },
    }
    assert.same({
      'params.angles: must be an integer from 1 to 360, got "x"',
      "params.characters: must have at least 1 entry, has 0",
      "params.distance: is missing",
      "params.flag: must be true or false, got 1",
      'params.mode: must be one of "fast", "fine", got "fats"; did you mean "fast"?',
      "params.size: must be [width, height] in pixels, from 1 to 16384, got a list",
      'params.angels: is not known here; did you mean "angles"?',
    }, faults(schema, { angles = "x", characters = {}, flag = 1, mode = "fats", size = { 0, 1 }, angels = 3 }, { at = "params" }))
    assert.same({ "characters[2]: must be a string, got 7", "distance: must be a number of at least 0 (m), got -1" },
      faults(schema, { characters = { "a", 7 }, distance = -1 }))
  end)

  it("refuses numbers that are none", function()
    for _, value in ipairs { 0 / 0, 1 / 0, -1 / 0, 1.5, 2 ^ 60, "1" } do assert.is_nil((t.integer:check(value))) end
  end)

  it("reads strings as numbers and booleans when told to", function()
    local schema = t.object {
      limit = t.integer { default = 50 }, follow = t.boolean { default = false }, wait = t.number { default = 0 },
      tag = t.list(t.string) { optional = true },
    }
    assert.same({ limit = 7, follow = true, wait = 0.5, tag = { "a" } },
      schema:check({ limit = "7", follow = "1", wait = ".5", tag = "a" }, { coerce = true }))
    assert.same({ 'limit: must be an integer, got "7x"' }, faults(schema, { limit = "7x" }, { coerce = true }))
    assert.same({ 'limit: must be an integer, got "0x10"' }, faults(schema, { limit = "0x10" }, { coerce = true }))
  end)

  it("takes null for absent", function()
    assert.same({ n = 3 }, t.object({ n = t.integer { default = 3 } }):check { n = json.null })
    assert.same({ "n: is missing" }, faults(t.object { n = t.integer }, { n = json.null }))
  end)

  it("refines without changing what it refines", function()
    local short = t.string { max = 3 }
    local optional = short { optional = true }
    assert.is_nil((short:check(nil)))
    assert.is_nil(select(2, optional:check(nil)))
    assert.is_nil((optional:check("long")))
    assert.equal("long", (t.string:check("long")))
  end)

  it("raises for mistakes in itself", function()
    assert.error(function() return t.integer { defualt = 1 } end, "a schema has no option 'defualt'; did you mean 'default'?")
    assert.error(function() return t.integer { default = "x" } end, 'default must be an integer, got "x"')
    assert.error(function() return t.object { a = 1 } end, "field 'a' is not a schema")
  end)

  it("describes itself as JSON Schema", function()
    local schema = t.object {
      n = t.integer { default = 8, min = 1, doc = "how many" }, m = t.enum { "a", "b" }, s = t.size { optional = true },
    }
    assert.same({
      type = "object", required = { "m" }, additionalProperties = false,
      properties = {
        n = { type = "integer", minimum = 1, default = 8, description = "how many" }, m = { enum = { "a", "b" } },
        s = { type = "array", minItems = 2, maxItems = 2, items = { type = "integer", minimum = 1, maximum = 16384 } },
      },
    }, schema:json_schema())
  end)
end)
