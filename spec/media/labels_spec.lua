local json, render, scene = require "json", require "render", require "scene"
local labels = require "stance.labels"

describe("labels", function()
  local views = {}

  setup(function()
    local body = assert(scene.open "mannequin")
    for view in render.ring(body, { angles = 4, size = { 96, 96 }, samples = 1 }) do
      views[#views + 1] = json.decode((view:labels { image = "m/" .. view.name .. ".png" }))
    end
    body:close()
  end)

  local function coco(info)
    local file = labels.coco(info or { description = "four views" })
    for _, view in ipairs(views) do file.add(view) end
    return file.finish()
  end

  it("are JSON whatever files are called, and number frames from 0", function()
    local body = assert(scene.open_bytes(assert(scene.mannequin { detail = 1 }), "caf\233.glb"))
    for time, number in pairs { [-3] = 0, [1e9] = 2 ^ 32 - 1 } do
      local cameras = { { position = { 0, 1, 3 }, target = { 0, 1, 0 }, size = { 32, 32 } } }
      local view = assert(render.views(body, { clip = "walk", time = time, samples = 1, cameras = cameras })):view(1)
      local read = json.decode((assert(view:labels { image = "\200\"\1.png" })))
      assert.same({ "\239\191\189\"\1.png", "caf\239\191\189", number },
        { read.image.file, read.people[1].character, read.frame.number })
    end
    body:close()
  end)

  it("take no names that only a metatable has, which nobody holds", function()
    local body = assert(scene.open "mannequin")
    for view in render.ring(body, { angles = 1, size = { 32, 32 }, samples = 1 }) do
      local names = setmetatable({}, { __index = function(_, key) return key .. ".png" end })
      assert.has_error(function() view:labels(names) end, "option 'image' must be in the table itself, not in its metatable")
    end
    body:close()
  end)

  it("tell the sides of landmarks", function()
    assert.same({ "left", "right", "middle", "left" },
      { labels.side "left_eye", labels.side "right_ankle", labels.side "nose", labels.side "mouth_left" })
  end)

  it("have skeletons that join what there is", function()
    for _, pair in ipairs(labels.skeleton) do assert.is_string(labels.keypoints[pair[1]] and labels.keypoints[pair[2]]) end
    for _, pair in ipairs(labels.skeleton_33) do assert.is_string(labels.landmarks[pair[1]] and labels.landmarks[pair[2]]) end
    assert.equal(19, #labels.skeleton)
    assert.equal(35, #labels.skeleton_33)
    for name, format in pairs(labels.formats) do
      assert.equal(#format.names, #format.points)
      assert.equal(tonumber(name:match "%d+$"), #format.points)
      local reached = {}
      for _, pair in ipairs(labels.bones[name]) do
        assert.is_string(format.names[pair[1]] and format.names[pair[2]], name)
        reached[pair[1]], reached[pair[2]] = true, true
      end
      for i, keypoint in ipairs(format.names) do assert.is_true(reached[i], name .. ": nothing leads to " .. keypoint) end
    end
  end)

  it("have every skeleton's keypoints, the same as those that the labels list", function()
    for _, view in ipairs(views) do
      local person = view.people[1]
      for name, triples in pairs(person.keypoints) do
        local selected = labels.triples(labels.select(person, name))
        assert.equal(#triples, #selected)
        for i, value in ipairs(triples) do assert.near(value, selected[i], 0.006) end
      end
      assert.equal(33, #labels.select(person, "mediapipe_33"))
    end
    assert.has_error(function() labels.select(views[1].people[1], "coco_18") end,
      "no skeleton is called coco_18: there are body_25, coco_17, h36m_17, mediapipe_33, smpl_24")
  end)

  it("make rows for arrays: people x keypoints x 4, with nobody in what is left", function()
    for _, field in ipairs { "image", "camera", "world" } do
      local row = labels.row(views[1], "smpl_24", field, 2)
      assert.equal(2 * 24 * 4, #row)
      local pelvis = labels.select(views[1].people[1], "smpl_24")[1]
      local expected = field == "image" and { pelvis.pixel[1], pelvis.pixel[2], pelvis.camera[3] } or pelvis[field]
      for i = 1, 3 do assert.equal(expected[i], row[i]) end
      assert.equal(pelvis.visibility, row[4])
      for i = 24 * 4 + 1, #row do assert.is_true(i % 4 == 0 and row[i] == 0 or row[i] ~= row[i]) end
    end
  end)

  it("make lines for YOLO, all in the picture's 0..1", function()
    for _, view in ipairs(views) do
      local numbers = {}
      for word in labels.yolo(view):gmatch "%S+" do numbers[#numbers + 1] = tonumber(word) end
      assert.equal(5 + 3 * 17, #numbers)
      assert.equal(0, numbers[1])
      for i = 2, 5 do assert.is_true(numbers[i] > 0 and numbers[i] < 1) end
      local box = view.people[1].box
      assert.near(box[1] + box[3], (numbers[2] + numbers[4] / 2) * 96, 1e-3)
      for i = 6, #numbers, 3 do assert.is_true(numbers[i] <= 1 and numbers[i + 1] <= 1 and numbers[i + 2] <= 2) end
    end
  end)

  describe("as a COCO file", function()
    it("have an annotation with keypoints for each image", function()
      local file = json.decode(coco())
      assert.same({ 4, 4, 1 }, { #file.images, #file.annotations, #file.categories })
      assert.same({ 17, 33 }, { #file.categories[1].keypoints, #file.categories[1].keypoints_33 })
      for i, annotation in ipairs(file.annotations) do
        assert.same({ i, i, 1, 0 }, { annotation.id, annotation.image_id, annotation.category_id, annotation.iscrowd })
        assert.same({ 51, 99, 4 }, { #annotation.keypoints, #annotation.keypoints_33, #annotation.bbox })
        local labelled = 0
        for k = 3, 51, 3 do
          if annotation.keypoints[k] > 0 then labelled = labelled + 1 end
        end
        assert.equal(labelled, annotation.num_keypoints)
        local covered = 0
        for k = 2, #annotation.segmentation.counts, 2 do covered = covered + annotation.segmentation.counts[k] end
        assert.equal(annotation.area, covered)
        assert.same({ "mannequin", 1, "mannequin" }, { annotation.person, annotation.person_id, annotation.character })
        assert.same({ 96, 96 }, annotation.segmentation.size)
      end
      assert.equal("m/front.png", file.images[1].file_name)
      assert.equal("front", file.images[1].view)
    end)

    it("have another skeleton's keypoints when asked", function()
      local file = labels.coco({ description = "d" }, "body_25")
      file.add(views[1])
      local decoded = json.decode(file.finish())
      assert.same({ 25, 75, "LHeel" },
        { #decoded.categories[1].keypoints, #decoded.annotations[1].keypoints, decoded.categories[1].keypoints[22] })
      assert.is_nil(decoded.annotations[1].keypoints_33)
    end)

    it("are the same bytes for the same views", function() assert.equal(coco(), coco()) end)

    it("keep what was asked for", function()
      local file = json.decode(coco { description = "d", seed = 7, character_params = { age = 30, gender = "female" } })
      assert.same({ age = 30, gender = "female" }, file.info.character_params)
      assert.equal(7, file.info.seed)
    end)
  end)
end)
