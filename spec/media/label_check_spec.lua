local json, render, scene = require "json", require "render", require "scene"
local dataset_check, label_check, labels = require "stance.dataset_check", require "stance.label_check", require "stance.labels"

describe("labels that are checked", function()
  local texts, pictures = {}, {}

  setup(function()
    local body = assert(scene.open "mannequin")
    for view in render.ring(body, { angles = 4, size = { 96, 96 }, samples = 4 }) do
      texts[#texts + 1] = assert(view:labels { image = "m/" .. view.name .. ".png" })
      pictures[#pictures + 1] = assert(view:png())
    end
    -- From near, and from within: cut by the frame, behind the camera.
    local cameras = {}
    for i, z in ipairs { 0.9, 0.3, -0.4 } do
      cameras[i] = { position = { 0.1, 1.3, z }, target = { 0, 1.2, z - 1 }, size = { 80, 64 } }
    end
    for view in assert(render.views(body, { cameras = cameras, samples = 1 })):each() do texts[#texts + 1] = assert(view:labels()) end
    -- Through lenses, to the corners; one that turns back on itself.
    for i, k in ipairs { { -0.2, 0.03, 0.004, -0.002, 0 }, { 0.3, 0, 0, 0, 0 }, { -0.9, 0, 0, 0, 0 } } do
      cameras[i] = { position = { 0.6, 1.1, 1.2 }, target = { 0, 1, 0 }, fov = 90, size = { 96, 80 }, lens = { distortion = k } }
    end
    for view in assert(render.views(body, { cameras = cameras, samples = 1 })):each() do texts[#texts + 1] = assert(view:labels()) end
    body:close()
  end)

  it("are sound as they are drawn", function()
    assert.equal(10, #texts)
    for _, text in ipairs(texts) do assert.same({}, label_check.view(json.decode(text))) end
    assert.equal("brown_conrady", json.decode(texts[10]).camera.model)
  end)

  local function first(view) return view.people[1] end

  for what, case in pairs {
    ["a schema of old"] = { function(view) view.schema_version = 1 end, "schema_version 1" },
    ["a landmark that moved"] = { function(view) first(view).landmarks[1].pixel[1] = 3 end, "nose: pixel is not where" },
    ["a world point that moved"] = { function(view) first(view).landmarks[5].world[2] = 0.2 end,
      "right_eye_inner: camera and world differ" },
    ["a state that is none"] = { function(view) first(view).joints[2].state = "gone" end, "pelvis: no state is called gone" },
    ["a state that does not go with its place"] = { function(view) first(view).landmarks[1].state = "out_of_frame" end,
      "nose: visibility 2" },
    ["keypoints of another"] = { function(view) first(view).keypoints.body_25[1] = 3 end, "keypoints.body_25" },
    ["a box that is too large"] = { function(view) first(view).box[3] = first(view).box[3] + 1 end, "box is not that of the mask" },
    ["an area that is none"] = { function(view) first(view).area = 7 end, "area is 7" },
    ["a mask of another size"] = { function(view) first(view).segmentation.size[1] = 90 end, "segmentation has another size" },
    ["a mask that ends early"] = { function(view) first(view).segmentation.counts[1] = 0 end, "segmentation has" },
    ["more seen than there is"] = { function(view) first(view).full_area = 1 end, "more is seen" },
    ["a camera that shears"] = { function(view) view.camera.camera_from_world[1][2] = 0.5 end, "does not turn only" },
    ["a lens that is not told"] = { function(view) view.camera.distortion[1] = 0.1 end, "camera.model pinhole" },
    ["another focal length"] = { function(view) view.camera.fx = 3 end, "camera.K" },
    ["a turn that is none"] = { function(view) first(view).pose.rotations.hips[4] = 2 end, "the turn of hips" },
    ["a missing landmark"] = { function(view) table.remove(first(view).landmarks) end, "32 landmarks" },
  } do
    it("are refused with " .. what, function()
      local view = json.decode(texts[1])
      case[1](view)
      local problems = table.concat(label_check.view(view), "\n")
      assert.is_truthy(problems:find(case[2], 1, true), problems)
    end)
  end

  it("are refused when two people share a pixel", function()
    local view = json.decode(texts[1])
    view.people[2] = json.decode(json.encode(view.people[1]))
    view.people[2].id = 2
    assert.is_truthy(table.concat(label_check.view(view), "\n"):find "persons 1 and 2 share pixels")
  end)

  describe("in a folder", function()
    local folder

    local function write(name, bytes)
      local file = assert(io.open(folder .. "/" .. name, "wb"))
      file:write(bytes)
      file:close()
    end

    before_each(function()
      folder = os.tmpname()
      os.remove(folder)
      os.execute("mkdir -p " .. folder .. "/m")
      local coco = labels.coco { description = "d" }
      for i = 1, 4 do
        local view = json.decode(texts[i])
        write(view.image.file, pictures[i])
        write((view.image.file:gsub("%.png$", ".json")), texts[i])
        coco.add(view)
      end
      write("labels.coco.json", coco.finish())
    end)

    after_each(function() os.execute("rm -rf " .. folder) end)

    it("are whole", function()
      assert.same({ views = 4, people = 4, pictures = 4, problems = {} }, dataset_check.folder(folder))
    end)

    it("need their pictures, whole and of their size", function()
      os.remove(folder .. "/m/front.png")
      write("m/right.png", pictures[3]:sub(1, 200))
      local report = dataset_check.folder(folder)
      local words = {}
      for i, problem in ipairs(report.problems) do words[i] = problem.file .. ": " .. problem.message end
      local text = table.concat(words, "\n")
      assert.is_truthy(text:find("m/front.json: there is no picture m/front.png", 1, true), text)
      assert.is_truthy(text:find("m/right.json: its picture m/right.png is damaged", 1, true), text)
      assert.is_truthy(text:find("labels.coco.json: there is no picture m/front.png", 1, true), text)
    end)

    it("have each person in the COCO file", function()
      local coco = labels.coco { description = "d" }
      for i = 1, 3 do coco.add(json.decode(texts[i])) end
      write("labels.coco.json", coco.finish())
      local report = dataset_check.folder(folder, { pictures = false })
      assert.equal(1, #report.problems)
      assert.is_truthy(report.problems[1].message:find "^no people are annotated in m/")
    end)
  end)
end)
