-- `stance check`: broken scripts of every sort, told by file and line, by the real binary.
local json = require "json"
local support = require "spec.e2e.support"

local head = "local t = require 'stance.schema'\nreturn { name = 'NAME', version = 1, params = t.object {}, "

--- A workflow that is well but for what is put in at the end of its table.
local function workflow(name, rest) return head:gsub("NAME", name) .. (rest or "run = function() end }") end

describe("stance check", function()
  local folder

  before_each(function() folder = support.folder() end)
  after_each(function() support.shell("rm -rf " .. folder) end)

  local function write(scripts)
    for path, text in pairs(scripts) do support.write(folder .. "/scripts/" .. path, text) end
  end

  --- -> lines on stdout as a set-like list of those about our scripts, exit code, stderr
  local function check(arguments)
    local text = support.shell(("cd %s && %s check %s 2>err; echo $?"):format(folder, support.absolute_binary, arguments or "scripts"))
    local lines = {}
    for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines, tonumber(table.remove(lines)), support.shell("cat " .. folder .. "/err")
  end

  it("finds nothing wrong with the scripts that are shipped", function()
    support.shell("mkdir " .. folder .. "/scripts")
    local lines, code, said = check "--strict"
    assert.same({}, lines)
    assert.equal(0, code)
    assert.match("^%d+ scripts: 0 errors, 0 warnings, 0 hints$", said)
  end)

  local cases = {
    { "a syntax error", "workflows/a.lua", "local x = 1\nlocal y = = 2", ":2: error: unexpected symbol near '='" },
    { "an error while it loads", "workflows/a.lua", "local x\nreturn x.y",
      ":2: error: attempt to index local 'x' (a nil value)" },
    { "an error of a module that it uses", "workflows/a.lua", "local ok = 1\nreturn require 'lib.b'", ":2: error: lib/b.lua:1: no luck",
      ["lib/b.lua"] = "error 'no luck'" },
    { "a missing field", "workflows/a.lua", "return { name = 'a', version = 1, run = print }", ":1: error: has no 'params'" },
    { "a field of the wrong type", "workflows/a.lua", workflow("a", "\n  run = 7 }"),
      ":3: error: 'run' must be a function, not a number" },
    { "another name", "workflows/a.lua", workflow "b", ":2: error: is named 'b'; the file's name and `name` must agree" },
    { "no table", "workflows/a.lua", "local x = 1\nreturn x", ":2: error: must return a table, not a number" },
    { "a misspelt field", "workflows/a.lua", workflow("a", "run = print,\n  retires = 2 }"),
      ":3: warning: a workflow has no field 'retires'; did you mean 'retries'?" },
    { "a limit that is none", "workflows/a.lua", workflow("a", "run = print,\n  concurrency = 0 }"),
      ":3: error: 'concurrency' must be an integer of at least 1, not 0" },
    { "a default that its type refuses", "workflows/a.lua",
      "local t = require 'stance.schema'\nlocal n = t.integer { default = 0, min = 1 }",
      ":2: error: default must be an integer of at least 1, got 0" },
    { "an option that schemas have not", "workflows/a.lua", "local t = require 'stance.schema'\nlocal n = t.integer { defualt = 1 }",
      ":2: error: a schema has no option 'defualt'; did you mean 'default'?" },
    { "an example that does not fit", "workflows/a.lua",
      (workflow("a"):gsub("{}", "{\n  n = t.integer { max = 3, doc = 'n', example = 4 } }")),
      ":3: warning: its example does not fit: params.n must be an integer of at most 3, got 4" },
    { "a parameter without a word", "workflows/a.lua", (workflow("a"):gsub("{}", "{\n  n = t.integer }")),
      ":3: hint: params.n has no `doc`: say what it is for" },
    { "a check that raises", "workflows/a.lua", workflow("a", "run = print,\n  check = function()\n    error 'bad day'\n  end }"),
      ":4: error: its check() failed: bad day" },
    { "a check that says no", "workflows/a.lua", workflow("a", "run = print,\n  check = function() return nil, 'no disk' end }"),
      ":3: error: its check() says: no disk" },
    { "an estimate that fails", "workflows/a.lua", workflow("a", "run = print,\n  estimate = function(p) return p.x.y end }"),
      ":3: error: its estimate() fails with parameters that are allowed: attempt to index field 'x' (a nil value)" },
    { "a global that is set", "lib/a.lua", "local M = {}\nfunction helper() end\nreturn M",
      ":2: warning: sets the global 'helper': write `local helper`, or spell it as the local that is meant" },
    { "a global that nobody sets", "lib/a.lua", "return function(x)\n  return tostrnig(x)\nend",
      ":2: error: reads the global 'tostrnig', which nobody sets; did you mean 'tostring'?" },
    { "a global that another script sets", "lib/a.lua", "return function() return helper() end",
      ":1: warning: reads the global 'helper' that lib/b.lua sets: let that return it, and require it",
      ["lib/b.lua"] = "rawset(_G, 'x', 1)\nlocal function f() helper = 1 end\nreturn f" },
    { "a library's function that is not there", "lib/a.lua", "return function(s) return string.fromat(s) end",
      ":1: warning: there is no string.fromat here; did you mean string.format?" },
    { "a call that blocks", "lib/a.lua", "return function()\n  return io.open 'x'\nend",
      ":2: error: io.open: blocks the loop; use fs.open, fs.read or fs.write" },
    { "a call that leaves", "lib/a.lua", "return function() os.exit(1) end",
      ":1: error: os.exit: would end the process; return, or raise an error" },
    { "a module that is not there", "lib/a.lua", "return function() return require 'stance.jbo' end",
      ":1: error: require 'stance.jbo': there is no such module; did you mean 'stance.job'?" },
    { "a module that scripts may not have", "lib/a.lua", "return function() return require 'socket' end",
      ":1: error: require 'socket': blocks the loop; use http or ws" },
    { "a loop without end", "workflows/a.lua", "local n = 0\nwhile true do\n  n = n + 1\nend",
      ":%d: error: ran for more than 2 s without a pause", pattern = true },
    { "memory without end", "workflows/a.lua", "local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end",
      ":1: error: takes too much memory to load" },
    { "a route that is none", "api/a.lua", "return function(route)\n  route.get '/a' { doc = 'a' }\nend",
      ":2: error: the route /a needs a handler" },
    { "a route that is there already", "api/a.lua", "return function(route, app)\n  local jobs = app.jobs.events\n"
      .. "  route.get '/health' { handler = function() return jobs end }\nend", ":3: error: there is a route GET /health already" },
    { "a route script of another shape", "api/a.lua", "return {}", ":1: error: must return a function(route, app), not a table" },
    { "a policy of another shape", "policies/tools.lua", "return 7", ":1: error: a policy must return a table, not a number" },
    { "a scope that no route asks for", "policies/scopes.lua", "return {\n  ['local'] = { 'jobs:wirte', 'jobs:*' },\n}",
      ":2: warning: no route asks for the scope 'jobs:wirte'; did you mean 'jobs:write'?" },
    { "a folder that nobody looks into", "workflow/a.lua", "return {}",
      ":1: warning: nothing looks into the folder 'workflow' by itself; did you mean 'workflows'?" },
    { "a file too deep", "workflows/x/a.lua", "return {}", ":1: warning: nothing loads this as a workflow: its name may have letters, "
      .. "digits, _ and -, in no further folder" },
    { "a doctor's check of another shape", "doctor/a.lua", "return { name = 'disk' }",
      ":1: error: must return { name = \"...\", run = function(report) ... end }" },
  }
  for _, case in ipairs(cases) do
    local what, path, text, expected = unpack(case, 1, 4)
    it("tells of " .. what, function()
      for more, content in pairs(case) do
        if type(more) == "string" and more:find "/" then write { [more] = content } end
      end
      write { [path] = text }
      local lines, code = check("--workspace scripts scripts/" .. path)
      assert.equal(1, #lines, table.concat(lines, "\n"))
      if case.pattern then assert.match("^scripts/" .. path .. expected, lines[1])
      else assert.equal("scripts/" .. path .. expected, lines[1]) end
      assert.equal(expected:find "error:" and 1 or 0, code)
    end)
  end

  it("goes on after a script that is broken, and names each", function()
    write { ["workflows/a.lua"] = "while true do end", ["workflows/b.lua"] = "x = = 1", ["workflows/c.lua"] = workflow "c" }
    local lines, code, said = check()
    assert.equal(2, #lines)
    assert.equal(1, code)
    assert.match("2 errors, 0 warnings", said)
  end)

  it("says which script hangs where nothing can stop it", function()
    write { ["workflows/a.lua"] = "return (('a'):rep(40)):find(('a-'):rep(40) .. 'b')" }
    local _, code, said = check()
    assert.equal(1, code)
    assert.match("scripts/workflows/a.lua:1: error: hangs in a call that nothing can interrupt", said)
  end)

  it("lets warnings pass, unless it is strict", function()
    write { ["lib/a.lua"] = "x = 1\nreturn {}" }
    assert.equal(0, select(2, check()))
    assert.equal(1, select(2, check "--strict scripts"))
  end)

  it("prints one object with --json", function()
    write { ["workflows/a.lua"] = "\nx = = 1" }
    local lines, code = check "--json scripts"
    local answer = json.decode(table.concat(lines))
    assert.equal(1, code)
    assert.is_false(answer.ok)
    assert.same({ path = "workflows/a.lua", origin = folder .. "/scripts/workflows/a.lua", line = 2, severity = "error",
      message = "unexpected symbol near '='" }, answer.problems[1])
  end)

  it("takes the workspace of the settings, and folders of scripts in it", function()
    write { ["workflows/a.lua"] = "x = = 1", ["lib/b.lua"] = "y = = 1" }
    assert.equal(2, #(check("--workspace " .. folder .. "/scripts")))
    assert.equal(1, #(check "scripts/workflows"))
  end)

  it("refuses what is no script", function()
    write { ["spec/workflows/a_spec.lua"] = "", ["notes.txt"] = "" }
    local _, code, said = check "scripts/none.lua"
    assert.equal(3, code)
    assert.match("there is no file or folder scripts/none.lua", said)
    _, code, said = check "scripts/spec/workflows/a_spec.lua"
    assert.equal(2, code)
    assert.match("is a spec: `stance test scripts/spec/workflows/a_spec.lua`", said)
    _, code, said = check "scripts/notes.txt"
    assert.equal(2, code)
    assert.match("the host would load no script from there", said)
  end)

  describe("--run", function()
    local text = [[
      local t = require "stance.schema"
      return { name = "slow", version = 1,
        params = t.object { hours = t.number { default = 1, doc = "to sleep" }, fetch = t.boolean { default = false, doc = "?" } },
        run = function(job, p)
          job:step("note", function(step) step:artifact("note.txt", "hello") end)
          job:log("sleeping", { hours = p.hours })
          job:sleep(p.hours * 3600)
          if p.fetch then assert(require("http").get "http://127.0.0.1:1/") end
          return { slept = p.hours }
        end }]]

    before_each(function() write { ["workflows/slow.lua"] = text } end)

    it("does a job in a moment and shows what came of it", function()
      local lines, code = check [[scripts/workflows/slow.lua --run '{"params": {"hours": 2}}']]
      assert.equal(0, code)
      assert.same({ "step      note", "step      sleep", "artifact  note.txt, 5 bytes", 'log       info: sleeping {"hours":2}',
        'result    {"slept":2}' }, { unpack(lines, 1, 5) })
      assert.match("^completed %(after 2 h", lines[6])
    end)

    it("prints one object with --json", function()
      local lines, code = check "scripts/workflows/slow.lua --json --run '{}'"
      local answer = json.decode(table.concat(lines))
      assert.same({ 0, "completed", { slept = 1 } }, { code, answer.status, answer.result })
      assert.same({ { name = "note.txt", size = 5 } }, answer.artifacts)
    end)

    it("has no network, and says what failed", function()
      local lines, code = check [[scripts/workflows/slow.lua --run '{"params": {"fetch": true}}']]
      assert.equal(8, code)
      assert.match("^failed: http: there is no network in a dry run", lines[#lines])
    end)

    local refusals = {
      { [[--run '{"params": {"hours": "x"}}']], 2, "the job would be refused: params.hours must be a number, got \"x\"" },
      { "--run 7", 2, "--run takes an object" },
      { "--run '{'", 2, "--run takes an object" },
      { "--run '{}' scripts", 2, "--run wants one workflow" },
      { "--run '{}'", 2, "--run wants one workflow", "scripts/workflows" },
    }
    for _, case in ipairs(refusals) do
      it("refuses " .. case[1] .. (case[4] and " of a folder" or ""), function()
        local _, code, said = check((case[4] or "scripts/workflows/slow.lua") .. " " .. case[1])
        assert.equal(case[2], code)
        assert.match(case[3], said, 1, true)
      end)
    end
  end)
end)
