-- `stance new` and `stance test` with the real binary: what the closing hint says is done word for word.
local json = require "json"
local support = require "spec.e2e.support"

describe("a workspace from nothing", function()
  local folder, environment

  before_each(function()
    folder = support.folder()
    support.shell(("mkdir %s/bin && ln -s %s %s/bin/stance"):format(folder, support.absolute_binary, folder))
    environment = ("PATH=%s/bin:$PATH STANCE_DATA=%s/data STANCE_LUA=%s"):format(folder, folder, support.shell "realpath lua")
  end)
  after_each(function() support.shell("rm -rf " .. folder) end)

  --- -> what it printed, both streams; exit code
  local function run(command)
    local text = support.shell(("cd %s && export %s && (%s) 2>&1; echo \"[$?]\""):format(folder, environment, command))
    local said, code = text:match "^(.-)%s*%[(%d+)%]$"
    return said, tonumber(code)
  end

  local function read(path)
    local file = assert(io.open(folder .. "/" .. path))
    local text = file:read "*a"
    file:close()
    return text
  end

  --- The commands of the hint, in order.
  local function hints(said)
    local commands = {}
    for line in said:match("Next:\n(.*)$"):gmatch "[^\n]+" do
      commands[#commands + 1] = line:gsub("%s+in another terminal$", ""):gsub("^%s+", "")
    end
    return commands
  end

  --- Does what the hint says; returns what its last command printed.
  local function follow(said)
    local last
    for _, command in ipairs(hints(said)) do
      if command:find "^stance serve" then
        run(("STANCE_LISTEN=127.0.0.1:0 %s --ready-fd 3 3>ready >log 2>&1 & echo $! >pid"):format(command))
        local line = support.eventually("the host to be ready: " .. folder .. "/log", 15, function()
          local text = read "ready"
          return text:find "\n" and text
        end)
        local url = json.decode(line).url
        environment = environment .. " STANCE_URL=" .. url
        finally(function() support.shell(("kill -9 $(cat %s/pid)"):format(folder)) end)
      else
        local code
        command = command:gsub("http://127.0.0.1:5001", environment:match "STANCE_URL=(%S+)" or "%0")
        last, code = run(command)
        assert.equal(0, code, command .. "\n" .. last)
      end
    end
    return last
  end

  it("a new workflow is checked, tested, served and done", function()
    local said, code = run "stance new workflow greet"
    assert.equal(0, code, said)
    assert.equal(4, #hints(said))
    follow(said)
    local jobs = json.decode((run "stance job list --json"))
    assert.same({ "greet", "completed" }, { jobs.jobs[1].job_type, jobs.jobs[1].status })
    assert.equal("Hello, bob!", (run(("curl -sf $STANCE_URL/api/jobs/%s/artifacts/greeting-2.txt"):format(jobs.jobs[1].job_id))))
  end)

  it("a new route answers", function()
    local said = follow((run "stance new route hello --workspace ./my-scripts"))
    assert.same({ greeting = "Hello, ann! Hello, ann! ", pending = 0 }, json.decode(said:match "%b{}"))
  end)

  for _, what in ipairs { "policy scopes", "doctor names", "test misc/all" } do
    it("a new " .. what .. " is checked and tested", function()
      local said, code = run("stance new " .. what .. " --workspace scripts")
      assert.equal(0, code, said)
      assert.equal(0, select(2, run "stance check scripts --strict"))
      if not what:find "doctor" then assert.equal(0, select(2, run "stance test --workspace scripts")) end
    end)
  end

  it("writes what luacheck and an editor accept", function()
    run "stance new workflow greet --workspace scripts; stance new route hello --workspace scripts"
    local settings = json.decode(read "scripts/.luarc.json")
    assert.equal(0, os.execute(("test -e %s/stance/meta/fs.lua"):format(settings["workspace.library"][1])))
    if support.shell "command -v luacheck || true" == "" then return pending "luacheck is not installed" end
    assert.match("0 warnings / 0 errors", (run "cd scripts && luacheck --no-color ."))
  end)

  local refusals = {
    { "workflow greet", 5, "workflows/greet.lua is there already; --force replaces it" },
    { "workflow render", 5, "stance has a workflow 'render' of its own, whose place yours would take: another name, or --force" },
    { "workflow ../greet", 2, "'../greet' is no name for a workflow" },
    { "workflow Greet", 2, "'Greet' is no name for a workflow: 1 to 64 lower-case letters, digits, _ and -, a letter first" },
    { "workflow " .. ("x"):rep(65), 2, "is no name for a workflow" },
    { "test ../a", 2, "is no name for a test" },
    { "policy tools", 3, "nothing asks for a policy 'tools'; there are: scopes" },
    { "workfow greet", 2, "there is no \"workfow\" to make; did you mean \"workflow\"?" },
  }
  for _, case in ipairs(refusals) do
    it("refuses: new " .. case[1]:sub(1, 40), function()
      run "stance new workflow greet && echo mine >data/workspace/workflows/greet.lua"
      local said, code = run("stance new " .. case[1])
      assert.equal(case[2], code)
      assert.match(case[3], said, 1, true)
      assert.equal("mine\n", read "data/workspace/workflows/greet.lua")
    end)
  end

  it("replaces with --force, keeps the editor's set-up; prints with --print", function()
    run "stance new workflow greet && echo mine | tee data/workspace/workflows/greet.lua >data/workspace/.luarc.json"
    assert.equal(0, select(2, run "stance new workflow greet --force"))
    assert.match("name = \"greet\"", read "data/workspace/workflows/greet.lua")
    assert.equal("mine\n", read "data/workspace/.luarc.json")
    local said = run "stance new workflow other --print"
    assert.match("^%-%-%- workflows/other.lua", said)
    assert.is_nil(io.open(folder .. "/data/workspace/workflows/other.lua"))
  end)

  describe("stance test", function()
    it("fails with a spec that fails, and says which", function()
      support.write(folder .. "/scripts/spec/a_spec.lua", [[
        describe("sums", function()
          it("are right", function() assert.equal(4, 2 + 2) end)
          it("are wrong", function() assert.equal(5, 2 + 2) end)
        end)]])
      local said, code = run "stance test --workspace scripts"
      assert.equal(1, code)
      assert.match("1 success / 1 failure", said)
      assert.match("a_spec.lua:3", said)
      said, code = run "stance test --workspace scripts --filter right"
      assert.equal(0, code)
      assert.match("1 success / 0 failures", said)
      local answer = json.decode((run "stance test --workspace scripts --json"))
      assert.same({ 1, 1 }, { #answer.successes, #answer.failures })
    end)

    it("fails with a spec that does not load", function()
      support.write(folder .. "/scripts/spec/a_spec.lua", "describe(")
      assert.equal(1, select(2, run "stance test --workspace scripts"))
    end)

    it("says what is not there", function()
      local said, code = run "stance test"
      assert.equal(3, code)
      assert.match("there is no workspace .*/data/workspace: give %-%-workspace DIR, or begin with `stance new workflow NAME`", said)
      run "mkdir scripts"
      said, code = run "stance test --workspace scripts"
      assert.equal(3, code)
      assert.match("there are no specs: no folder .*/scripts/spec %(`stance new test NAME` writes one%)", said)
      said, code = run "stance test none_spec.lua"
      assert.equal(3, code)
      assert.match("there is no file or folder none_spec.lua", said)
    end)

    it("names Busted's package where it is missing", function()
      run "stance new workflow greet"
      local said, code = run "LUA_PATH='/nowhere/?.lua' stance test"
      assert.equal(1, code)
      assert.match("runs specs with Busted, which is not installed: apt install lua%-busted", said)
    end)
  end)
end)
