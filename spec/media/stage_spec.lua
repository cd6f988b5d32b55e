-- Stages: several people, looks, maps, and views of more cameras than memory holds.
local cameras, fiber, json = require "stance.cameras", require "fiber", require "json"
local render, scene = require "render", require "scene"

local small = { 96, 96 }

local function bytes_of(view, name)
  local list, bytes = {}, assert(view:map(name))
  for i = 1, #bytes do list[i] = bytes:byte(i) end
  return list
end

local function count(list, wanted)
  local sum = 0
  for _, value in ipairs(list) do
    if value == wanted then sum = sum + 1 end
  end
  return sum
end

describe("a stage", function()
  local body

  setup(function() body = assert(scene.open("mannequin", { detail = 1 })) end)
  teardown(function() body:close() end)

  local function pair(fields)
    local options = {
      actors = {
        { body = body, clip = "walk", position = { -0.6, 0, 0 }, person = "Ada" },
        { body = body, clip = "rest", position = { 0.6, 0, 0 }, yaw = 180 },
      },
    }
    for key, value in pairs(fields or {}) do options[key] = value end
    return assert(render.stage(options))
  end

  it("tells who is on it and how long it lasts", function()
    local stage = pair { fps = 24 }
    local actors = stage:actors()
    assert.same({ "Ada", "mannequin", "walk" }, { actors[1].person, actors[1].character, actors[1].clip })
    assert.equal("mannequin", actors[2].person)
    assert.is_nil(actors[2].clip)
    assert.near(0.6, actors[2].position[1], 1e-6)
    assert.near(180, actors[2].yaw, 1e-4)
    for _, clip in ipairs(body:clips()) do
      if clip.name == "walk" then assert.near(clip.seconds, stage:seconds(), 1e-9) end
    end
    assert.equal(24, stage:fps())
    assert.equal("stage (2 actors)", tostring(stage))
  end)

  it("has boxes of all frames, of one time, of one actor", function()
    local stage = pair()
    local all, now = assert(stage:box()), assert(stage:box { time = 0.2 })
    local ada, padded = assert(stage:box { actor = 1 }), assert(stage:box { padding = 1.2 })
    for i = 1, 3 do
      assert.is_true(now.min[i] >= all.min[i] - 0.02 and now.max[i] <= all.max[i] + 0.02)
      assert.near((all.max[i] - all.min[i]) * 1.2, padded.max[i] - padded.min[i], 1e-3)
    end
    assert.is_true(ada.max[1] < all.max[1] - 0.3)
  end)

  it("tells where landmarks, bones and joints are", function()
    local stage = pair()
    local nose, other = assert(stage:point("nose", 0.3)), assert(stage:point("nose", 0, 2))
    assert.is_true(nose[2] > 1.3 and math.abs(nose[1] + 0.6) < 0.2)
    assert.is_true(other[3] < 0) -- it was turned round
    local joint
    for _, entry in ipairs(body:joints()) do joint = joint or entry.name end
    assert.is_table(assert(stage:point(joint)))
    assert.is_true(assert(stage:point("leftFoot"))[2] < assert(stage:point("hips"))[2])
    local none, err = stage:point "tail"
    assert.is_nil(none)
    assert.equal("not_found", err.code)
    assert.matches("tail", err.message)
  end)

  it("shows its people side by side, with who is who", function()
    local stage = pair()
    for view in render.ring(stage, { angles = 2, size = small, samples = 1, maps = { "cover" } }) do
      local person, labels = bytes_of(view, "person"), json.decode((assert(view:labels())))
      local bytes, info = view:map "depth"
      assert.same({ "<f4", { 96, 96 }, 96 * 96 * 4 }, { info.dtype, info.shape, #bytes })
      assert.equal(2, #labels.people)
      assert.is_true(count(person, 1) > 100 and count(person, 2) > 100)
      local sides = {}
      for i, value in ipairs(person) do
        if value > 0 then sides[value] = math.max(sides[value] or 0, (i - 1) % 96) end
      end
      assert.equal(view.index == 1, sides[1] < sides[2]) -- from behind they change places
      assert.equal(96 * 96, #bytes_of(view, "cover"))
      local none, err = view:map "triangle"
      assert.is_nil(none)
      assert.matches("maps", err.message)
    end
  end)

  it("has the same person in the same pixels as a body alone", function()
    local alone = assert(render.views(body, { cameras = { { position = { 0, 1.6, 3.5 }, target = { 0, 1, 0 }, size = small } },
      clip = "walk", time = 0.4 }))
    local moved = assert(render.stage { actors = { { body = body, clip = "walk", position = { 2, 0, -1 }, time = 0.1 } } })
    local camera = { position = { 2, 1.6, 2.5 }, target = { 2, 1, -1 }, size = small }
    local views = assert(render.views(moved, { cameras = { camera }, time = 0.3 }))
    local different = 0
    local one, other = bytes_of(alone:view(1), "person"), bytes_of(views:view(1), "person")
    for i = 1, #one do different = different + (one[i] ~= other[i] and 1 or 0) end
    assert.is_true(different <= 3, different .. " pixels differ") -- numbers are rounded elsewhere
  end)

  describe("of a look", function()
    local camera = { position = { 0, 1.4, 3 }, target = { 0, 1, 0 }, size = small }

    local function brightness(look)
      local views = assert(render.views(body, { cameras = { camera }, clip = "rest", samples = 1, look = look }))
      local sum, rgb = { 0, 0, 0 }, assert(views:view(1):rgb())
      for i = 1, #rgb do sum[(i - 1) % 3 + 1] = sum[(i - 1) % 3 + 1] + rgb:byte(i) end
      for i = 1, 3 do sum[i] = sum[i] / #rgb * 3 end
      return sum
    end

    it("is as bright as it says", function()
      local usual, dark = brightness {}, brightness { exposure = 0.3 }
      local open, closed = brightness { occlusion = 0 }, brightness { occlusion = 1 }
      assert.is_true(open[2] > usual[2] and usual[2] > closed[2])
      assert.same(usual, brightness(nil))
      assert.is_true(dark[2] < usual[2] * 0.75)
      assert.is_true(brightness { sun = false, sky = false }[2] < usual[2] / 4)
    end)

    it("has the colours that it says", function()
      local red = brightness { ground = false, sky = { top = "#ff0000", bottom = { 1, 0, 0 } } }
      assert.is_true(red[1] > 2 * red[3])
      assert.is_true(brightness { ground = { color = "#0000ff" } }[3] > brightness { ground = { color = "#ff0000" } }[3] + 10)
    end)

    it("has its sun where it says", function()
      -- The shadow of a low sun at the right falls to the left, from the front: towards +x.
      local function shadow(azimuth)
        local views = assert(render.views(body, { clip = "rest", samples = 1, cameras = { { position = { 0, 6, 0.1 }, target = { 0, 0, 0 },
          size = small } }, look = { sun = { elevation = 30, azimuth = azimuth, strength = 2 }, sky = { strength = 0.2 } } }))
        local view = views:view(1)
        local rgb, person, sums = assert(view:rgb()), bytes_of(view, "person"), { 0, 0 }
        for i = 1, #person do
          local x = (i - 1) % 96
          if person[i] == 0 then sums[x < 48 and 1 or 2] = sums[x < 48 and 1 or 2] + rgb:byte(i * 3) end
        end
        return sums[2] < sums[1]
      end
      assert.is_true(shadow(90))
      assert.is_false(shadow(-90))
    end)

    it("has lamps that shine near them, and spots that shine where they point", function()
      local dim = { sun = false, sky = { strength = 0.1 } }
      local function with(lights)
        dim.lights = lights
        return brightness(dim)[2]
      end
      local none = with {}
      assert.is_true(with { { position = { 0.5, 1.5, 1.5 }, strength = 3 } } > none + 5)
      assert.is_true(with { { position = { 0, 2, 2 }, strength = 9, spot = { target = { 0, 1, 0 }, angle = 40 } } } > none + 3)
      assert.near(none, with { { position = { 0, 2, 2 }, strength = 9, spot = { direction = { 0, 0, 1 }, angle = 40 } } }, 1)
    end)

    it("has tones", function()
      local bright = { exposure = 4 }
      local soft = brightness(bright)[2]
      bright.tone = "none"
      assert.is_true(brightness(bright)[2] > soft)
      bright.tone = "filmic"
      assert.not_equal(soft, brightness(bright)[2])
    end)

    it("has noise that its seed and the view's number decide", function()
      local function draw(seed, number)
        local look = { sensor = { noise = 0.05, seed = seed } }
        local at = { position = camera.position, target = camera.target, size = small, number = number }
        return assert(assert(render.views(body, { cameras = { at }, clip = "rest", samples = 1, look = look })):view(1):rgb())
      end
      assert.equal(draw(1, 1), draw(1, 1))
      assert.not_equal(draw(1, 1), draw(2, 1))
      assert.not_equal(draw(1, 1), draw(1, 2))
    end)

    describe("with pictures", function()
      local folder, image = nil, require "image"

      local function write(name, bytes)
        local file = assert(io.open(folder .. "/" .. name, "wb"))
        file:write(bytes)
        file:close()
        return folder .. "/" .. name
      end

      --- A Radiance picture of one colour.
      local function even(r, g, b)
        return "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 4 +X 4\n" .. string.char(r, g, b, 129):rep(16)
      end

      setup(function()
        folder = os.tmpname()
        os.remove(folder)
        assert(os.execute("mkdir -p " .. folder))
      end)
      teardown(function() os.execute("rm -rf " .. folder) end)

      it("is lit by its environment, and shows it", function()
        local green = write("green.hdr", even(0, 200, 0))
        local seen = brightness { sun = false, ground = false, environment = green }
        assert.is_true(seen[2] > 100 and seen[1] < 40 and seen[3] < 40)
        local lit = brightness { sun = false, ground = false, sky = false, environment = { file = green, visible = false } }
        assert.is_true(lit[2] > lit[1] + 3 and lit[2] < seen[2] / 2)
        local strong = brightness { sun = false, ground = false, sky = false,
          environment = { file = green, visible = false, strength = 3 } }
        assert.is_true(strong[2] > lit[2])
      end)

      it("has its background behind everything", function()
        local view = assert(render.views(body, { cameras = { camera }, clip = "rest" })):view(1)
        local blue = assert(view:image())
        blue:fill(0, 0, 96, 96, "#0000ff")
        local file = write("blue.png", assert(blue:png()))
        local look = brightness { background = file, ground = false }
        assert.is_true(look[3] > 150 and look[3] > look[1] * 2)
        assert.is_true(brightness { sun = false, sky = false, environment = file, ground = false }[3] > 100)
      end)

      for name, case in pairs {
        ["a missing picture"] = { { background = "/nowhere/at.png" }, "not_found", "background /nowhere/at.png" },
        ["a folder"] = { { environment = "/tmp" }, "io", "environment /tmp is no file" },
        ["what is no picture"] = { { environment = "/etc/passwd" }, "unsupported", "environment /etc/passwd" },
        ["a nameless environment"] = { { environment = { turn = 3 } }, "invalid", "look.environment needs a file" },
      } do
        it("refuses " .. name, function()
          local look, err = render.look(case[1])
          assert.is_nil(look)
          assert.equal(case[2], err.code)
          assert.matches(case[3], err.message, 1, true)
        end)
      end

      it("waits for no pipe", function()
        assert(os.execute("mkfifo " .. folder .. "/pipe"))
        local look, err = render.look { background = folder .. "/pipe" }
        assert.is_nil(look)
        assert.matches("pipe is no file", err.message, 1, true)
      end)

      it("refuses a damaged one", function()
        local look, err = render.look { environment = write("cut.hdr", even(1, 2, 3):sub(1, -9)) }
        assert.is_nil(look)
        assert.equal("corrupt", err.code)
        assert.matches("cut.hdr: damaged Radiance picture", err.message, 1, true)
        assert.is_nil(image.decode "")
      end)
    end)

    it("may be shared, and is drawn by chance from a seed", function()
      local look = assert(render.look(render.random_look(3)))
      assert.is_table(pair { look = look }:actors())
      assert.same(render.random_look(3), render.random_look(3))
      assert.not_same(render.random_look(3), render.random_look(4))
      assert.equal(20, render.random_look(3, { sun = { elevation = 20 } }).sun.elevation)
      local usual, changed = render.random_look(3), render.random_look(3, { exposure = { 2, 3 } })
      assert.is_true(changed.exposure >= 2)
      assert.same(usual.sun, changed.sun)
      local pictures = { environment = { files = { "a.hdr", "b.hdr" }, chance = 1 }, background = { files = { "c.png" }, chance = 0 } }
      local around = render.random_look(3, pictures)
      assert.matches("^[ab]%.hdr$", around.environment.file)
      assert.is_nil(around.background)
      assert.error_matches(function() render.random_look(3, { sun = { hight = 3 } }) end, "ranges.sun has no field hight")
      assert.error_matches(function() render.random_look(3, { exposure = "bright" }) end, "ranges.exposure must be a number, or a list")
      assert.error_matches(function() render.random_look(3, { sky = 1 }) end, "ranges.sky must be a table")
      for _, lamps in ipairs { { 0, 1e9 }, { 3, 1 }, 2 } do
        assert.error_matches(function() render.random_look(3, { lamps = { count = lamps } }) end, "lamps.count must be a list of two")
      end
      for seed = 1, 50 do assert(render.look(render.random_look(seed))) end
    end)

    for name, case in pairs {
      ["a field that there is not"] = { { sun = { heigth = 3 } }, "look.sun has no field heigth; it may have: elevation" },
      ["a number out of range"] = { { sun = { elevation = 95 } }, "look.sun.elevation must be a number from -90 to 90" },
      ["a colour that is none"] = { { ground = { color = "red" } }, 'look.ground.color must be like "#ff8800"' },
      ["a negative colour"] = { { sky = { top = { -1, 0, 0 } } }, "look.sky.top must be a list of numbers from 0 on" },
      ["a table's place"] = { { sun = 3 }, "look.sun must be a table" },
      ["too many lamps"] = { { lights = { {}, {}, {}, {}, {}, {}, {}, {}, {} } }, "look.lights may have 8, not 9" },
      ["a lamp nowhere"] = { { lights = { { strength = 3 } } }, "look.lights[1] needs a position" },
      ["a spot without direction"] = { { lights = { { position = { 0, 0, 0 }, spot = {} } } }, "look.lights[1].spot needs a target" },
      ["a tone"] = { { tone = "sepia" }, "look.tone must be one of soft, filmic, none" },
      ["noise"] = { { sensor = { noise = 3 } }, "look.sensor.noise" },
      ["a quality"] = { { jpeg = 300 }, "look.jpeg must be a number from 1 to 100" },
    } do
      it("refuses " .. name, function()
        local look, err = render.look(case[1])
        assert.is_nil(look)
        assert.equal("invalid", err.code)
        assert.matches(case[2], err.message, 1, true)
      end)
    end
  end)

  for name, case in pairs {
    ["nobody"] = { {}, "a stage needs actors" },
    ["an actor without a body"] = { { actors = { {} } }, "actors[1].body must be a body" },
    ["what is no actor"] = { { actors = { 5 } }, "actors[1] must be a table" },
    ["a clip that there is not"] = { { actors = { { clip = "moonwalk" } } }, "has no clip moonwalk" },
    ["a place of two numbers"] = { { actors = { { position = { 1, 2 } } } }, "actors[1].position must be a list of 3 numbers" },
    ["a field that there is not"] = { { actors = { { postion = { 1, 2, 3 } } } }, "actors[1] has no field postion" },
    ["a stage's field that there is not"] = { { actor = {} }, "stage has no field actor" },
    ["a morph that there is not"] = { { actors = { { morphs = { smile = 1 } } } }, "mannequin has no morph target smile" },
    ["a kind of skinning"] = { { actors = { { skinning = "cubic" } } }, "actors[1].skinning must be one of linear, dual_quaternion" },
    ["a speed"] = { { actors = { { speed = 1e6 } } }, "actors[1].speed" },
    ["a rate"] = { { fps = 0 }, "stage.fps" },
  } do
    it("refuses " .. name, function()
      for _, actor in ipairs(case[1].actors or {}) do
        if type(actor) == "table" and next(actor) then actor.body = body end
      end
      if case[1].fps then case[1].actors = { { body = body } } end
      local stage, err = render.stage(case[1])
      assert.is_nil(stage)
      assert.matches(case[2], err.message, 1, true)
    end)
  end

  it("asks no metatable of an option", function()
    local function plain(fields) return setmetatable(fields, { __index = function(_, name) error("asked for " .. name) end }) end
    local camera = plain { position = { 0, 1, 3 }, target = { 0, 1, 0 }, size = plain { 32, 32 } }
    local stage = assert(render.stage(plain { actors = { plain { body = body } }, look = plain { sun = plain {} } }))
    local views = assert(render.views(stage, { samples = 1, cameras = { camera } }))
    assert.is_string(views:view(1):rgb())
  end)

  it("plays motions that are bound to its bodies", function()
    local motion = require "motion"
    local walk = assert(motion.of(body))
    local bound = assert(walk:bind(body, { clip = "walk" }))
    local stage = assert(render.stage { actors = { { body = body, motion = bound, loop = true, position = { 1, 0, 0 } } } })
    assert.near(bound:seconds(), stage:seconds(), 1e-9)
    assert.equal(bound:name(), stage:actors()[1].clip)
    local early, late = assert(stage:point("leftFoot", 0)), assert(stage:point("leftFoot", bound:seconds() / 2))
    assert.is_true(math.abs(early[3] - late[3]) > 0.1)
    for view in render.ring(stage, { angles = 1, size = small, samples = 1 }) do
      assert.is_true(json.decode((assert(view:labels()))).people[1].area > 300)
    end
    local other = assert(scene.open("mannequin", { detail = 1 }))
    for _, bad in ipairs { { other, bound, "bound to another body" }, { body, "walk", "what motion:bind gave" } } do
      local none, err = render.stage { actors = { { body = bad[1], motion = bad[2] } } }
      assert.is_nil(none)
      assert.matches(bad[3], err.message)
    end
  end)

  it("may be empty", function()
    local stage = assert(render.stage { actors = {} })
    for view in render.ring(stage, { angles = 2, size = small, samples = 1 }) do
      local labels = json.decode((assert(view:labels())))
      assert.same({}, labels.people)
      assert.equal(96 * 96, count(bytes_of(view, "person"), 0))
      assert.is_string(view:png())
    end
    assert.same({ min = { 0, 0, 0 }, max = { 0, 0, 0 } }, (assert(stage:box())))
    assert.is_nil(stage:point "nose")
  end)

  it("outlives nothing that was closed", function()
    local stage = pair()
    stage:close()
    stage:close()
    assert.has_error(function() stage:seconds() end)
    assert.has_error(function() render.views(stage, { cameras = { { position = { 0, 1, 3 }, target = { 0, 1, 0 } } } }) end)
  end)
end)

describe("views", function()
  local body

  setup(function() body = assert(scene.open("mannequin", { detail = 1 })) end)
  teardown(function() body:close() end)

  local function sphere(number) return cameras.sphere { target = { 0, 1, 0 }, distance = 3, count = number, size = { 32, 32 } } end

  local function draw(options)
    local list = {}
    options.clip, options.samples = "rest", 1
    local views = assert(render.views(body, options))
    for view in views:each() do list[view.index] = view.name .. assert(view:png()) end
    return list, views
  end

  it("of a set come in parts, the same as of a list", function()
    local list = draw { cameras = sphere(83):list(), batch = 2 }
    local stream, views = draw { cameras = sphere(83), batch = 2 }
    assert.equal(83, #stream)
    assert.same(list, stream)
    assert.same({ 83, 83 }, { views:count(), views:timings().views })
    assert.equal(list[50], views:view(50).name .. assert(views:view(50):png()))
  end)

  it("are the same from one thread and from several", function()
    local list = sphere(12):list()
    assert.same(draw { cameras = list, parallel = 1, batch = 3 }, draw { cameras = list, parallel = 4, batch = 1 })
  end)

  local maps = assert(io.open "/proc/self/maps")
  local sanitized = maps:read("*a"):find "/[at]san/" ~= nil -- which keep what is freed for a while
  maps:close()

  it("of very many cameras take no more memory than of few", function()
    if sanitized then return pending "a sanitizer's memory says nothing" end
    local function peak(number)
      collectgarbage()
      for view in assert(render.views(body, { cameras = sphere(number), clip = "rest", samples = 1, picture = false })):each() do
        assert(view:depth())
      end
      local file = assert(io.open "/proc/self/statm")
      local _, pages = file:read("*n", "*n")
      file:close()
      return pages / 256 -- MiB
    end
    local few = peak(100)
    assert.is_true(peak(3000) < few + 48, "pictures are not freed")
  end)

  it("may be abandoned at any time", function()
    for _ = 1, 20 do
      local member = fiber.spawn(function()
        for view in assert(render.views(body, { cameras = sphere(64), samples = 1 })):each() do view:png() end
      end)
      fiber.sleep(0)
      member:cancel "enough"
      local ok, err = member:join()
      assert.is_false(ok)
      assert.equal("cancelled", err.code)
    end
  end)

  it("fail with the reason of the thread that drew", function()
    local views = assert(render.views(body, { cameras = sphere(3):list(), backend = "cpu:abacus" }))
    for i = 1, 3 do
      local png, err = views:view(i):png()
      assert.is_nil(png)
      assert.matches("abacus", err.message)
    end
  end)

  it("raise in a loop what a later camera is refused for", function()
    local set = cameras.set(200, function(i)
      return { position = { 0, 1, 3 }, target = { 0, 1, 0 }, fov = i == 150 and 500 or 50, size = { 16, 16 } }
    end)
    local seen = 0
    local ok, err = pcall(function()
      for _ in assert(render.views(body, { cameras = set })):each() do seen = seen + 1 end
    end)
    assert.is_false(ok)
    assert.matches("fov must be a number from 5 to 120", err.message)
    assert.is_true(seen >= 60)
  end)

  it("may have other files and an image beside the PNG", function()
    local image = require "image"
    local views = assert(render.views(body, { cameras = sphere(4):list() }))
    for view in views:each() do
      local png, jpeg, picture = assert(view:png()), assert(view:jpeg(50)), assert(view:image())
      assert.same({ 32, 32 }, { picture:size() })
      assert.is_true(#assert(view:jpeg { quality = 95 }) > #jpeg)
      assert.equal(png, assert(view:png()))
      assert.same({ 32, 32 }, { assert(image.decode(jpeg)):size() })
      assert.equal(picture:rgba(), assert(image.decode(assert(view:webp { lossless = true }))):rgba())
      assert.equal(picture:rgba(), assert(image.decode(assert(view:png { level = 6 }))):rgba())
      assert.is_true(#assert(view:webp(20)) < #assert(view:webp { quality = 95 }))
    end
  end)

  it("refuse qualities that there are not", function()
    local view = assert(render.views(body, { cameras = sphere(1):list() })):view(1)
    for method, bad in pairs { png = 13, jpeg = 0, webp = 101 } do
      assert.error_matches(function() view[method](view, bad) end, "must be a number from")
    end
  end)

  it("without pictures have labels and maps", function()
    local view = assert(render.views(body, { cameras = sphere(1):list(), picture = false })):view(1)
    assert.is_string(view:labels())
    for _, method in ipairs { "png", "rgb", "jpeg", "image" } do
      local none, err = view[method](view)
      assert.is_nil(none)
      assert.equal("invalid", err.code)
    end
  end)

  it("take matrices, focal lengths and rolls for cameras", function()
    local views = assert(render.views(body, { cameras = {
      { position = { 0, 1, 3 }, target = { 0, 1, 0 }, size = small },
      { camera_from_world = { { 1, 0, 0, 0 }, { 0, -1, 0, 1 }, { 0, 0, -1, 3 } }, fov = 50, size = small },
      { position = { 0, 1, 3 }, target = { 0, 1, 0 }, size = small, focal = cameras.focal(50) },
      { position = { 0, 1, 3 }, target = { 0, 1, 0 }, size = small, roll = 90 },
    }, clip = "rest", maps = { "person" } }))
    local plain, turned = bytes_of(views:view(1), "person"), bytes_of(views:view(4), "person")
    assert.same(plain, bytes_of(views:view(2), "person"))
    assert.same(plain, bytes_of(views:view(3), "person"))
    local different = 0
    for y = 0, 95 do
      for x = 0, 95 do -- what was right is up
        if plain[y * 96 + x + 1] ~= turned[(95 - x) * 96 + y + 1] then different = different + 1 end
      end
    end
    assert.is_true(different < 60, different .. " pixels differ")
    assert.near(50, views:view(3):camera().fov, 1e-4)
  end)

  it("blur what is out of focus and what moves, and leave maps sharp", function()
    local at = { position = { 0, 1.2, 2.5 }, target = { 0, 1, 0 }, size = small }
    local function taken(options, lens)
      options.cameras, options.samples, options.clip, options.time = { {} }, 16, "walk", 0.3
      for key, value in pairs(at) do options.cameras[1][key] = value end
      options.cameras[1].lens = lens
      local view = assert(render.views(body, options)):view(1)
      return assert(view:rgb()), assert(view:map "person"), assert(view:labels())
    end
    local rgb, person, labels = taken {}
    for _, case in ipairs { { { shutter = 1 } }, { {}, { f_number = 0.5, focus = 1 } }, { {}, { aperture = 60, focus = 8 } } } do
      local blurred, same, labelled = taken(case[1], case[2])
      assert.not_equal(rgb, blurred)
      assert.equal(person, same)
      assert.equal(labels, labelled)
    end
    local _, bent = taken({}, { distortion = { -0.3, 0.1, 0, 0, 0 } })
    assert.not_equal(person, bent)
  end)

  it("tell where everything goes next", function()
    local ffi = require "ffi"
    local function flow_of(options)
      options.maps = { "flow", "normal" }
      local view = assert(render.views(body, options)):view(1)
      local bytes, info = assert(view:map "flow")
      assert.same({ 96, 96, 2 }, info.shape)
      local normals, kind = assert(view:map "normal")
      assert.same({ "<f4", { 96, 96, 3 }, 96 * 96 * 12 }, { kind.dtype, kind.shape, #normals })
      local numbers = ffi.new("float[?]", #bytes / 4)
      ffi.copy(numbers, bytes, #bytes)
      local seen, sum, most = 0, { 0, 0 }, 0
      for i = 0, 96 * 96 - 1 do
        local x, y = numbers[i * 2], numbers[i * 2 + 1]
        if x == x then
          seen, sum[1], sum[2], most = seen + 1, sum[1] + x, sum[2] + y, math.max(most, math.abs(x), math.abs(y))
        end
      end
      assert.is_true(seen > 300)
      return sum[1] / seen, sum[2] / seen, most
    end
    local still = { position = { 0, 1, 4 }, target = { 0, 1, 0 }, size = small }
    local _, _, resting = flow_of { cameras = { still }, clip = "rest" }
    assert.is_true(resting < 0.01) -- depth is rounded
    local _, _, walking = flow_of { cameras = { still }, clip = "walk", time = 0.3, fps = 10 }
    assert.is_true(walking > 2)
    -- The camera goes 10 cm to the left: what is 4 m away goes fx * 0.1 / 4 to the right.
    local moving = { position = { 0, 1, 4 }, target = { 0, 1, 0 }, size = small,
      next = { position = { -0.1, 1, 4 }, target = { -0.1, 1, 0 } } }
    local x, y = flow_of { cameras = { moving }, clip = "rest" }
    assert.near(48 / math.tan(math.rad(25)) * 0.1 / 4, x, 0.15)
    assert.near(0, y, 0.02)
  end)

  for name, case in pairs {
    ["a camera without a target"] = { { position = { 0, 0, 0 } }, "cameras[1] needs a position and a target" },
    ["a camera that looks at itself"] = { { position = { 1, 2, 3 }, target = { 1, 2, 3 } }, "position and target are the same" },
    ["half a lens"] = { { position = { 0, 0, 0 }, target = { 0, 0, 1 }, lens = { distortion = { 1 } } }, "[1].lens.distortion" },
    ["a next place that is none"] = { { position = { 0, 0, 0 }, target = { 0, 0, 1 }, next = {} }, "cameras[1].next needs a position" },
    ["a matrix that shears"] = { { camera_from_world = { { 1, 1, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } } }, "must be a rotation" },
    ["a matrix that mirrors"] = { { camera_from_world = { { 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, -1, 0 } } }, "must be a rotation" },
    ["half a matrix"] = { { camera_from_world = { { 1, 0, 0, 0 } } }, "three rows of four numbers" },
    ["a size"] = { { position = { 0, 0, 0 }, target = { 0, 0, 1 }, size = { 9, 20000 } }, "cameras[1].size" },
    ["a lens"] = { { position = { 0, 0, 0 }, target = { 0, 0, 1 }, focal = -3 }, "cameras[1].focal" },
  } do
    it("refuse " .. name, function()
      local views, err = render.views(body, { cameras = { case[1] } })
      assert.is_nil(views)
      assert.equal("invalid", err.code)
      assert.matches(case[2], err.message, 1, true)
    end)
  end
end)
