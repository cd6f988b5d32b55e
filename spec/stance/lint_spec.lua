local lint = require "lint"

--- "kind name[.field]:line" of each finding, sorted.
local function scan(text)
  local words = {}
  for i, finding in ipairs(assert(lint.scan(text, "@x.lua"))) do
    words[i] = ("%s %s%s:%d"):format(finding.kind, finding.name, finding.field and "." .. finding.field or "", finding.line)
  end
  table.sort(words)
  return words
end

describe("lint", function()
  local cases = {
    ["a read"] = { "local a = 1\nreturn cuont", { "read cuont:2" } },
    ["a write"] = { "\n\ntotal = 1", { "write total:3" } },
    ["a function's name"] = { "function helper() end", { "write helper:1" } },
    ["a field"] = { "return string.fromat('x')", { "read string.fromat:1" } },
    ["a module"] = { "local fs = require 'fs'\nlocal x = require('a.b').c", { "read require:1", "read require:2", "require a.b:2",
      "require fs:1" } },
    ["no module that is only tried"] = { "local ok = pcall(require, 'ffi')\nreturn ok", { "read pcall:1", "read require:1" } },
    ["functions in functions"] = { "return function()\n return function(a)\n  return a + b\n end\nend", { "read b:3" } },
    ["locals, arguments and upvalues: nothing"] = { "local a, t = 1, {}\nreturn function(x) t.y = a + x return t.z end", {} },
    ["an empty text: nothing"] = { "", {} },
  }
  for what, case in pairs(cases) do
    it("sees " .. what, function() assert.same(case[2], scan(case[1])) end)
  end

  it("finds names beyond the first 256 constants", function()
    local lines = {}
    for i = 1, 400 do lines[i] = ("local function f%d() return name_%d end"):format(i % 100, i) end
    for i = 1, 300 do lines[#lines + 1] = ("call(a_%d)"):format(i) end
    local words = scan("do " .. table.concat(lines, " end\ndo ") .. " end")
    assert.equal(1000, #words)
  end)

  it("tells a syntax error with its line", function()
    local found, why = lint.scan("local a = 1\nlocal b = = 2", "@x.lua")
    assert.is_nil(found)
    assert.equal("x.lua:2: unexpected symbol near '='", tostring(why))
  end)

  it("takes text only, and runs nothing", function()
    assert.is_nil((lint.scan(string.dump(function() end), "@x.lua")))
    assert.same({ "read error:1" }, scan "error 'it ran'")
  end)
end)
