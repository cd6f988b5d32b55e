local commands, complete = require "stance.console.commands", require "stance.console.complete"
local evaluate, help, pretty = require "stance.console.evaluate", require "stance.console.help", require "stance.console.pretty"
local console, err, fiber, json = require "console", require "stance.err", require "fiber", require "json"

local function globals(app) return evaluate.globals(app or {}, { pp = pretty.text }) end

--- The outcome of a line, in a session of its own or in `session`.
local function run(text, session)
  local chunk, why = evaluate.compile(text, (session or globals()).env)
  return evaluate.run(assert(chunk, why))
end

describe("a line", function()
  local lines = {
    { "1 + 1", { 2 } },
    { "= 1 + 1", { 2 } },
    { "1, nil, 'x'", { 1, nil, "x" }, 3 },
    { "return 5", { 5 } },
    { "x = 5", {}, 0 },
    { "x = 5; x", { 5 } },
    { "local a = 2\na * a", { 4 } },
    { "y = 1\nz = 2\ny + z", { 3 } },
    { "'a' -- a remark", { "a" } },
    { "(function() return 1, 2 end)()", { 1, 2 } },
    { "for i = 1, 3 do n = i end n = n\nn", { 3 } },
    { "nil", { nil }, 1 },
  }
  for _, case in ipairs(lines) do
    it("gives its values: " .. case[1]:gsub("\n", " / "), function()
      local outcome = run(case[1])
      assert.is_true(outcome.ok)
      assert.equal(case[3] or #case[2], outcome.count)
      for i = 1, outcome.count do assert.equal(case[2][i], outcome.values[i]) end
    end)
  end

  for _, text in ipairs { "x =", "for i = 1, 2 do", "f(", "if a then\n b()", "{ 1,", "x = [[text", "function f()\n  return 1" } do
    it("goes on in the next one: " .. text:gsub("\n", " / "), function()
      local chunk, _, incomplete = evaluate.compile(text, {})
      assert.is_nil(chunk)
      assert.is_true(incomplete)
    end)
  end

  for _, text in ipairs { "x = = 1", "end", "'unfinished", "1 +* 2", "if then" } do
    it("is wrong for good: " .. text, function()
      local chunk, why, incomplete = evaluate.compile(text, {})
      assert.is_nil(chunk)
      assert.is_false(incomplete)
      assert.matches("^console:1: ", why)
    end)
  end

  it("tells what was raised, and where when that is deeper", function()
    local outcome = run "error 'boo'"
    assert.is_false(outcome.ok)
    assert.equal("console:1: boo", outcome.error)
    outcome = run "local function f() error { code = 'bad', message = 'worse' } end local function g() f() end g()"
    assert.equal("worse", outcome.error.message)
    assert.matches("in function 'f'.*in function 'g'", outcome.traceback)
    assert.is_nil(outcome.traceback:find("xpcall", 1, true))
  end)

  it("may wait", function() assert.equal(7, run("require('fiber').sleep(0) return 7").values[1]) end)
end)

describe("a session", function()
  it("keeps its globals to itself", function()
    local one, other = globals(), globals()
    run("colour = 'red'; function f() return colour end", one)
    assert.equal("red", run("f()", one).values[1])
    assert.is_nil(run("colour", other).values[1])
    assert.is_nil(rawget(_G, "colour"))
  end)

  it("forgets the locals of a line", function()
    local one = globals()
    run("local hidden = 1", one)
    assert.is_nil(run("hidden", one).values[1])
  end)

  it("has the app's services, modules by name, and stance.*", function()
    local jobs = {}
    local one = globals { jobs = jobs }
    assert.equal(jobs, run("jobs", one).values[1])
    assert.equal(fiber, run("fiber", one).values[1])
    assert.equal(require "stance.schema", run("stance.schema", one).values[1])
    assert.equal(string, run("string", one).values[1])
    assert.is_nil(run("no_such_name", one).values[1])
  end)
end)

describe("a value as text", function()
  local cyclic = { name = "a" }
  cyclic.again = { back = cyclic }
  local values = {
    { nil, "nil" }, { true, "true" }, { 1, "1" }, { 0.1, "0.1" }, { 1 / 3, "0.33333333333333331" }, { 2 ^ 53, "9007199254740992" },
    { 1e300, "1e+300" }, { 0 / 0, "nan" }, { json.null, "null" },
    { 'a "b"\n\t\\\0\27[31m', [["a \"b\"\n\t\\\0\027[31m"]] }, { "grün €", '"grün €"' }, { "\255\254x\194\155", '"\\255\\254x\\194\\155"' },
    { {}, "{}" }, { { 1, 2, "x" }, '{ 1, 2, "x" }' }, { { b = 1, a = 2, [3] = 3, [true] = 4 }, "{ [3] = 3, a = 2, b = 1, [true] = 4 }" },
    { { ["end"] = 1, ["two words"] = 2 }, '{ ["end"] = 1, ["two words"] = 2 }' }, { { 1, nil, 3 }, "{ 1, [3] = 3 }" },
    { { { { { { 5 } } } } }, "{ { { { {…} } } } }", true },
    { cyclic, '{ again = { back = <cycle: _> }, name = "a" }' },
    { err("not_found", "there is no %s", "x"), "error not_found: there is no x" },
    { print, "function (C)" }, { fiber.sleep, "function (C)" },
  }
  for _, case in ipairs(values) do
    it("reads " .. case[2]:sub(1, 50), function()
      local text, cut = pretty.text(case[1])
      assert.equal(case[2], text)
      assert.equal(case[3] or false, cut)
    end)
  end

  it("says where a function is from", function()
    assert.matches("^function stance/console/pretty%.lua:%d+$", (pretty.text(pretty.text)))
  end)

  it("takes several lines when one is too narrow", function()
    assert.equal('{\n  "aaaaaaaaaa",\n  "bbbbbbbbbb",\n  deep = { 1, 2 }\n}',
      pretty.text({ "aaaaaaaaaa", "bbbbbbbbbb", deep = { 1, 2 } }, { width = 20 }))
  end)

  it("leaves out what is too much, and says so", function()
    local long = {}
    for i = 1, 1000 do long[i] = i end
    local text, cut = pretty.text(long, { items = 3 })
    assert.equal("{ 1, 2, 3, … 997 more }", text)
    assert.is_true(cut)
    text, cut = pretty.text(("ü"):rep(2000), { text = 5 })
    assert.equal('"üü…" (4,000 bytes)', text)
    assert.is_true(cut)
    for i = 1, 1000 do long[i] = { i, { i } } end
    assert.is_true(#pretty.text(long, { items = 1000, bytes = 500 }) < 20000)
    for i = 1, 20000 do long["key" .. i] = i end
    assert.matches("20,996 more", (pretty.text(long, { items = 4 })))
  end)

  it("has colours where they are wanted", function()
    assert.equal('{ \27[36m1\27[0m, \27[32m"x"\27[0m }', pretty.text({ 1, "x" }, { color = true }))
    assert.equal('{ 1, "x" }', pretty.text { 1, "x" })
  end)

  it("survives a __tostring that fails, and calls no other metamethod", function()
    local function fail() error "no" end
    assert.matches("__tostring failed", (pretty.text(setmetatable({}, { __tostring = fail }))))
    assert.equal("{ a = 1 }", (pretty.text(setmetatable({ a = 1 }, { __index = fail, __len = fail, __eq = fail }))))
  end)

  it("becomes JSON of whatever can", function()
    local plain = pretty.plain { a = { 1, 2 }, f = print, n = 0 / 0 }
    assert.same({ a = { 1, 2 }, f = "function (C)", n = "nan" }, json.decode(json.encode(plain)))
    assert.equal("null", json.encode(pretty.plain(nil)))
    assert.same({ code = "bad", message = "worse" }, json.decode(json.encode(pretty.plain(err("bad", "worse")))))
    assert.matches("cycle", json.encode(pretty.plain(cyclic)))
  end)
end)

describe("completion", function()
  local Class = { submit = function() end, subject = 1 }
  Class.__index = Class
  local jobs = setmetatable({ sub = 2, other = 3, list = { deep_one = { deep_two = 1 } } }, Class)
  local none = { names = { "job", "jobs", "help" }, argument = function(name) return { name .. "_x", "y" } end }
  local session = globals { jobs = jobs }
  rawset(session.env, "my_own", { alpha = 1, beta = function() end })

  local cases = {
    { "jo", { "jobs" }, 1 }, { "print(jobs.sub", { "sub", "subject", "submit" }, 12 }, { "jobs:sub", { "submit" }, 6 },
    { "my_o", { "my_own" }, 1 }, { "my_own.", { "alpha", "beta" }, 8 }, { "my_own:", { "beta" }, 8 },
    { "jobs.list.deep_one.de", { "deep_two" }, 20 }, { "x = jobs.list['deep_one'].d", { "deep_two" }, 27 },
    { "string.upp", { "upper" }, 8 }, { "whi", { "while" }, 1 }, { "nothing_here.x", {}, 14 }, { "a..jo", { "jobs" }, 4 },
    { ":jo", { "job", "jobs" }, 2 }, { ":help f", {}, 7 }, { ":help h", { "help_x" }, 7 }, { ":", { "help", "job", "jobs" }, 2 },
    { 'require "stance.console.', nil, 10 }, { "stance.sche", { "schema" }, 8 }, { "fiber.spa", { "spawn" }, 7 }, { "jobs.other ", {}, 12 },
  }
  for _, case in ipairs(cases) do
    it("of `" .. case[1] .. "`", function()
      local found, from = complete.candidates(session, case[1], none)
      if case[2] then assert.same(case[2], found) end
      assert.equal(case[3], from)
      assert.is_true(case[2] ~= nil or #found >= 5)
    end)
  end

  it("finds the methods of userdata", function()
    rawset(session.env, "channel", fiber.channel())
    assert.same({ "close", "count" }, (complete.candidates(session, "channel:c", none)))
    assert.is_function(complete.resolve(session, "channel:get"))
  end)

  it("runs none of the code of what it looks at", function()
    rawset(session.env, "trap", setmetatable({ a = 1 }, { __index = function() error "called" end }))
    assert.same({ "a" }, (complete.candidates(session, "trap.", none)))
    assert.same({}, (complete.candidates(session, "trap.b.", none)))
  end)
end)

describe("help", function()
  local text = [[
--- things.lua - what this is for.
local M = {}

--- Makes one.
---@param name string  its name
---@param size? integer  bytes
---@return table thing
function M.new(name, size) end

---@class stance.thing
local Thing = {}

--- Does it.
function Thing:act() end

--- A private one.
local function hidden(a) return a end
return M, hidden
]]
  local entries = help.parse(text, "stance.things")

  it("comes from doc comments", function()
    local names = {}
    for i, entry in ipairs(entries) do names[i] = entry.signature end
    local expected = { "stance.things", "stance.things.new(name, size)", "stance.thing", "stance.thing:act()", "hidden(a)" }
    assert.same(expected, names)
    local shown = "  Makes one.\n    name: string  its name\n    size?: integer  bytes\n    returns table thing"
    assert.equal("stance.things.new(name, size)\n" .. shown, help.show(entries[2]))
  end)

  for name, expected in pairs { ["stance.things.new"] = 2, ["things.new"] = 2, new = 2, ["thing:act"] = 4, ["stance.thing.act"] = 4 } do
    it("finds " .. name, function()
      local found, exact = help.find(entries, name)
      assert.is_true(exact)
      assert.equal(entries[expected], found[1])
    end)
  end

  it("offers what is like it", function()
    local found, exact = help.find(entries, "thin")
    assert.is_false(exact)
    assert.is_true(#found > 1)
    assert.same({}, (help.find(entries, "nothing at all")))
  end)

  it("knows every module written in C", function()
    local texts = console.definitions()
    for _, name in ipairs(console.modules()) do assert.is_true(#help.parse(texts[name] or "", name) > 1, name) end
  end)
end)

describe("commands", function()
  it("are found by name, or by what makes it certain", function()
    local command, argument = commands.parse ":jobs failed "
    assert.equal("[STATUS]", command.usage)
    assert.equal("failed", argument)
    assert.equal(commands.parse ":fibers", (commands.parse " :fi"))
    assert.is_nil(commands.parse "x = 1")
    local none, why = commands.parse ":ro"
    assert.is_nil(why.code)
    assert.is_not_nil(none)
  end)

  it("say what is wrong", function()
    local _, why = commands.parse ":nonsense"
    assert.equal("not_found", why.code)
    _, why = commands.parse ":jo"
    assert.matches(":job, :jobs", why.message)
  end)
end)

describe("without a console", function()
  it("serving is an error, not a crash", function()
    local registration, why = console.serve { handler = print }
    assert.is_nil(registration)
    assert.equal("unsupported", why.code)
    assert.is_nil(console.current())
  end)
end)
