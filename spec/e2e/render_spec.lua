local image, json, scene = require "image", require "json", require "scene"
local label_check = require "stance.label_check"
local checks, support = require "spec.e2e.checks", require "spec.e2e.support"

local views = { "front", "front_right", "right", "back_right", "back", "back_left", "left", "front_left" }

local function write(path, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  return path
end

local function little_endian(value)
  local b = math.floor
  return string.char(value % 256, b(value / 256) % 256, b(value / 65536) % 256, b(value / 16777216) % 256)
end

--- A GLB of one triangle: a mesh, but no skeleton.
local function triangle()
  local zero, one = "\0\0\0\0", "\0\0\128\63"
  local bin = zero:rep(3) .. one .. zero:rep(2) .. zero .. one .. zero
  local head = json.encode {
    asset = { version = "2.0" }, scene = 0, scenes = { { nodes = json.array { 0 } } }, nodes = { { mesh = 0, name = "Rock" } },
    meshes = { { primitives = { { attributes = { POSITION = 0 } } } } }, buffers = { { byteLength = #bin } },
    bufferViews = { { buffer = 0, byteLength = #bin } },
    accessors = { { bufferView = 0, componentType = 5126, count = 3, type = "VEC3", min = json.array { 0, 0, 0 },
      max = json.array { 1, 1, 0 } } },
  }
  head = head .. (" "):rep(-#head % 4)
  local chunks = little_endian(#head) .. "JSON" .. head .. little_endian(#bin) .. "BIN\0" .. bin
  return "glTF" .. little_endian(2) .. little_endian(12 + #chunks) .. chunks
end

local function check_labels(view, what)
  assert.same({}, label_check.view(view), what)
  assert.equal(1, #view.people)
end

--- -> how many images, how many annotations
local function check_coco(coco, files)
  assert.same({}, label_check.coco(coco, function(name) return files[name] ~= nil end))
  return #coco.images, #coco.annotations
end

describe("a render job", function()
  local host, folder

  setup(function()
    host = support.host { flags = "--workers 2" }
    folder = host.folder .. "/in"
    support.shell("mkdir " .. folder)
  end)

  teardown(function() host:stop() end)

  --- -> the ended job, its artifacts by name, how many
  local function render(params, seconds)
    local job = host:wait(host:submit("render", params), seconds)
    return job, checks.artifacts(host, job.job_id)
  end

  it("leaves eight pictures with labels, a COCO file and a contact sheet", function()
    local job, files, count = render { characters = { "mannequin" } }
    assert.equal("completed", job.status, json.encode(job.error))
    assert.equal(18, count)
    assert.same({ done = 8, total = 8 }, { done = job.progress.done, total = job.progress.total })
    for i, view in ipairs(views) do
      local stem = "mannequin/" .. view
      local picture = assert(image.decode(files[stem .. ".png"]))
      assert.same({ 512, 512 }, { picture:size() })
      local labels = json.decode(files[stem .. ".json"])
      assert.same({ "stance.view", stem .. ".png", "mannequin", view, 45 * (i - 1) },
        { labels.schema, labels.image.file, labels.character, labels.view.name, labels.view.azimuth })
      check_labels(labels, stem)
    end
    assert.same({ 8, 8 }, { check_coco(json.decode(files["labels.coco.json"]), files) })
    local width, height = assert(image.decode(files["contact-sheet.png"])):size()
    assert.is_true(width > 500 and height > 200)
  end)

  it("fails characters that cannot be read alone, each with its reason", function()
    local glb = assert(scene.mannequin { detail = 1 })
    support.shell(("mkdir %s/folder.fbx"):format(folder))
    local bad = {
      { folder .. "/missing.fbx", "missing" }, { write(folder .. "/empty.fbx", ""), "empty" },
      { write(folder .. "/noise.fbx", require("crypto").random(20000)), "not FBX, glTF, GLB or VRM" },
      { write(folder .. "/half.glb", glb:sub(1, math.floor(#glb / 2))), "half.glb" },
      { write(folder .. "/rock.glb", triangle()), "skeleton" }, { folder .. "/folder.fbx", "folder.fbx" },
      { write(folder .. "/letter.txt", "Dear reader,\n"), "not FBX, glTF, GLB or VRM" },
      { write(folder .. "/fbxhead.fbx", "Kaydara FBX Binary  \0\26\0" .. little_endian(7400) .. ("\255"):rep(4000)), "fbxhead.fbx" },
    }
    local characters = { write(folder .. "/good.glb", glb) }
    for i, case in ipairs(bad) do characters[i + 1] = case[1] end
    local job, files, count = render { characters = characters, size = { 128, 128 } }
    assert.equal("completed", job.status, json.encode(job.error))
    assert.equal(18, count)
    for _, view in ipairs(views) do check_labels(json.decode(files["good/" .. view .. ".json"]), view) end
    assert.equal(8, (check_coco(json.decode(files["labels.coco.json"]), files)))
    assert.is_true(job.result.characters[1].ok)
    for i, case in ipairs(bad) do
      local character = job.result.characters[i + 1]
      assert.is_false(character.ok, case[1])
      assert.is_truthy(character.error.message:find(case[2], 1, true), character.error.message)
      assert.is_falsy(character.error.message:find("[^\32-\126]"), "unreadable: " .. character.error.message)
      assert.not_equal("internal", character.error.code)
    end
  end)

  it("fails when no character can be read, and says why", function()
    local job, _, count = render { characters = { folder .. "/none.fbx", folder .. "/neither.glb" } }
    assert.equal("failed", job.status)
    assert.equal(0, count)
    assert.is_truthy(job.reason:find("none.fbx", 1, true) and job.reason:find("neither.glb", 1, true), job.reason)
    assert.equal("not_found", job.error.code)
    assert.equal(1, job.attempt) -- trying again would not help
  end)

  for name, params in pairs {
    ["no characters"] = { characters = json.array {} },
    ["no list of characters"] = { characters = "mannequin" },
    ["no views"] = { angles = 0 },
    ["too many views"] = { angles = 361 },
    ["a camera inside the body"] = { distance = 0 },
    ["a picture of no size"] = { size = { 0, 0 } },
    ["a huge picture"] = { size = { 100000, 100000 } },
    ["a size of one number"] = { size = { 512 } },
    ["odd samples"] = { samples = 3 },
    ["a wide view"] = { fov = 180 },
    ["a time before the clip"] = { time = -1 },
    ["half a view"] = { angles = 2.5 },
    ["an unknown field"] = { angels = 8 },
  } do
    it("is refused with " .. name, function()
      params.characters = params.characters or { "mannequin" }
      local status, problem = host:post("/api/jobs", { job_type = "render", params = params })
      assert.equal(422, status)
      assert.is_truthy(problem.detail:find("params", 1, true) or problem.errors, json.encode(problem))
    end)
  end

  describe("of each file in STANCE_ASSETS", function()
    local root = (os.getenv "STANCE_ASSETS" or "../shared/assets") .. "/characters"
    local found = {}
    for path in support.shell(("ls -d $(realpath '%s' 2>/dev/null)/*.* 2>/dev/null || true"):format(root)):gmatch "[^\n]+" do
      found[#found + 1] = path
    end
    if #found == 0 then
      pending "there are no characters in STANCE_ASSETS"
      return
    end

    it("shows the whole body from all sides, with its keypoints", function()
      local job, files = render({ characters = found, size = { 256, 256 } }, 60)
      assert.equal("completed", job.status, json.encode(job.error))
      assert.equal(8 * #found, (check_coco(json.decode(files["labels.coco.json"]), files)))
      for _, character in ipairs(job.result.characters) do
        assert.is_true(character.ok, json.encode(character))
        assert.equal(8, #character.views)
        for _, view in ipairs(character.views) do
          local labels = json.decode(files[view.labels])
          check_labels(labels, view.labels)
          local box, triples = labels.people[1].box, labels.people[1].keypoints.coco_17
          assert.is_true(box[1] >= 1 and box[2] >= 1 and box[1] + box[3] <= 255 and box[2] + box[4] <= 255, view.image)
          local labelled = 0
          for k = 3, 51, 3 do
            if triples[k] > 0 then labelled = labelled + 1 end
          end
          assert.is_true(view.name ~= "front" or labelled >= 12, ("%s: %d of 17"):format(view.image, labelled))
        end
      end
    end)
  end)
end)

describe("a render job of 48 views", function()
  it("is finished through random kills of workers and hosts", function()
    local host = support.host { flags = "--workers 2 --job-max-attempts 100" }
    finally(function() host:stop() end)
    local glb, characters = assert(scene.mannequin()), {}
    for i = 1, 6 do characters[i] = write(("%s/body%d.glb"):format(host.folder, i), glb) end
    local id = host:submit("render", { characters = characters, batch = 2, samples = 16, size = { 1024, 1024 } })
    local met = checks.kill_at_random(host, id, 8, function() return math.random() * 0.2 end)
    local job = host:wait(id, 60)
    assert.equal("completed", job.status, json.encode(job))
    assert.is_true(met >= 6, ("only %d kills met the job"):format(met))
    assert.is_true(job.attempt > 1)
    local files, count = checks.artifacts(host, id)
    assert.equal(98, count)
    assert.equal(98, checks.committed_once(host, id))
    assert.same({ 48, 48 }, { check_coco(json.decode(files["labels.coco.json"]), files) })
    for i = 1, 6 do -- the same body: the same pictures, whoever drew them
      for _, view in ipairs(views) do
        assert.equal(files["body1/" .. view .. ".png"], files[("body%d/%s.png"):format(i, view)])
        check_labels(json.decode(files[("body%d/%s.json"):format(i, view)]), view)
      end
    end
    assert.is_not_nil(image.decode(files["contact-sheet.png"]))
  end)
end)
