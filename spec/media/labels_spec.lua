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

  it("tell the sides of landmarks", function()
    assert.same({ "left", "right", "middle", "left" },
      { labels.side "left_eye", labels.side "right_ankle", labels.side "nose", labels.side "mouth_left" })
  end)

  it("have skeletons that join what there is", function()
    for _, pair in ipairs(labels.skeleton) do assert.is_string(labels.keypoints[pair[1]] and labels.keypoints[pair[2]]) end
    for _, pair in ipairs(labels.skeleton_33) do assert.is_string(labels.landmarks[pair[1]] and labels.landmarks[pair[2]]) end
    assert.equal(19, #labels.skeleton)
    assert.equal(35, #labels.skeleton_33)
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
        assert.same({ 96, 96 }, annotation.segmentation.size)
      end
      assert.equal("m/front.png", file.images[1].file_name)
      assert.equal("front", file.images[1].view)
    end)

    it("are the same bytes for the same views", function() assert.equal(coco(), coco()) end)

    it("keep what was asked for", function()
      local file = json.decode(coco { description = "d", seed = 7, character_params = { age = 30, gender = "female" } })
      assert.same({ age = 30, gender = "female" }, file.info.character_params)
      assert.equal(7, file.info.seed)
    end)
  end)
end)
