-- The Lua module `pose`, with real processes of build/stance. That its numbers are MediaPipe's is for spec/c/pose_parity_test.c.
local fiber, image, json, pose = require "fiber", require "image", require "json", require "pose"
local render, scene, time = require "render", require "scene", require "time"
local claiming = require "spec.media.claiming"

local function models_missing()
  for _, model in ipairs(pose.models()) do if not model.ready then return model.missing end end
end

describe("pose", function()
  it("lists the models", function()
    local names = {}
    for i, model in ipairs(pose.models()) do
      names[i] = model.name
      assert.is_true(model.ready or #model.missing > 0)
    end
    assert.same({ "lite", "full", "heavy" }, names)
  end)

  for what, options in pairs {
    ["an unknown option"] = { modle = "full" }, ["an unknown model"] = { model = "tiny" }, ["an unknown backend"] = { backend = "tpu" },
    ["nobody to look for"] = { people = 0 }, ["half a person"] = { people = 1.5 }, ["a crowd"] = { people = 17 },
    ["more than certainty"] = { min_detection = 1.5 }, ["no number"] = { min_tracking = 0 / 0 }, ["a word"] = { smooth = "yes" },
    ["no time between looks"] = { redetect = 0 },
  } do
    it("refuses " .. what, function() assert.has_error(function() pose.engine(options) end) end)
  end

  it("must be asked in a fiber", function()
    local ok, why = coroutine.resume(coroutine.create(function() return pose.engine() end))
    assert.is_false(ok)
    assert.is_truthy(tostring(why):find("coroutine", 1, true))
  end)

  if models_missing() then
    pending(models_missing())
    return
  end

  local engine, view, png

  setup(function()
    engine = assert(pose.engine { model = "lite", backend = "cpu", people = 2 })
    local body = assert(scene.open "mannequin")
    for one in render.ring(body, { angles = 1, size = { 480, 480 } }) do
      png = assert(one:png())
      view = json.decode(assert(one:labels()))
    end
    body:close()
  end)

  local function is_pose_v1(found)
    assert.equal("pose_v1", found.schema)
    for _, person in ipairs(found.people) do
      assert.equal(33, #person.landmarks)
      assert.equal(33, #person.world)
      for _, point in ipairs(person.landmarks) do assert.is_true(point.visibility >= 0 and point.visibility <= 1) end
      assert.is_true(person.score > 0 and person.score <= 1 and person.roi.size > 0)
    end
  end

  it("finds the person in a picture", function()
    local found = assert(engine:detect(png))
    is_pose_v1(found)
    assert.equal(1, #found.people)
    assert.same({ width = 480, height = 480 }, found.image)
    assert.is_true(found.detected)
    assert.equal(found.people[1].landmarks, found.landmarks)
    local nose = view.people[1].landmarks[1].pixel
    assert.is_true(math.abs(found.landmarks[1].x * 480 - nose[1]) < 20 and math.abs(found.landmarks[1].y * 480 - nose[2]) < 20)
  end)

  it("takes pictures as they lie in memory, and says the same of them", function()
    local picture = assert(image.decode(png))
    assert.same(assert(engine:detect(png)), assert(engine:detect(picture)))
    picture:close()
    assert.has_error(function() engine:detect(picture) end)
  end)

  it("says of nobody that there is nobody", function()
    local found = assert(engine:detect(image.new(200, 100, "#808080")))
    assert.same({ image = { width = 200, height = 100 }, people = {}, detected = true, schema = "pose_v1" }, found)
    assert.is_truthy(json.encode(found):find('"people":[]', 1, true))
  end)

  for what, bytes in pairs { ["an empty file"] = "", ["a letter"] = "Dear reader,", ["nothing but a name"] = "\137PNG\r\n\26\n" } do
    it("refuses " .. what, function()
      local found, why = engine:detect(bytes)
      assert.is_nil(found)
      assert.is_true(why.code == "unsupported" or why.code == "corrupt", why.code)
    end)
  end

  it("refuses half a picture, and what is no picture", function()
    local _, why = engine:detect(png:sub(1, #png / 2))
    assert.equal("corrupt", why.code)
    for _, value in ipairs { 7, {}, true } do assert.has_error(function() engine:detect(value) end) end
    assert.has_error(function() engine:detect() end)
  end)

  it("refuses a picture of a hundred megapixels from its header", function()
    for _, size in ipairs { { 10000, 10000 }, { 8192, 4097 }, { 100000, 1 } } do
      local _, why = engine:detect(claiming(png, size[1], size[2]))
      assert.equal("too_large", why.code, why.message)
    end
  end)

  it("says when there is no GPU", function()
    local gpu, why = pose.engine { model = "lite", backend = "cuda" }
    if gpu then return pending "there is a GPU" end
    assert.equal("unsupported", why.code)
  end)

  describe("session", function()
    local session

    before_each(function() session = assert(engine:track { people = 1 }) end)
    after_each(function() session:close() end)

    it("follows a person with what it remembers", function()
      for i = 1, 4 do
        local found = assert(session:push(png, i / 30))
        is_pose_v1(found)
        assert.same({ i, false, i == 1, 1 }, { found.seq, found.reset, found.detected, found.people[1].id })
        assert.is_true(math.abs(found.t_capture_ms - i / 30 * 1000) < 1e-6)
      end
    end)

    it("begins at any time", function()
      for _, at in ipairs { 0, -5, 1e9 } do
        local one = assert(engine:track())
        assert.equal(1, #assert(one:push(png, at)).people)
        assert.equal(1, #assert(one:push(png, at + 0.1)).people)
        one:close()
      end
      for _, never in ipairs { 0 / 0, math.huge, -1e300 } do assert.has_error(function() session:push(png, never) end) end
      assert.has_error(function() session:push(png) end)
    end)

    it("answers in order what is pushed at once, and refuses what is too much", function()
      local fibers, order, busy = {}, {}, 0
      for i = 1, 12 do
        fibers[i] = fiber.spawn(function()
          local found, why = session:push(png, i / 30)
          if found then order[#order + 1] = found.seq else busy = busy + (why.code == "busy" and 1 or 0) end
        end)
      end
      for i = 1, 12 do fibers[i]:join() end
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, order)
      assert.equal(4, busy)
    end)

    it("says that it began anew when its process was killed", function()
      assert(session:push(png, 0.1))
      for _, pid in ipairs(engine:info().pids) do os.execute("kill -9 " .. pid) end
      local resets = 0
      for i = 2, 6 do
        local found, why = session:push(png, i / 10)
        if found and found.reset then resets = resets + 1 end
        assert.is_true(found ~= nil or why.code == "upstream")
      end
      assert.equal(1, resets)
    end)

    it("cannot be pushed to when it is closed", function()
      session:close()
      session:close()
      assert.has_error(function() session:push(png, 1) end)
      assert.equal("pose session (closed)", tostring(session))
    end)

    it("leaves nothing behind when its fibers are cancelled", function()
      for _ = 1, 3 do
        local one = fiber.spawn(function() return engine:track():push(png, 1) end)
        fiber.yield()
        one:cancel "enough"
        assert.is_false((one:join()))
      end
      local waits = fiber.spawn(function() return engine:detect(png) end)
      waits:cancel "enough"
      waits:join()
      assert(engine:detect(png))
      session:close()
      collectgarbage()
      collectgarbage()
      local info = engine:info()
      assert.same({ 0, 0 }, { info.sessions, info.waiting })
    end)
  end)

  it("goes on when processes are killed at any moment", function()
    local lost, found = 0, 0
    assert(engine:detect(png)) -- the processes are there now
    local began = time.monotonic()
    assert(engine:detect(png))
    local pause = math.max(0.15, 6 * (time.monotonic() - began)) -- slow machines get something done, too
    local killer = fiber.spawn(function()
      for _ = 1, 6 do
        fiber.sleep(pause)
        local info = engine:info()
        if info.processes > 0 then os.execute("kill -9 " .. info.pids[1]) end
      end
    end)
    local fibers = {}
    for i = 1, 40 do
      fibers[i] = fiber.spawn(function()
        local got, why = engine:detect(png)
        if got then found = found + 1 else
          lost = lost + 1
          assert(why.code == "upstream", why.message)
        end
      end)
    end
    for i = 1, 40 do assert(fibers[i]:join()) end
    killer:cancel "enough"
    assert.equal(40, found + lost)
    assert.is_true(found > 0)
    engine:detect(png) -- may find a process that was killed just now
    assert(engine:detect(png))
  end)
end)
