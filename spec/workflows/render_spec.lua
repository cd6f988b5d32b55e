local fs_ok, lfs = pcall(require, "lfs")
local fiber, image, json, objects = require "fiber", require "image", require "json", require "objects"
local job_api = require "stance.job"
local workflow = require "workflows.render"

--- A host that keeps a job's journal and artifacts in memory; `die_after` steps it is gone.
local function fake_host()
  local host = { steps = {}, artifacts = {}, notes = {} }
  function host.call(op, fields)
    if host.die_after and #host.steps >= host.die_after then return nil, { code = "conflict", message = "the host is gone" } end
    local note = fields.note or {}
    for _, artifact in ipairs(note.artifacts or {}) do host.artifacts[artifact.name] = artifact end
    if note.progress then host.notes[#host.notes + 1] = note.progress end
    if op == "artifact" then
      local found = host.artifacts[fields.id and fields.name]
      if not found then return nil, { code = "not_found", message = "no artifact " .. fields.name } end
      return { sha256 = found.hash, size = found.size }
    elseif op == "step" then
      local step = fields.step
      host.steps[#host.steps + 1] = { key = step.key, result = json.encode(step.result),
        error = step.error and json.encode(step.error) }
    end
    return true
  end
  function host.run(params)
    local job = job_api.new { claim = { id = "render_1", type = "render", attempt = 1, epoch = 1, journal = { unpack(host.steps) } },
      call = host.call, slot = function() end }
    local ok, result = pcall(workflow.run, job, assert(workflow.params:check(params)))
    job:flush()
    job:close()
    return ok and result or nil, not ok and result or nil
  end
  return host
end

local function read(host, name)
  local artifact = assert(host.artifacts[name], "no artifact " .. name)
  return (assert(objects.read(artifact.hash)))
end

local function params(fields)
  local out = { characters = { "mannequin" }, size = { 96, 96 }, samples = 1 }
  for key, value in pairs(fields or {}) do out[key] = value end
  return out
end

local views = { "front", "front_right", "right", "back_right", "back", "back_left", "left", "front_left" }

describe("workflow render", function()
  local host, folder

  before_each(function()
    host = fake_host()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder) == 0)
  end)

  after_each(function() os.execute("rm -r " .. folder) end)

  local function file(name, text)
    local path = folder .. "/" .. name
    local out = assert(io.open(path, "wb"))
    out:write(text)
    out:close()
    return path
  end

  it("estimates its pictures", function()
    assert.same({ images = 16 }, workflow.estimate { characters = { "a", "b" }, angles = 8 })
  end)

  it("leaves eight pictures and their labels, a COCO file and a contact sheet", function()
    local result = assert(host.run(params()))
    for _, view in ipairs(views) do
      assert.same({ 96, 96 }, { image.decode(read(host, "mannequin/" .. view .. ".png")):size() })
      local labels = json.decode(read(host, "mannequin/" .. view .. ".json"))
      assert.same({ "mannequin/" .. view .. ".png", "mannequin", view }, { labels.image.file, labels.character, labels.view.name })
    end
    local coco = json.decode(read(host, "labels.coco.json"))
    assert.same({ 8, 8 }, { #coco.images, #coco.annotations })
    for i, entry in ipairs(coco.images) do assert.equal("mannequin/" .. views[i] .. ".png", entry.file_name) end
    assert.is_not_nil(image.decode(read(host, "contact-sheet.png")))
    assert.same({ 8, true, 8 }, { result.images, result.characters[1].ok, #result.characters[1].views })
    assert.same({ done = 8, total = 8 }, { done = host.notes[#host.notes].done, total = host.notes[#host.notes].total })
    assert.is_true(result.cpu_seconds.raster > 0)
  end)

  it("draws a batch of views a step", function()
    host.run(params { batch = 3, contact_sheet = false })
    local keys = {}
    for i, step in ipairs(host.steps) do keys[i] = step.key end
    table.sort(keys)
    assert.same({ "labels.coco.json", "mannequin/0-2", "mannequin/3-5", "mannequin/6-7" }, keys)
    assert.is_nil(host.artifacts["contact-sheet.png"])
  end)

  it("goes on where it was when its host goes away, and comes to the same", function()
    local whole = fake_host()
    whole.run(params { batch = 2 })
    for deaths = 1, 5 do
      host.die_after = deaths
      assert.is_nil(host.run(params { batch = 2 }))
      assert.equal(deaths, #host.steps)
    end
    host.die_after = nil
    assert(host.run(params { batch = 2 }))
    assert.equal(#whole.steps, #host.steps)
    for name, artifact in pairs(whole.artifacts) do assert.equal(artifact.hash, host.artifacts[name].hash, name) end
  end)

  it("fails a character that cannot be read alone, with its reason", function()
    local result = assert(host.run(params { characters = { file("broken.fbx", "not a scene"), "mannequin", folder .. "/none.glb" } }))
    local broken, fine, none = unpack(result.characters)
    assert.same({ false, true, false }, { broken.ok, fine.ok, none.ok })
    assert.is_truthy(broken.error.message:find("broken", 1, true))
    assert.equal("not_found", none.error.code)
    assert.equal(8, result.images)
    assert.equal(8, #json.decode(read(host, "labels.coco.json")).images)
  end)

  it("fails when no character can be read, with all reasons", function()
    local result, err = host.run(params { characters = { folder .. "/a.fbx", folder .. "/b.fbx" } })
    assert.is_nil(result)
    assert.equal("not_found", err.code)
    assert.is_truthy(err.message:find("a.fbx", 1, true) and err.message:find("b.fbx", 1, true))
  end)

  it("gives characters of the same name folders of their own", function()
    assert(host.run(params { characters = { "mannequin", "mannequin" }, angles = 1 }))
    assert.is_not_nil(host.artifacts["mannequin/front.png"] and host.artifacts["mannequin-2/front.png"])
  end)

  it("fails a character that has no such clip", function()
    local result, err = host.run(params { clip = "moonwalk" })
    assert.is_nil(result)
    assert.equal("not_found", err.code)
    assert.is_truthy(err.message:find("moonwalk", 1, true))
  end)

  local function admit(fields) return workflow.admit(assert(workflow.params:check(params(fields)))) end

  it("refuses at once what could never be drawn, and says why", function()
    for why, fields in pairs {
      ["cameras.kind must be one of framed, grid, path, random, ring, sphere, not cube"] = { cameras = { kind = "cube" } },
      ["cameras of the kind ring have no angles; they may have count height elevation start target distance padding fov focal "
        .. "sensor size time roll lens seed up"] = { cameras = { kind = "ring", angles = 3 } },
      ["cameras must be an object with a kind or a file"] = { cameras = "sphere" },
      ["frames 9:1 are none"] = { frames = "9:1" },
      ["2000008 views are too many for one job: at most 1000000"] = { angles = 8, frames = "0:250001" },
      ["1000000000000 views are too many for one job: at most 1000000"] = { cameras = { kind = "sphere", count = 1e12 } },
      ["look must be studio, random or an object, not moody"] = { look = "moody" },
      ["at most 64 characters stand together"] = { together = true, characters = (function()
        local many = {}
        for i = 1, 65 do many[i] = "mannequin" end
        return many
      end)() },
    } do
      local ok, err = admit(fields)
      assert.is_nil(ok)
      assert.equal(why, err.message)
    end
    assert.is_true(admit { cameras = { kind = "random", count = 3 }, frames = "0:9:3", look = "random" })
  end)

  it("refuses a job for Blender where there is none", function()
    local blender_views = require "stance.blender_views"
    local check = blender_views.check
    finally(function() blender_views.check = check end)
    blender_views.check = function() return nil, { code = "unsupported", message = "Blender is not here" } end
    assert.equal("Blender is not here", select(2, admit { engine = "blender" }).message)
  end)

  local function labels_of(name) return json.decode(read(host, name)) end

  it("puts characters together into the same pictures", function()
    local result = assert(host.run(params { characters = { "mannequin", "mannequin" }, together = true, angles = 2 }))
    assert.same({ 2, 1, "together" }, { result.images, #result.characters, result.characters[1].name })
    local front = labels_of "together/front.json"
    assert.equal(2, #front.people)
    local left, right = front.people[1].pose.root.position, front.people[2].pose.root.position
    assert.is_true(math.abs(right[1] - left[1] - 1.2) < 1e-3)
    assert.equal(4, #json.decode(read(host, "labels.coco.json")).annotations)
  end)

  it("draws several moments, each with all its cameras", function()
    local result = assert(host.run(params { clip = "walk", frames = "0:20:10", angles = 3 }))
    assert.equal(6, result.images)
    local first, second = labels_of "mannequin/view_120_0001.json", labels_of "mannequin/view_120_0002.json"
    assert.is_true(second.frame.time > first.frame.time)
    assert.is_true(math.abs(first.people[1].landmarks[28].world[3] - second.people[1].landmarks[28].world[3]) > 0.01)
    assert.same({ images = 12 }, workflow.estimate(assert(workflow.params:check { characters = { "a", "b" }, frames = "0:20:10",
      angles = 3 })))
  end)

  it("plays a motion of another file", function()
    local glb = assert(require("scene").mannequin { stature = 1.2 })
    local result = assert(host.run(params { motion = file("child.glb", glb) .. "#walk", time = 0.3, angles = 1 }))
    assert.equal("motion child#walk", result.characters[1].shows)
    local ours = labels_of("mannequin/front.json").people[1].landmarks
    local other = fake_host()
    assert(other.run(params { clip = "walk", time = 0.3, angles = 1 }))
    local theirs = json.decode(read(other, "mannequin/front.json")).people[1].landmarks
    for i, mark in ipairs(ours) do -- the same body in the same stride, its feet held
      for k = 2, 3 do assert.is_true(math.abs(mark.world[k] - theirs[i].world[k]) < 0.06, mark.name) end
    end
  end)

  describe("takes cameras", function()
    it("of a kind", function()
      assert(host.run(params { cameras = { kind = "sphere", count = 5 } }))
      assert.is_not_nil(host.artifacts["mannequin/view_5.json"])
    end)

    it("by chance, which a seed decides", function()
      local other, third = fake_host(), fake_host()
      local fields = { cameras = { kind = "random", count = 3 }, look = "random", seed = 11 }
      assert(host.run(params(fields)))
      assert(other.run(params(fields)))
      fields.seed = 12
      assert(third.run(params(fields)))
      for _, name in ipairs { "mannequin/view_1.png", "mannequin/view_3.json" } do
        assert.equal(host.artifacts[name].hash, other.artifacts[name].hash)
        assert.not_equal(host.artifacts[name].hash, third.artifacts[name].hash)
      end
    end)

    it("of a file, under names that are safe", function()
      local path = file("rig.json", json.encode { { name = "../door", position = { 0, 1, 4 }, target = { 0, 1, 0 } },
        { name = "../door", position = { 3, 1, 0 }, target = { 0, 1, 0 } } })
      assert(host.run(params { cameras = { file = path } }))
      assert.is_not_nil(host.artifacts["mannequin/__door.png"] and host.artifacts["mannequin/__door-2.png"])
      assert.is_not_nil(host.artifacts["cameras.json"])
      assert.equal(2, #json.decode(read(host, "labels.coco.json")).images)
    end)

    it("of a file that is none, and says which field is wrong", function()
      local path = file("rig.json", json.encode { { position = { 0, 1 } } })
      local result, err = host.run(params { cameras = { file = path } })
      assert.is_nil(result)
      assert.is_truthy(err.message:find("rig.json", 1, true))
    end)
  end)

  it("looks through a lens, for as long as the shutter is open", function()
    local plain, lens, blurred = fake_host(), fake_host(), fake_host()
    local fields = { clip = "walk", time = 0.3, angles = 1, distance = 2.5, focal = 35 }
    assert(plain.run(params(fields)))
    fields.lens = { distortion = { -0.2, 0, 0, 0, 0 } }
    assert(lens.run(params(fields)))
    fields.lens, fields.shutter = nil, 1
    assert(blurred.run(params(fields)))
    local function front(of) return json.decode(read(of, "mannequin/front.json")) end
    assert.same({ -0.2, 0, 0, 0, 0 }, front(lens).camera.distortion)
    assert.not_same(front(plain).people[1].landmarks[28].pixel, front(lens).people[1].landmarks[28].pixel)
    assert.same(front(plain).people, front(blurred).people)
    assert.not_equal(plain.artifacts["mannequin/front.png"].hash, blurred.artifacts["mannequin/front.png"].hash)
    assert.is_true(math.abs(front(plain).camera.fov - 54.43) < 0.01)
  end)

  describe("keeps", function()
    it("labels alone", function()
      local result = assert(host.run(params { image = "none", angles = 2 }))
      assert.is_nil(host.artifacts["mannequin/front.png"])
      assert.is_nil(host.artifacts["contact-sheet.png"])
      assert.equal(2, result.images)
      assert.is_not_nil(host.artifacts["mannequin/front.json"])
    end)

    it("JPEG pictures", function()
      assert(host.run(params { image = "jpeg", angles = 1 }))
      assert.equal("jpeg", image.kind(read(host, "mannequin/front.jpg")))
      assert.equal("mannequin/front.jpg", labels_of("mannequin/front.json").image.file)
    end)

    it("a line a view instead of a file", function()
      local other = fake_host()
      assert(host.run(params { save_json = false, angles = 3, batch = 2 }))
      assert(other.run(params { angles = 3, batch = 2 }))
      assert.is_nil(host.artifacts["mannequin/view_000.json"])
      assert.equal(host.artifacts["labels.coco.json"].hash, other.artifacts["labels.coco.json"].hash)
      assert.equal(host.artifacts["contact-sheet.png"].hash, other.artifacts["contact-sheet.png"].hash)
      local lines = 0
      for line in read(host, "labels/mannequin-0-1.ndjson"):gmatch "[^\n]+" do
        assert.equal("stance.view", json.decode(line).schema)
        lines = lines + 1
      end
      assert.equal(2, lines)
    end)

    it("archives instead of files", function()
      local other = fake_host()
      assert(host.run(params { shard = 2, angles = 3, maps = { "part" } }))
      assert(other.run(params { angles = 3, batch = 2 }))
      assert.is_nil(host.artifacts["mannequin/view_000.png"])
      local tar = read(host, "shards/mannequin-0-1.tar")
      for _, name in ipairs { "view_000.png", "view_000.json", "view_120.part.npy" } do
        assert.is_truthy(tar:find("mannequin/" .. name, 1, true))
      end
      assert.is_not_nil(host.artifacts["shards/mannequin-2-2.tar"])
      local seventh = fake_host()
      assert(seventh.run(params { shard = 7, angles = 7 })) -- at degrees with decimals
      assert.is_truthy(read(seventh, "shards/mannequin-0-6.tar"):find("mannequin/view_051_43.json", 1, true))
      assert.equal(other.artifacts["labels.coco.json"].hash, host.artifacts["labels.coco.json"].hash)
    end)

    it("maps, overlays and arrays", function()
      assert(host.run(params { angles = 1, maps = { "depth", "person", "normal", "flow" }, save_debug_images = true,
        save_numpy = true, skeleton_format = "coco_17" }))
      local depth = read(host, "mannequin/front.depth.npy")
      assert.is_truthy(depth:find("'descr': '<f4', 'fortran_order': False, 'shape': (96, 96), }", 1, true))
      assert.is_truthy(read(host, "mannequin/front.flow.npy"):find("(96, 96, 2)", 1, true))
      assert.not_equal(host.artifacts["mannequin/front.png"].hash, host.artifacts["mannequin/front.debug.png"].hash)
      assert.is_truthy(read(host, "keypoints_2d.npy"):find("(1, 1, 17, 4)", 1, true))
      assert.equal("mannequin/front.png\n", read(host, "views.txt"))
    end)
  end)

  it("keeps what was asked for in the COCO file", function()
    assert(host.run(params { angles = 1, seed = 5, character_params = { gender = "female", age = 30 } }))
    local info = json.decode(read(host, "labels.coco.json")).info
    assert.same({ 5, "female" }, { info.seed, info.character_params.gender })
  end)

  it("stops at once when it is cancelled", function()
    local run = fiber.spawn(function() return host.run(params { angles = 64, size = { 512, 512 } }) end)
    fiber.sleep(0.2)
    run:cancel "cancelled"
    run:join()
    local steps = #host.steps
    fiber.sleep(0.1)
    assert.equal(steps, #host.steps)
    assert.is_true(steps < 16)
  end)

  describe("of every character in STANCE_ASSETS", function()
    local root = os.getenv "STANCE_ASSETS"
    local found = {}
    if fs_ok and root and lfs.attributes(root .. "/characters") then
      for name in lfs.dir(root .. "/characters") do
        if name:match "%.%w+$" then found[#found + 1] = root .. "/characters/" .. name end
      end
    end
    if #found == 0 then
      pending "there are no characters to draw"
      return
    end
    table.sort(found)

    it("has the whole body, upright, in every picture, with the skeleton on it", function()
      local result = assert(host.run(params { characters = found, size = { 256, 256 } }))
      for _, character in ipairs(result.characters) do
        assert.is_true(character.ok, character.name)
        for _, view in ipairs(character.views) do
          local person = json.decode(read(host, view.labels)).people[1]
          local box, seen, place = person.box, 0, {}
          assert.is_true(box[1] >= 2 and box[2] >= 2 and box[1] + box[3] <= 254 and box[2] + box[4] <= 254, view.image)
          assert.is_true(person.area > 1500, view.image)
          for _, mark in ipairs(person.landmarks) do
            place[mark.name] = mark.world
            local x, y = mark.pixel[1], mark.pixel[2]
            if x >= box[1] - 3 and x <= box[1] + box[3] + 3 and y >= box[2] - 3 and y <= box[2] + box[4] + 3 then seen = seen + 1 end
          end
          assert.equal(33, seen, view.image)
          assert.is_true(place.nose[2] > place.left_hip[2] and place.left_hip[2] > place.left_ankle[2], view.image)
        end
      end
    end)
  end)
end)
