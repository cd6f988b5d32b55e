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
