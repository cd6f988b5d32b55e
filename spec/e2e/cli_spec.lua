-- The real executable, from the outside: words, exit codes, files. Hosts run on free loopback ports in folders of their own.
local json = require "json"
package.path = "spec/e2e/?.lua;" .. package.path
local support = require "support"

local stance = os.getenv "STANCE_BINARY" or "build/stance"
local missing_file = "/nonexistent/body.fbx"

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- What a command line printed and its exit status.
local function shell(line)
  local folder = os.tmpname()
  local pipe = io.popen(("{ %s ; } >%s.out 2>%s.err </dev/null; echo $?"):format(line, folder, folder))
  local status = tonumber(pipe:read "*l")
  pipe:close()
  local result = { status = status, out = read(folder .. ".out"), err = read(folder .. ".err") }
  os.remove(folder); os.remove(folder .. ".out"); os.remove(folder .. ".err")
  return result
end

local function run(arguments, environment)
  return shell(("%s timeout 120 %s %s"):format(environment or "", stance, arguments))
end

describe("the command line", function()
  it("lists its commands, beginning with examples", function()
    local help = run "--help"
    assert.equal(0, help.status)
    assert.truthy(help.out:find("^  stance render"))
    assert.truthy(help.out:find("doctor", 1, true))
  end)

  for _, command in ipairs { "serve", "render", "job", "job submit", "job list", "job logs", "job wait", "status", "download", "doctor",
    "new", "check", "test", "config", "console", "version" } do
    it("explains " .. command .. " beginning with an example", function()
      local help = run(command .. " --help")
      assert.equal(0, help.status)
      assert.equal("  stance " .. command, help.out:sub(1, 9 + #command))
      assert.truthy(help.out:find("Usage: stance " .. command, 1, true))
    end)
  end

  local mistakes = {
    { "rendr", 'did you mean "render"' },
    { "frobnicate", "no command" },
    { "status --jbo x", "did you mean %-%-job" },
    { "job sumbit", 'did you mean "submit"' },
    { "job list --limit many", "takes a whole number" },
    { "download", "needs %-%-job" },
    { "render", "needs a FILE" },
    { "render a.fbx --size huge", "WIDTHxHEIGHT" },
    { "render a.fbx --motion none.bvh", "--motion none.bvh: no such file" },
    { "render a.fbx --cameras rig.json", "--cameras rig.json: no such file" },
    { "render a.fbx --cameras sphere:count", 'KIND:NAME=VALUE,..., not "count"' },
    { "render --verify", "FOLDER" },
    { "job submit render --param oops --url http://127.0.0.1:1", "name=value" },
    { "status --url ftp://127.0.0.1", "http" },
    { "version extra", "extra" },
  }
  for _, case in ipairs(mistakes) do
    it("refuses `" .. case[1] .. "` in words", function()
      local result = run(case[1])
      assert.equal(2, result.status)
      assert.truthy(result.err:find(case[2]), result.err)
      assert.equal("", result.out)
    end)
  end

  it("says how to start a host where none answers", function()
    local result = run "status --url http://127.0.0.1:1"
    assert.equal(6, result.status)
    assert.truthy(result.err:find("stance serve", 1, true))
  end)

  it("tells its version and libraries as JSON", function()
    local result = run "version --json"
    local version = json.decode(result.out)
    assert.truthy(version.version:match "^%d+%.%d+%.%d+$")
    assert.truthy(version.kernels:match "^cpu")
    assert.truthy(version.libraries.libuv)
  end)
end)

describe("config", function()
  it("tells where a value comes from", function()
    local result = run("config show listen --origin", "STANCE_LISTEN=127.0.0.1:7777")
    assert.truthy(result.out:find("127.0.0.1:7777 +env STANCE_LISTEN"), result.out)
  end)

  it("finds a wrong file, and says where", function()
    local file = os.tmpname()
    write(file, 'return { lissten = "127.0.0.1:1" }')
    local result = run("config check --config " .. file)
    os.remove(file)
    assert.equal(78, result.status)
    assert.truthy(result.err:find("lissten", 1, true))
  end)
end)

describe("doctor", function()
  it("finds nothing wrong with this machine", function()
    local folder = support.folder()
    local result = run("doctor --json", ("STANCE_DATA=%s/data STANCE_LISTEN=127.0.0.1:0"):format(folder))
    shell("rm -rf " .. folder)
    local report = json.decode(result.out)
    assert.is_true(report.ok, result.out)
    assert.equal(0, result.status)
  end)

  it("fails with a remedy where the data folder is open to others", function()
    local folder = support.folder()
    shell("chmod 755 " .. folder)
    local result = run("doctor", "STANCE_DATA=" .. folder)
    shell("rm -rf " .. folder)
    assert.equal(1, result.status)
    assert.truthy(result.out:find("FAIL data folder", 1, true), result.out)
    assert.truthy(result.out:find("-> chmod 700", 1, true))
  end)
end)

describe("a job, with a host", function()
  local server, folder
  setup(function()
    server = support.host { flags = "--workers 1" }
    folder = support.folder()
  end)
  teardown(function()
    server:stop()
    shell("rm -rf " .. folder)
  end)

  local function host(arguments) return run(arguments, "STANCE_URL=" .. server.url) end
  local small = [[job submit render -p 'characters=["mannequin"]' -p angles=2 -p 'size=[64,64]']]

  it("goes from submit to files", function()
    local id = host(small).out:match "^(render_%d+_%d+_%x+)\n$"
    assert.truthy(id)
    assert.equal(0, host("job wait " .. id).status)
    local manifest = json.decode(host("job show --json " .. id).out)
    assert.equal("completed", manifest.status)
    assert.truthy(host("job list").out:find(id, 1, true))
    assert.truthy(host("status --job " .. id).out:find("completed", 1, true))

    local output = folder .. "/files"
    assert.equal(0, host(("download --job %s --output %s"):format(id, output)).status)
    assert.equal("\137PNG", read(output .. "/mannequin/0.png" ) and read(output .. "/mannequin/0.png"):sub(1, 4)
      or read(output .. "/contact-sheet.png"):sub(1, 4))
    assert.equal("", shell("find " .. output .. " -name '*.part'").out)

    local again = host(("download --job %s --output %s"):format(id, output))
    assert.truthy(again.out:find("^0 files"), again.out)

    write(output .. "/labels.coco.json", "mine")
    local refused = host(("download --job %s --output %s"):format(id, output))
    assert.equal(5, refused.status)
    assert.equal("mine", read(output .. "/labels.coco.json"))
    assert.equal(0, host(("download --job %s --output %s --force"):format(id, output)).status)
    assert.truthy(json.decode(read(output .. "/labels.coco.json")).images)
  end)

  it("follows no symbolic link out of the folder", function()
    local id = host(small .. " --wait").out:match "^(%S+) completed"
    local output, outside = folder .. "/links", folder .. "/outside"
    shell(("mkdir -p %s %s && ln -s %s %s/mannequin"):format(output, outside, outside, output))
    assert.not_equal(0, host(("download --job %s --output %s --force"):format(id, output)).status)
    assert.equal("", shell("ls -A " .. outside).out)
  end)

  it("is submitted once under one key", function()
    local first, second = host(small .. " --key twice"), host(small .. " --key twice")
    assert.equal(0, second.status)
    assert.equal(first.out, second.out)
  end)

  it("is refused with the parameter's name when it makes no sense", function()
    local result = host [[job submit render -p 'characters=["mannequin"]' -p angles=-1]]
    assert.equal(2, result.status)
    assert.truthy(result.err:find("angles", 1, true), result.err)
  end)

  it("is not found with exit code 3", function()
    assert.equal(3, host("job show render_20200101_000000_00000000").status)
    assert.equal(3, host("download --job render_20200101_000000_00000000").status)
  end)

  it("ends with exit code 8 when it fails, and can be retried", function()
    local result = host(("job submit render -p 'characters=[\"%s\"]' --wait"):format(missing_file))
    assert.equal(8, result.status)
    assert.truthy(result.err:find("failed", 1, true))
    local id = result.err:match "(render_%d+_%d+_%x+)"
    assert.equal(0, host("job retry " .. id).status)
    assert.equal(8, host("job wait " .. id).status)
  end)

  it("can be cancelled", function()
    local id = host([[job submit render -p 'characters=["mannequin"]' -p angles=360]]).out:match "%S+"
    assert.equal(0, host("job cancel " .. id).status)
    assert.equal(8, host("job wait " .. id).status)
    assert.equal("cancelled", json.decode(host("job show --json " .. id).out).status)
  end)

  it("gives its log line by line as JSON", function()
    local id = host(("job submit render -p 'characters=[\"%s\"]' --wait"):format(missing_file)).err:match "(render_%d+_%d+_%x+)"
    for line in host("job logs --json " .. id).out:gmatch "[^\n]+" do assert.truthy(json.decode(line).message) end
    assert.equal(0, host("job logs -f " .. id).status)
  end)

  it("renders what it can, and says what it could not", function()
    local output = folder .. "/some"
    local result = host(("render mannequin %s --angles 2 --size 64x64 --output %s"):format(missing_file, output))
    assert.equal(1, result.status)
    assert.truthy(result.err:find(missing_file, 1, true))
    assert.truthy(result.out:find "^2 pictures, 2 label files")
  end)

  it("shows how the host is doing", function()
    local status = json.decode(host("status --json").out)
    assert.truthy(status.jobs.completed >= 1)
    assert.truthy(host("doctor").out:find("answers at", 1, true))
  end)
end)

describe("render without a host", function()
  local folder
  setup(function() folder = support.folder() end)
  teardown(function() shell("rm -rf " .. folder) end)

  local function alone(arguments)
    return run(arguments .. " --url http://127.0.0.1:1", "TMPDIR=" .. folder)
  end

  it("does the job in one of its own and leaves only the files", function()
    local output = folder .. "/out"
    local result = alone("render mannequin --angles 8 --size 64x64 --output " .. output)
    assert.equal(0, result.status, result.err)
    for _, name in ipairs { "front", "front_right", "right", "back_right", "back", "back_left", "left", "front_left" } do
      assert.equal("\137PNG", (read(("%s/mannequin/%s.png"):format(output, name)) or ""):sub(1, 4))
      assert.truthy(json.decode(read(("%s/mannequin/%s.json"):format(output, name))))
    end
    assert.equal("out\n", shell("ls " .. folder).out)
  end)

  it("cancels and cleans up on Ctrl-C", function()
    local arguments = "render mannequin --angles 360 --size 1024x1024 --url http://127.0.0.1:1 --output "
    local result = shell(("TMPDIR=%s timeout -s INT 3 %s %s %s/never"):format(folder, stance, arguments, folder))
    assert.equal(124, result.status) -- timeout's way to say that it sent the signal
    assert.truthy(result.err:find("cancelled", 1, true), result.err)
    assert.equal("", shell(("ls %s | grep -v '^out$'"):format(folder)).out)
    assert.equal("", shell(("ps ax | grep -F 'serve --listen 127.0.0.1:0 --data %s' | grep -v grep"):format(folder)).out)
  end)
end)
