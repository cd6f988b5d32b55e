-- gpu/models/fetch with real npm and curl: a package of ours on a registry of ours, in a tree of its own.
local support = require "spec.e2e.support"

local tools = "bash basename sed cut cat cp mkdir flock cmp find mktemp rm realpath dirname date curl sha512sum sha256sum base64 tar gzip "
  .. "head tail grep mv chmod"
local files = { "pose_landmark_full.tflite", "pose_landmark_heavy.tflite", "pose_landmark_lite.tflite", "pose_solution_packed_assets.data" }

describe("gpu/models/fetch", function()
  local folder, registry

  local function sh(command, ...) return support.shell(("cd %s && " .. command):format(folder, ...)) end

  --- A server of what lies in FOLDER/registry; -> its URL
  local function serve()
    support.write(folder .. "/server.lua", [[
      local server = assert(require("http").serve { handler = function(request)
        local file = io.open(arg[1] .. "/registry" .. request.path, "rb")
        if not file then return 404, "" end
        return 200, file:read "*a"
      end })
      local file = io.open(arg[1] .. "/address", "w")
      file:write(server:url())
      file:close()
      require("fiber").sleep(120)]])
    local pid = support.shell(("build/stance-spec --script %s/server.lua %s >/dev/null 2>&1 & echo $!"):format(folder, folder))
    finally(function() support.shell("kill -9 " .. pid) end)
    return support.eventually("the registry", 10, function()
      local text = sh "cat address 2>/dev/null || true"
      return text ~= "" and text
    end)
  end

  before_each(function()
    folder = support.folder()
    registry = "http://127.0.0.1:9"
    support.shell(("mkdir -p %s/gpu && cp -r gpu/models %s/gpu/"):format(folder, folder))
    sh "mkdir -p bin registry/@mediapipe/pose/- package"
    sh("for tool in %s; do ln -s $(command -v $tool) bin/; done", tools)
    for _, name in ipairs(files) do support.write(("%s/package/%s"):format(folder, name), "networks of " .. name) end
    support.write(folder .. "/package/package.json", '{"name": "@mediapipe/pose", "version": "0.5.1675469404"}')
    sh "tar -czf registry/@mediapipe/pose/-/pose-0.5.1675469404.tgz package"
    sh "(cd package && sha256sum pose*) >gpu/models/SHA256SUMS"
    support.write(folder .. "/lock", [[
      sum=$(cat registry/@mediapipe/pose/-/* | sha512sum | cut -d' ' -f1 | sed 's/../\\x&/g')
      sed -i "s|sha512-[^\"]*|sha512-$(printf "$sum" | base64 -w0)|" gpu/models/package-lock.json]])
    sh "bash lock"
  end)
  after_each(function() support.shell("rm -rf " .. folder) end)

  --- -> exit code, what was said
  local function fetch(options)
    local path = options.tool == "curl" and ("PATH=%s/bin"):format(folder) or ""
    local environment = "no_proxy=127.0.0.1 npm_config_cache=%s/cache npm_config_registry=%s STANCE_MODELS=%s "
    local text = sh(environment .. "%s gpu/models/fetch %s 2>&1; echo $?",
      folder, registry, options.elsewhere or "", path, options.how or "")
    local said, code = text:match "^(.-)%s*(%d+)$"
    return tonumber(code), said
  end

  local function fetched() return sh "ls build/models 2>/dev/null || true" end

  for _, tool in ipairs { "curl", "npm" } do
    it("unpacks by " .. tool .. " what is meant, once", function()
      if tool == "npm" and support.shell "command -v npm || true" == "" then return pending "npm is not installed" end
      registry = serve()
      local code, said = fetch { tool = tool }
      assert.equal(0, code, said)
      assert.match("by " .. tool .. "$", said)
      assert.equal("SHA256SUMS\n" .. table.concat(files, "\n"), fetched())
      assert.equal("", sh "(cd package && sha256sum pose*) | (cd build/models && sha256sum --quiet -c)")
      registry = "http://127.0.0.1:9"
      assert.same({ 0, "" }, { fetch { tool = tool } })
      assert.equal("models models.lock", sh "echo $(ls build)")
    end)
  end

  it("refuses another package", function()
    registry = serve()
    sh "echo more >>registry/@mediapipe/pose/-/pose-0.5.1675469404.tgz"
    local code, said = fetch { tool = "curl" }
    assert.equal(1, code)
    assert.match("is not the package that is meant %(SHA%-512%)", said)
    assert.equal("", fetched())
  end)

  it("refuses other files", function()
    registry = serve()
    sh "sed -i 's/^[0-9a-f]/0/; s/^0[0-9a-f]/00/' gpu/models/SHA256SUMS"
    local code, said = fetch { tool = "curl" }
    assert.equal(1, code)
    assert.match("not the files that are meant", said)
    assert.equal("", fetched())
  end)

  it("does not stand in a build's way", function()
    local code, said = fetch { tool = "curl", how = "--if-possible" }
    assert.equal(0, code)
    assert.match("models: curl could not get them: .*127.0.0.1.*`make models` tries again", said)
    registry = serve() -- which is not asked again so soon
    code, said = fetch { tool = "curl", how = "--if-possible" }
    assert.equal(0, code)
    assert.match("^models: not there; the last attempt failed less than an hour ago", said)
    assert.equal("", fetched())
    assert.equal(0, (fetch { tool = "curl" })) -- but by `make models`
    assert.equal("models models.lock", sh "echo $(ls build)")
  end)

  it("leaves it to STANCE_MODELS", function()
    assert.same({ 0, "" }, { fetch { elsewhere = "/somewhere", how = "--if-possible" } })
    assert.equal("", fetched())
  end)
end)
