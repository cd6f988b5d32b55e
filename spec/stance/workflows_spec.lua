local host = require "host"
local workflows = require "stance.workflows"

describe("workflows", function()
  local real_script, real_scripts, scripts

  --- A generation that also has these workflows.
  local function given(texts)
    for name, text in pairs(texts) do
      scripts["workflows/" .. name .. ".lua"] = text
      package.preload["workflows." .. name] = assert(loadstring(text, "=workflows/" .. name .. ".lua"))
    end
  end

  before_each(function()
    scripts, real_script, real_scripts = {}, host.script, host.scripts
    host.script = function(path) return scripts[path] or real_script(path) end
    host.scripts = function()
      local list = real_scripts()
      for path in pairs(scripts) do list[#list + 1] = { path = path } end
      table.sort(list, function(a, b) return a.path < b.path end)
      return list
    end
  end)

  after_each(function()
    host.script, host.scripts = real_script, real_scripts
    for path in pairs(scripts) do
      local name = path:gsub("/", "."):gsub("%.lua$", "")
      package.preload[name], package.loaded[name] = nil, nil
    end
  end)

  local head = 'local t = require "stance.schema"\n'

  it("loads what a file returns", function()
    given { greet = head .. 'return { name = "greet", version = 2, params = t.object {}, run = function() return "hello" end }' }
    local greet = assert(workflows.load "greet")
    assert.same({ "greet", 2, "hello" }, { greet.name, greet.version, greet.run() })
    assert.equal(greet, workflows.load "greet")
  end)

  it("lists the job types, sorted", function()
    given { zebra = "", ape = "" }
    scripts["workflows/deep/er.lua"], scripts["api/zoo.lua"] = "", ""
    local names = {}
    for _, name in ipairs(workflows.names()) do names[#names + 1] = name end
    assert.equal("ape", names[1])
    assert.equal("zebra", names[#names])
    assert.is_truthy(table.concat(names, " "):find("render", 1, true))
    for _, name in ipairs(names) do assert.is_falsy(name:find "er$" and name ~= "render" or name == "zoo") end
  end)

  it("says which there are when there is none of that name", function()
    for _, name in ipairs { "nonsense", "", "../boot", "a/b", "a.b", "render.lua", ("x"):rep(1000), "ren\0der", "*" } do
      local workflow, why = workflows.load(name)
      assert.is_nil(workflow)
      assert.equal("not_found", why.code)
      assert.is_truthy(why.message:find("render", 1, true))
    end
    for _, name in ipairs { 7, true, {} } do assert.equal("not_found", select(2, workflows.load(name)).code) end
    assert.equal("not_found", select(2, workflows.load(nil)).code)
  end)

  for what, case in pairs {
    ["returns nothing"] = { "local x = 1", "must return a table" },
    ["returns a number"] = { "return 5", "must return a table, not a number" },
    ["has no name"] = { 'return { version = 1, params = t.object {}, run = print }', "has no 'name'" },
    ["has no run"] = { 'return { name = "bad", version = 1, params = t.object {} }', "has no 'run'" },
    ["has no params"] = { 'return { name = "bad", version = 1, run = print }', "has no 'params'" },
    ["has no version"] = { 'return { name = "bad", params = t.object {}, run = print }', "has no 'version'" },
    ["has another name"] = { 'return { name = "good", version = 1, params = t.object {}, run = print }', "is named 'good'" },
    ["has params that are no schema"] = { 'return { name = "bad", version = 1, params = {}, run = print }', "must be a schema" },
    ["has a run that is a table"] = { 'return { name = "bad", version = 1, params = t.object {}, run = {} }', "'run' must be a function" },
    ["has retries in words"] = { 'return { name = "bad", version = 1, params = t.object {}, run = print, retries = "two" }',
      "'retries' must be a number, not a string" },
    ["fails while it loads"] = { "local nothing\nreturn nothing.x", "workflows/bad.lua:3:" },
    ["raises an error table"] = { 'error(require "stance.err"("busy", "no %s", "luck"))', "no luck" },
    ["misses a module"] = { 'return require "stance.no_such_thing"', "stance.no_such_thing" },
  } do
    it("is invalid when it " .. what .. ", each time it is asked", function()
      given { bad = head .. case[1] }
      for _ = 1, 2 do
        local workflow, why = workflows.load "bad"
        assert.is_nil(workflow)
        assert.equal("invalid", why.code)
        assert.is_truthy(why.message:find("workflows/bad.lua", 1, true), why.message)
        assert.is_truthy(why.message:find(case[2], 1, true), why.message)
      end
    end)
  end

  it("tells the reason again when a module below it fails", function()
    package.preload["workflows.helper"] = assert(loadstring('error "helper is ill"', "=helper.lua"))
    given { bad = 'return require "workflows.helper"' }
    for _ = 1, 2 do
      local _, why = workflows.load "bad"
      assert.is_truthy(why.message:find("helper is ill", 1, true), why.message)
    end
    package.preload["workflows.helper"], package.loaded["workflows.helper"] = nil, nil
  end)

  it("of this generation are all whole", function()
    for _, name in ipairs(workflows.names()) do assert(workflows.load(name)) end
  end)
end)
