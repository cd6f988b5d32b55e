-- `stance console` against a real host: given lines, and a person at a terminal.
local json, fiber = require "json", require "fiber"
package.path = "spec/e2e/?.lua;" .. package.path
local support, open_terminal = require "support", require("terminal").open

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

describe("the console of a host", function()
  local host, folder
  setup(function()
    host = support.host { flags = "--workers 1" }
    folder = support.folder()
  end)
  teardown(function()
    host:stop()
    support.shell("rm -rf " .. folder)
  end)

  --- What a command line printed: { status, out, err }.
  local function console(arguments, input)
    support.write(folder .. "/input", input or "")
    local line = ("STANCE_DATA=%s/data timeout 60 %s console %s <%s/input >%s/out 2>%s/err; echo $?")
    local status = support.shell(line:format(host.folder, support.binary, arguments, folder, folder, folder))
    return { status = tonumber(status), out = read(folder .. "/out"), err = read(folder .. "/err") }
  end

  local function audited(where)
    return support.shell(("sqlite3 %s/data/stance.db \"SELECT %s\""):format(host.folder, where))
  end

  describe("given lines", function()
    it("prints the values of an expression, and nothing of a statement", function()
      assert.same({ status = 0, out = "2\n", err = "" }, console "-e '1 + 1'")
      assert.same({ status = 0, out = "", err = "" }, console "-e 'x = 1'")
      assert.same({ status = 0, out = "5\n", err = "" }, console "-e 'x = 5' -e x")
      assert.equal('{ cancelled = 0, completed = 0, failed = 0, pending = 0, processing = 0 }\n', console("-e 'jobs:counts()'").out)
    end)

    it("takes print to the one who asked", function()
      assert.same({ status = 0, out = "a\t1\tnil\n2\n", err = "" }, console [[-e 'print("a", 1, nil) return 2']])
    end)

    it("tells errors apart, and stops at the first", function()
      local result = console "-e 'error(\"boo\")' -e 1"
      assert.same({ status = 1, out = "", err = "console:1: boo\n" }, result)
      assert.equal(1, console("-e 'x ='").status)
      assert.matches("no command :nonsense", console("-e :nonsense").err, 1, true)
    end)

    it("takes lines from a pipe as if typed", function()
      local result = console("", "for i = 1, 2 do\n  print(i)\nend\nx = 3\nx\n:workers\nerror 'stop'\n4\n")
      assert.equal(1, result.status)
      assert.matches("^1\n2\n3\nWORKER.*worker%-1", result.out)
      assert.equal("stdin:1: stop\n", result.err)
      assert.matches("'end' expected", console("", "if true then").err)
    end)

    it("takes a file as one chunk", function()
      support.write(folder .. "/mend.lua", "#!/usr/bin/stance console\nlocal found = jobs:counts()\nprint('failed', found.failed)\nfound")
      assert.same({ status = 0, out = "failed\t0\n" }, (function(r) return { status = r.status, out = r.out:match "^[^{]*" } end)(
        console(folder .. "/mend.lua")))
      assert.equal("3\n", console("-", "local a = 1\nlocal b = 2\nreturn a + b\n").out)
      assert.equal(2, console("/nonexistent.lua").status)
    end)

    it("answers in JSON", function()
      assert.same({ ok = true, values = { { a = { 1 } }, json.null }, output = "out\n" },
        json.decode(console("--json -e 'print(\"out\") return { a = { 1 } }, nil'").out))
      local result = console("--json -e 'jobs:nope()'")
      assert.equal(1, result.status)
      assert.is_false(json.decode(result.out).ok)
      assert.matches("nope", json.decode(result.out).error.message)
    end)

    it("shows a page of what is long, and the rest when asked", function()
      local lines = [[-e 't = {} for i = 1, 99 do t[i] = ("x"):rep(900) end' -e t -e :more -e :more -e :more]]
      local result = console(lines)
      local _, entries = result.out:gsub('"xxx', "")
      assert.equal(99, entries)
      assert.matches("bytes more: `:more`", result.out, 1, true)
      assert.matches("there is no more", result.err)
      local cut = console([[-e 'string.rep("a", 40000)' -e 'pp(string.rep("a", 40000), { text = 1e6 })']])
      assert.matches("40,000 bytes", cut.out)
      assert.is_true(#cut.out > 40000)
    end)

    it("explains what it is asked about", function()
      assert.matches("fiber.spawn(fn, ...)", console("-e ':help fiber.spawn'").out, 1, true)
      assert.matches("stance/jobs.lua:%d+", console("-e ':help jobs.submit'").out)
      assert.matches(":rollback", console("-e :help").out, 1, true)
      assert.equal(1, console("-e ':help no_such_thing'").status)
    end)

    it("shows what the host does", function()
      assert.matches("leases +waiting +[%d.]+ s", console("-e ':fibers lease'").out)
      assert.matches("generation %x+.*worker%-1", console("-e :top").out)
      assert.matches("no Lua pattern", console("-e ':fibers ['").err)
      assert.matches("ms, script memory", console("-e ':time jobs:counts()'").out)
    end)

    it("audits each evaluation and command", function()
      console [[-e '"marked " .. 1']]
      console [[-e 'error("marked 2")']]
      local rows = audited "actor, action, outcome, resource FROM audit WHERE resource LIKE '%marked%' ORDER BY seq DESC LIMIT 2"
      local error_row, good_row = rows:match "^(.-)\n(.*)$"
      assert.matches('^console:%d+/%w+/%d+|console%.eval|ok|"marked " .. 1$', good_row)
      assert.matches('|console%.eval|error|error%("marked 2"%)$', error_row)
      assert.matches('"service":"console","message":"console.eval"', host:log(), 1, true)
      console "-e ':fibers marked_command'"
      assert.equal("console.command|ok", audited "action, outcome FROM audit WHERE resource = ':fibers marked_command'")
      console("-", "-- long\nreturn '" .. ("x"):rep(10000) .. "'")
      assert.equal("4096", audited "length(resource) FROM audit ORDER BY seq DESC LIMIT 1")
    end)

    it("refuses what is too large, and says so", function()
      local result = console("-", "return #'" .. ("x"):rep(1100 * 1024) .. "'")
      assert.equal(1, result.status)
      assert.matches("at most", result.err)
      assert.equal("1000000\n", console("-", "return #'" .. ("x"):rep(1000000) .. "'").out)
    end)

    it("says how to find a host where none listens", function()
      local result = console "--socket /nonexistent/console.sock -e 1"
      assert.equal(6, result.status)
      assert.matches("stance serve", result.err, 1, true)
    end)
  end)

  it("keeps others out", function()
    assert.equal("600", support.shell(("stat -c %%a %s/data/console.sock"):format(host.folder)))
    local line = "%s serve --listen 127.0.0.1:0 --workers 0 --data %s/other --socket %s/data/console.sock 2>&1; echo $?"
    local second = support.shell(line:format(support.binary, folder, host.folder))
    assert.matches("another host listens there", second, 1, true)
    assert.matches("1$", second)
    assert.equal(0, console("-e 1").status)
  end)

  it("ends what ran for one that vanished", function()
    local line = "STANCE_DATA=%s/data timeout -s KILL 1 %s console -e 'while true do end' 2>/dev/null || true"
    support.shell(line:format(host.folder, support.binary))
    assert.equal(200, host:get "/health")
    support.eventually("the audit row", 5, function()
      return audited "outcome FROM audit WHERE resource = 'while true do end' ORDER BY seq DESC LIMIT 1" == "interrupted"
    end)
  end)

  describe("at a terminal", function()
    local terminals = {}
    local function open(words)
      local terminal = open_terminal(support.binary .. " console " .. (words or ""),
        { STANCE_DATA = host.folder .. "/data", XDG_STATE_HOME = folder .. "/state", LANG = "C.UTF-8", NO_COLOR = "1" })
      terminals[#terminals + 1] = terminal
      terminal:sees "stance> "
      return terminal
    end
    after_each(function()
      for _, terminal in ipairs(terminals) do terminal:close() end
      terminals = {}
    end)

    it("evaluates, over several lines too", function()
      local terminal = open()
      terminal:enter("1 + 1", "\n2\n")
      terminal:enter("'grün €'", '\n"grün €"\n')
      terminal:type "for i = 1, 2 do\r"
      terminal:sees "-> "
      terminal:type "print('line', i)\r"
      terminal:sees "-> "
      terminal:enter("end", "line\t2\n")
      terminal:enter("_", '"grün €"')
      terminal:type "\4"
      terminal:sees "ended with 0"
    end)

    it("completes names, members, methods, modules and commands", function()
      local terminal = open()
      terminal:type "jobs:canc\t"
      terminal:enter("('nobody')", "there is no job nobody")
      terminal:type "jobs:sub\t"
      terminal:sees "jobs:submit"
      terminal:type "\3"
      terminal:sees "stance> "
      terminal:type "jobs:\t"
      terminal:sees "cancel"
      terminal:sees "retry"
      terminal:type "\21require 'stance.console.com\t\t"
      terminal:sees "commands"
      terminal:type "\21:gen\t"
      terminal:sees ":generations"
      terminal:type "\3"
    end)

    it("remembers, also after leaving", function()
      local terminal = open()
      terminal:enter("first_thing = 41", "first_thing = 41")
      terminal:enter("first_thing + 1", "\n42\n")
      terminal:enter("\27[A\27[A + 0\27[D\27[D\27[D\27[D; first_thing", "\n41\n") -- up twice, and edited in the middle
      terminal:type ":quit\r"
      terminal:sees "ended with 0"
    end)

    it("searches its history, and takes pasted text as text", function()
      local terminal = open()
      terminal:enter("needle = 7", "needle = 7")
      terminal:enter("1", "\n1\n")
      terminal:type "\18needl"
      terminal:sees "bck:"
      terminal:enter("\5; needle * 2", "\n14\n")
      terminal:enter("\27[200~a = 3\rb = a *\t2\ra + b\27[201~", "\n9\n")
      terminal:enter("\27bbword\1\27fx\11y = 'äb'", "")
      terminal:close()
      terminals = {}
      terminal = open()
      terminal:enter("\27[A\27[A\27[A", "")
      assert.matches("needle * 2", read(folder .. "/state/stance/console_history"), 1, true)
      assert.equal("600", support.shell(("stat -c %%a %s/state/stance/console_history"):format(folder)))
    end)

    for _, endless in ipairs { "while true do end", "for i = 1, 1e18 do end", "while true do pcall(error) end", "fiber.sleep(1000)",
      "repeat local t = string.rep('x', 100) until t == nil", ":log debug" } do
      it("interrupts `" .. endless .. "`, and the host goes on", function()
        local terminal, other = open(), open()
        terminal:type(endless .. "\r")
        terminal:sees(endless)
        fiber.sleep(0.3) -- it runs, or comes to
        terminal:type "\3"
        terminal:sees "interrupted"
        terminal:sees "stance> "
        assert.equal(200, host:get "/health")
        other:enter("6 * 7", "\n42\n")
        terminal:enter("7 * 7", "\n49\n")
      end)
    end

    it("clears the line at Ctrl-C, and a chunk that was begun", function()
      local terminal = open()
      terminal:type "never = 1\3"
      terminal:sees "^C"
      terminal:type "if true then\r"
      terminal:sees "-> "
      terminal:type "\3"
      terminal:enter("never", "\nnil\n")
    end)

    it("shows what comes while a line is typed", function()
      local terminal = open()
      terminal:enter(":trace on job.submitted", "trace is on")
      terminal:type "local half = 1 +"
      local id = host:submit("render", { characters = { "mannequin" }, angles = 1, size = { 64, 64 } })
      terminal:sees("job.submitted " .. id)
      terminal:enter(" 1", "")
      terminal:enter(":trace off", "trace is off")
      host:wait(id)
      terminal:enter(":jobs", id)
      terminal:enter(":job " .. id, "completed")
    end)

    it("says that its globals went when the scripts are replaced", function()
      local scripts = folder .. "/scripts"
      local other = support.host { flags = "--workers 0 --no-watch --workspace " .. scripts }
      local terminal = open("--data " .. other.folder .. "/data")
      terminal:enter("kept = 'so far'", "'so far'")
      terminal:enter(":reload", "is what runs already")
      terminal:enter("kept", '\n"so far"\n')
      local workflow = [[return { name = "hello", version = 1, params = require("stance.schema").object {}, run = function() end }]]
      support.write(scripts .. "/workflows/hello.lua", workflow)
      terminal:enter(":reload", "is active")
      terminal:enter("kept", "the scripts were replaced (generation ")
      terminal:enter("kept = 'again'; kept", '\n"again"\n')
      terminal:enter(":generations", "unchanged") -- the older one is draining, or stored already
      terminal:enter(":rollback", "is active")
      support.write(scripts .. "/workflows/hello.lua", "return {")
      terminal:enter(":reload", "workflows/hello.lua:1")
      other:stop()
      terminal:sees "the host has gone"
    end)

    it("leaves when the host goes", function()
      local other = support.host { flags = "--workers 0" }
      local terminal = open("--data " .. other.folder .. "/data")
      other:stop()
      terminal:sees "the host has gone"
      terminal:sees "ended with 6"
    end)
  end)
end)
