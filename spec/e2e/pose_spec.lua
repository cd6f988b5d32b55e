-- POST /api/pose on a real host: right answers, hostile files, crowds, and pose processes that are killed or stopped.
local fiber, image, json, pose, time = require "fiber", require "image", require "json", require "pose", require "time"
local render, scene = require "render", require "scene"
local claiming, support = require "spec.media.claiming", require "spec.e2e.support"

local missing
for _, model in ipairs(pose.models()) do missing = missing or model.missing end
if missing then
  describe("POST /api/pose", function() pending(missing) end)
  return
end

local function picture_of_mannequin()
  local body, png = assert(scene.open "mannequin"), nil
  for view in render.ring(body, { angles = 1, size = { 480, 480 } }) do png = assert(view:png()) end
  body:close()
  return png
end

describe("POST /api/pose", function()
  local host, png

  setup(function()
    png = picture_of_mannequin()
    host = support.host { flags = "--workers 1 --pose-processes 2" }
  end)

  teardown(function() host:stop() end)

  local function ask(body, query, media)
    return host:request("POST", "/api/pose" .. (query or "?model=lite"), body, { ["Content-Type"] = media or "image/png" })
  end

  local function pose_pids()
    local pids = {}
    for pid in support.shell(("pgrep -P %d -f 'pose --child' || true"):format(host.pid)):gmatch "%d+" do pids[#pids + 1] = pid end
    return pids
  end

  local function metric(name)
    local _, text = host:get "/metrics"
    local sum = 0
    for value in text:gmatch("\n" .. name .. "[^\n]- ([%d.e+-]+)") do sum = sum + tonumber(value) end
    return sum
  end

  --- An RFC 9457 problem that says something.
  local function is_problem(problem, status, code)
    assert.equal("table", type(problem))
    assert.same({ status, code }, { problem.status, problem.code }, problem.detail)
    assert.is_true(#problem.detail > 10 and #problem.requestId == 32)
  end

  it("starts no process before it is asked", function() assert.same({}, pose_pids()) end)

  for _, model in ipairs { "lite", "full", "heavy" } do
    it("answers with the person in a picture: " .. model, function()
      local status, found = ask(png, "?model=" .. model)
      assert.equal(200, status, json.encode(found))
      assert.same({ "pose_v1", 1, 480, 480, 33 },
        { found.schema, #found.people, found.image.width, found.image.height, #found.people[1].world })
      assert.same(found.landmarks, found.people[1].landmarks)
    end)
  end

  it("answers alike for what no one is in, in any kind", function()
    local blank = assert(image.new(300, 200, "#204060"):png())
    local status, found = ask(blank)
    assert.same({ 200, {} }, { status, found.people })
  end)

  it("says what is wrong with a request", function()
    local cases = {
      { 415, "unsupported", "Dear reader,", nil, "text/plain" }, { 415, "unsupported", "Dear reader,", nil, "application/json" },
      { 415, "unsupported", "Dear reader," }, { 415, "unsupported", ("\0"):rep(5000) }, { 422, "invalid", "" },
      { 422, "corrupt", png:sub(1, #png / 2) }, { 422, "corrupt", png:sub(1, 8) .. require("crypto").random(4000) },
      { 413, "too_large", claiming(png, 10000, 10000) }, { 413, "too_large", claiming(png, 100000, 100000) },
      { 422, "invalid", png, "?people=99" }, { 422, "invalid", png, "?model=tiny" }, { 422, "invalid", png, "?min_detection=2" },
    }
    for i, case in ipairs(cases) do
      local status, problem = ask(case[3], case[4], case[5])
      is_problem(problem, case[1], case[2])
      assert.equal(case[1], status, "case " .. i)
    end
    assert.equal(413, (ask(("x"):rep(9 * 1024 * 1024))))
    assert.equal(200, (ask(png)))
  end)

  it("answers two hundred requests at once", function()
    local fibers = {}
    for i = 1, 200 do
      fibers[i] = fiber.spawn(function()
        local status, found = ask(png)
        return status, status == 200 and #found.people
      end)
    end
    for i = 1, 200 do
      local _, status, people = fibers[i]:join()
      assert.same({ 200, 1 }, { status, people })
    end
    assert.equal(0, metric "fibers_slow_total")
  end)

  it("loses only what a killed process looked at", function()
    local counts, fibers = { [200] = 0, [502] = 0 }, {}
    for i = 1, 100 do
      fibers[i] = fiber.spawn(function()
        local status, problem = ask(png)
        if status == 502 then is_problem(problem, 502, "upstream") end
        counts[status or 0] = (counts[status or 0] or 0) + 1
      end)
    end
    for _ = 1, 5 do
      fiber.sleep(0.1)
      for _, pid in ipairs(pose_pids()) do support.shell(("kill -9 %s 2>/dev/null || true"):format(pid)) end
    end
    for i = 1, 100 do assert(fibers[i]:join()) end
    assert.equal(100, counts[200] + counts[502], json.encode(counts))
    assert.is_true(counts[200] > 0)
    support.eventually("an answer", 10, function() return ask(png) == 200 end)
    assert.is_true(host:is_alive())
  end)

  it("does not wait for a client that left", function()
    local asks = {}
    for i = 1, 20 do asks[i] = fiber.spawn(ask, png) end
    fiber.sleep(0.05)
    for i = 1, 20 do asks[i]:cancel "gone" end
    local status = ask(png)
    assert.equal(200, status)
    support.eventually("an end of all fibers", 5, function() return metric 'fibers{name="POST /api/pose"' <= 0 end)
  end)

  it("counts pictures by how they went", function()
    assert.is_true(metric 'pose_frames_total{[^}]*outcome="people"' > 200)
    assert.is_true(metric 'pose_frames_total{[^}]*outcome="refused"' > 3)
    assert.is_true(metric 'pose_seconds_count{stage="detect"}' > 200)
  end)

  it("confines its processes", function()
    ask(png)
    for _, pid in ipairs(pose_pids()) do
      local status = support.shell(("cat /proc/%s/status"):format(pid))
      assert.is_truthy(status:find "Seccomp:%s*2" and status:find "NoNewPrivs:%s*1" and status:find "CapEff:%s*0000000000000000")
    end
  end)
end)

describe("a pose process that hangs", function()
  it("is ended, with 504 for its picture only", function()
    local host = support.host { flags = "--workers 0 --pose-processes 1 --pose-timeout 2s" }
    finally(function() host:stop() end)
    local png = picture_of_mannequin()
    local function ask() return host:request("POST", "/api/pose?model=lite", png, { ["Content-Type"] = "image/png" }) end
    support.eventually("an answer", 20, function() return ask() == 200 end)
    support.shell(("pkill -STOP -P %d -f 'pose --child'"):format(host.pid))
    local status, problem = ask()
    assert.same({ 504, "timeout", 504 }, { status, problem.code, problem.status })
    support.eventually("an answer", 20, function() return ask() == 200 end)
    local _, text = host:get "/metrics"
    assert.is_truthy(text:find 'pose_frames_total{model="lite",backend="cpu",outcome="timeout"} %d')
  end)
end)

describe("a host without models", function()
  it("says what is missing, and goes on", function()
    local host = support.host { flags = "--workers 0", environment = "STANCE_MODELS=/nowhere" }
    finally(function() host:stop() end)
    local status, problem = host:request("POST", "/api/pose", picture_of_mannequin(), { ["Content-Type"] = "image/png" })
    assert.same({ 503, "not_found" }, { status, problem.code })
    assert.is_truthy(problem.detail:find "/nowhere")
    assert.equal(200, (host:get "/health"))
  end)

  it("does not lay damaged ones to the picture", function()
    local folder = support.folder()
    support.shell(("echo half >%s/pose_solution_packed_assets.data"):format(folder))
    local host = support.host { flags = "--workers 0", environment = "STANCE_MODELS=" .. folder }
    finally(function()
      host:stop()
      support.shell("rm -rf " .. folder)
    end)
    local status, problem = host:request("POST", "/api/pose", picture_of_mannequin(), { ["Content-Type"] = "image/png" })
    assert.same({ 503, "corrupt" }, { status, problem.code })
  end)
end)

describe("a reload while pictures are looked at", function()
  it("takes nothing from the next generation, even when the former is cut off", function()
    local script = "return { name = 'one', version = %d, params = require('stance.schema').object {}, run = function() end }"
    local host = support.host { flags = "--workers 0 --no-watch --reload-drain 0.1s", workflows = { one = script:format(1) } }
    finally(function() host:stop() end)
    local png, fibers, statuses = picture_of_mannequin(), {}, {}
    local function ask() return (host:request("POST", "/api/pose?model=lite", png, { ["Content-Type"] = "image/png" })) end
    assert.equal(200, ask())
    for round = 1, 3 do
      for i = 1, 20 do
        fibers[i] = fiber.spawn(function()
          local status = ask()
          statuses[status or 0] = (statuses[status or 0] or 0) + 1
        end)
      end
      fiber.sleep(0.03)
      support.write(host.folder .. "/scripts/workflows/one.lua", script:format(round + 1))
      local status, load = host:post "/api/reload"
      assert.equal(200, status, json.encode(load))
      for i = 1, 20 do assert(fibers[i]:join()) end
    end
    assert.equal(60, (statuses[200] or 0) + (statuses[503] or 0) + (statuses[0] or 0)) -- 0: cut off with its generation
    assert.is_true(host:is_alive())
    assert.equal(200, ask())
    local _, text = host:get "/metrics"
    assert.equal("0", text:match 'pose_sessions{model="lite"} (%d+)')
  end)
end)

describe("an idle host", function()
  it("is not larger for what it could do, and ends what nobody needs", function()
    local host = support.host { flags = "--workers 0 --pose-idle 0.3s" }
    finally(function() host:stop() end)
    local function children() return support.shell(("pgrep -P %d || true"):format(host.pid)) end
    local function resident()
      return tonumber(support.shell(("awk '/^Pss_Anon/ {print $2}' /proc/%d/smaps_rollup"):format(host.pid)))
    end
    local before, began = resident(), time.monotonic()
    assert.is_true(before < 8192, before .. " KiB")
    local png = picture_of_mannequin()
    for _ = 1, 20 do host:request("POST", "/api/pose?model=lite", png, { ["Content-Type"] = "image/png" }) end
    assert.is_true(#children() > 0 or time.monotonic() - began > 0.3)
    support.eventually("the pose processes to end", 10, function() return children() == "" end)
    assert.is_true(resident() < before + 3072, ("%d KiB, %d before"):format(resident(), before))
  end)
end)
