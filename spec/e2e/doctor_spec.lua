-- `stance doctor` with the real binary: what it finds wrong, and the operator's own checks.
local json = require "json"
local support = require "spec.e2e.support"

describe("stance doctor", function()
  local folder

  before_each(function() folder = support.folder() end)
  after_each(function() support.shell("rm -rf " .. folder) end)

  --- -> lines "STATUS name" -> {detail, remedy} by name; exit code; all of it as text
  local function doctor(environment)
    local command = "STANCE_DATA=%s/data STANCE_LISTEN=127.0.0.1:0 %s %s doctor --json 2>%s/err; echo $?"
    local text = support.shell(command:format(folder, environment or "", support.binary, folder))
    local object, code = text:match "^(.-)%s*(%d+)$"
    local checks = {}
    for _, check in ipairs(object ~= "" and json.decode(object).checks or {}) do
      checks[check.name] = checks[check.name] or {}
      table.insert(checks[check.name], { check.status, check.detail, check.remedy ~= json.null and check.remedy or nil })
    end
    return checks, tonumber(code), support.shell("cat " .. folder .. "/err")
  end

  local function write(path, text) support.write(("%s/data/workspace/%s"):format(folder, path), text) end

  local function close_data() support.shell(("mkdir -p %s/data && chmod 700 %s/data"):format(folder, folder)) end

  it("tells of this machine, a line for each thing", function()
    local checks, code = doctor()
    assert.equal(0, code)
    for _, name in ipairs { "executable", "libraries", "kernels", "gpu", "blender", "limits", "memory", "kernel", "settings", "data folder",
      "scripts", "host" } do
      assert.equal("OK", checks[name] and checks[name][1][1], name)
    end
    assert.match("openat2", checks.kernel[1][2])
    assert.match("not running; 127.0.0.1:0 is free", checks.host[1][2])
  end)

  it("looks at the socket that the settings name", function()
    local long = folder .. "/" .. ("x"):rep(120)
    local socket = doctor("STANCE_SOCKET=" .. long).socket[1]
    assert.same({ "WARN", long .. " is too long for a socket" }, { socket[1], socket[2]:match "^(.-) %(" })
    assert.is_nil(doctor("STANCE_SOCKET=/tmp/short.sock STANCE_DATA=" .. long).socket)
  end)

  it("tells which pose networks are there", function()
    if support.shell("ls build/models 2>/dev/null || true") ~= "" then
      local models = doctor().models[1]
      assert.equal("OK", models[1])
      assert.match("^lite, full, heavy in /.*/build/models$", models[2])
    end
    local checks, code = doctor("STANCE_MODELS=" .. folder)
    assert.equal(0, code)
    local status, detail, remedy = unpack(checks.models[1])
    assert.equal("WARN", status)
    assert.match(folder .. "/pose_solution_packed_assets.data", detail, 1, true)
    assert.match("make models", remedy)
  end)

  it("tells when another program has the port", function()
    support.write(folder .. "/server.lua", [[
      local server = assert(require("http").serve { handler = function() return 404, "what?" end })
      local file = io.open(arg[1] .. "/address", "w")
      file:write(server:address())
      file:close()
      require("fiber").sleep(60)]])
    local pid = support.shell(("build/stance-spec --script %s/server.lua %s >/dev/null 2>&1 & echo $!"):format(folder, folder))
    finally(function() support.shell("kill -9 " .. pid) end)
    local address = support.eventually("the other program", 10, function()
      local text = support.shell(("cat %s/address 2>/dev/null || true"):format(folder))
      return text ~= "" and text
    end)
    local checks, code = doctor("STANCE_LISTEN=" .. address)
    assert.equal(1, code)
    assert.same({ "FAIL", ("what answers at http://%s is no stance host"):format(address),
      "another program has the port: `stance serve --listen 127.0.0.1:PORT`" }, checks.host[1])
    support.shell("kill -STOP " .. pid)
    checks, code = doctor("STANCE_LISTEN=" .. address)
    assert.equal(1, code)
    assert.equal(("what listens at http://%s does not answer within 5 s"):format(address), checks.host[1][2])
  end)

  describe("the database", function()
    local file

    before_each(function()
      local host = support.host { folder = folder }
      host:stop()
      file = folder .. "/data/stance.db"
    end)

    it("that is whole", function()
      local checks, code = doctor()
      assert.equal(0, code)
      assert.match("^schema %d+; whole$", checks.database[1][2])
    end)

    it("that is damaged", function()
      local size = tonumber(support.shell("stat -c %s " .. file))
      support.shell(("dd if=/dev/urandom of=%s bs=1024 seek=8 count=%d conv=notrunc 2>/dev/null"):format(file, size / 1024 - 8))
      local checks, code = doctor()
      assert.equal(1, code)
      assert.equal("FAIL", checks.database[1][1])
      assert.match("put a backup of the data folder in its place", checks.database[1][3])
    end)

    it("that is none", function()
      support.write(file, ("no database\n"):rep(1000))
      local checks, code = doctor()
      assert.equal(1, code)
      assert.match("stance.db: file is not a database$", checks.database[1][2])
    end)

    it("of a newer stance", function()
      support.shell(("sqlite3 %s \"INSERT INTO schema_version VALUES (99, 'later', 0)\""):format(file))
      local checks, code = doctor()
      assert.equal(1, code)
      assert.match("has schema 99, this program knows %d+$", checks.database[1][2])
      assert.equal("install the newer stance that made it", checks.database[1][3])
    end)
  end)

  it("tells of scripts that a host would not take", function()
    close_data()
    write("workflows/a.lua", "local t = require 'stance.schema'\nreturn { name = 'b', version = 1, params = t.object {}, run = print }")
    local checks, code = doctor()
    assert.equal(1, code)
    assert.equal("FAIL", checks.scripts[1][1])
    assert.match("1 errors, 0 warnings: .*/workspace/workflows/a.lua:2: is named 'b'", checks.scripts[1][2])
    assert.equal("`stance check` tells all", checks.scripts[1][3])
  end)

  describe("runs the operator's own checks", function()
    before_each(close_data)

    local function own(body) write("doctor/mine.lua", "return { name = 'mine', run = function(report)\n" .. body .. "\nend }") end

    it("and shows their lines", function()
      own [[report:ok "well"
        report:warn("hm", "look at it")
        if require("fs").stat "/nowhere" == nil then report:fail "nowhere is not there" end]]
      local checks, code = doctor()
      assert.same({ { "OK", "well" }, { "WARN", "hm", "look at it" }, { "FAIL", "nowhere is not there" } }, checks.mine)
      assert.equal(1, code)
    end)

    local cases = {
      ["one that raises"] = { "error 'broken'", "doctor/mine.lua:2: broken$" },
      ["one that never ends"] = { "while true do end", "doctor/mine.lua:2: ran for more than 2 s without a pause$" },
      ["one that swallows its end"] = { "while true do pcall(function() while true do end end) end", "ran for more than 2 s" },
      ["one that waits for ever"] = { "require('fiber').sleep(1e6)", "^waited for more than 5 s$" },
      ["one that eats memory"] = { "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end", "not enough memory" },
      ["one that blocks"] = { "io.popen 'true'", "io.popen: blocks the loop; scripts start no processes$" },
      ["one that says it wrongly"] = { "report:ok(7)", "report:ok wants a text, not a number$" },
    }
    for what, case in pairs(cases) do
      it("and survives " .. what, function()
        own(case[1])
        write("doctor/other.lua", "return { name = 'other', run = function(report) report:ok 'well' end }")
        local checks, code = doctor()
        assert.equal(1, code)
        assert.equal("FAIL", checks["doctor/mine.lua"][1][1])
        assert.match(case[2], checks["doctor/mine.lua"][1][2])
        assert.same({ { "OK", "well" } }, checks.other)
      end)
    end

    it("and says which one hangs where nothing can stop it", function()
      own "return (('a'):rep(40)):find(('a-'):rep(40) .. 'b')"
      local _, code, said = doctor()
      assert.equal(1, code)
      assert.match("doctor/mine.lua hangs in a call that nothing can interrupt", said)
    end)

    it("and warns of one that says nothing", function()
      own ""
      assert.same({ { "WARN", "it says nothing", "call report:ok, report:warn or report:fail in doctor/mine.lua" } }, (doctor()).mine)
    end)
  end)
end)
