local fiber, image, json = require "fiber", require "image", require "json"
local render, scene = require "render", require "scene"

-- Small pictures keep the spec quick.
local small = { 128, 160 }

local function options(fields)
  local out = { size = small, samples = 1, clip = "rest" }
  for key, value in pairs(fields or {}) do out[key] = value end
  return out
end

local function floats(bytes)
  local ffi = require "ffi"
  local copy = ffi.new("float[?]", #bytes / 4) -- a pointer into the string would not keep it
  ffi.copy(copy, bytes, #bytes)
  return copy, #bytes / 4
end

local function mark(labels, name)
  for _, entry in ipairs(labels.people[1].landmarks) do
    if entry.name == name then return entry end
  end
end

describe("render", function()
  local body

  setup(function() body = assert(scene.open "mannequin") end)
  teardown(function() body:close() end)

  local function all(fields)
    local out = {}
    for view in render.ring(body, options(fields)) do
      out[#out + 1] = { name = view.name, png = assert(view:png()), labels = json.decode((assert(view:labels()))) }
      out[view.name] = out[#out]
    end
    return out
  end

  describe("a ring", function()
    it("of eight goes round from the front by way of the right", function()
      local names = {}
      for view in render.ring(body, options()) do names[#names + 1] = view.name end
      assert.same({ "front", "front_right", "right", "back_right", "back", "back_left", "left", "front_left" }, names)
    end)

    it("of other numbers is named by degrees", function()
      local names = {}
      for view in render.ring(body, options { angles = 3 }) do names[#names + 1] = view.name end
      assert.same({ "view_000", "view_120", "view_240" }, names)
      names = {}
      for view in render.ring(body, options { angles = 360 }) do names[view.name] = true end
      assert.is_true(names.view_001 and names.view_359)
    end)

    it("stands where the contract says", function()
      local cameras = assert(render.cameras(body, options()))
      for i, camera in ipairs(cameras) do
        local x, z = camera.position[1] - camera.target[1], camera.position[3] - camera.target[3]
        assert.near(3.5, math.sqrt(x * x + z * z), 1e-4)
        assert.near(1.6, camera.position[2], 1e-6)
        assert.near(45 * (i - 1), camera.azimuth, 1e-4)
      end
      assert.is_true(cameras[1].position[3] > 3) -- before the body, which faces +z
      assert.is_true(cameras[3].position[1] < -3) -- the body's right is -x
    end)

    it("shows the right side in the view `right`", function()
      local views = all()
      local right, left = views.right.labels, views.left.labels
      assert.is_true(mark(right, "right_shoulder").camera[3] < mark(right, "left_shoulder").camera[3])
      assert.is_true(mark(left, "left_shoulder").camera[3] < mark(left, "right_shoulder").camera[3])
      assert.is_true(mark(views.front.labels, "left_shoulder").pixel[1] > mark(views.front.labels, "right_shoulder").pixel[1])
      assert.is_true(mark(views.back.labels, "left_shoulder").pixel[1] < mark(views.back.labels, "right_shoulder").pixel[1])
      assert.equal("visible", mark(views.front.labels, "nose").state)
      assert.equal("self_occluded", mark(views.back.labels, "nose").state)
    end)

    it("has the whole body in every picture", function()
      for _, view in ipairs(all { clip = 1, time = 0.4 }) do
        local box, full = view.labels.people[1].box, view.labels.people[1].full_box
        assert.is_true(box[1] >= 1 and box[2] >= 1 and box[1] + box[3] <= 127 and box[2] + box[4] <= 159, view.name)
        for i = 1, 4 do assert.near(full[i], box[i], 2) end
        assert.is_true(view.labels.people[1].area > 300)
      end
    end)

    it("stands back until the body fits, and the labels say so", function()
      local view = all({ distance = 0.8 })[1]
      assert.is_true(view.labels.camera.distance > 1.5)
      assert.is_true(view.labels.people[1].box[2] >= 160 * 0.03 - 1)
      local before = view.labels.camera.distance / 1.05
      assert.is_true(before > 0.8)
    end)

    it("keeps its distance over all times of a clip", function()
      local one = assert(render.cameras(body, { clip = 1, time = 0, distance = 1 }))
      local other = assert(render.cameras(body, { clip = 1, time = 0.5, distance = 1 }))
      assert.near(one[1].distance, other[1].distance, 0.06)
    end)

    for name, bad in pairs {
      ["no views"] = { angles = 0 }, ["too many views"] = { angles = 361 }, ["a wide lens"] = { fov = 170 },
      ["no distance"] = { distance = 0 }, ["tiny pictures"] = { size = { 4, 4 } },
    } do
      it("refuses " .. name, function()
        local cameras, err = render.cameras(body, options(bad))
        assert.is_nil(cameras)
        assert.equal("invalid", err.code)
      end)
    end

    it("names the clips there are when asked for another", function()
      local cameras, err = render.cameras(body, { clip = "moonwalk" })
      assert.is_nil(cameras)
      assert.equal("not_found", err.code)
      assert.is_truthy(err.message:find("walk", 1, true))
      assert.has_error(function() render.ring(body, { clip = "moonwalk" }) end)
    end)

    it("refuses misuse", function()
      assert.has_error(function() render.cameras({}, {}) end)
      for field, bad in pairs { size = 5, angles = 1.5, time = "now" } do
        local cameras, err = render.cameras(body, { [field] = bad })
        assert.is_nil(cameras)
        assert.matches("options." .. field, err.message, 1, true)
      end
      local views, err = render.views(body, {})
      assert.is_nil(views)
      assert.matches("options.cameras", err.message, 1, true)
    end)
  end)

  describe("a view", function()
    it("gives a picture of its size", function()
      local view = all()[1]
      assert.same(small, { assert(image.decode(view.png)):size() })
    end)

    it("has labels whose pixels, matrices and points agree", function()
      for _, view in ipairs(all { angles = 5 }) do
        local camera = view.labels.camera
        for _, point in ipairs(view.labels.people[1].landmarks) do
          local seen = {}
          for row = 1, 3 do
            local m = camera.camera_from_world[row]
            seen[row] = m[1] * point.world[1] + m[2] * point.world[2] + m[3] * point.world[3] + m[4]
            assert.near(point.camera[row], seen[row], 1e-3)
            assert.near(m[4], camera.t[row], 1e-5)
            for column = 1, 3 do assert.near(m[column], camera.R[row][column], 1e-7) end
          end
          assert.near(point.pixel[1], camera.K[1][1] * seen[1] / seen[3] + camera.K[1][3], 0.2)
          assert.near(point.pixel[2], camera.K[2][2] * seen[2] / seen[3] + camera.K[2][3], 0.2)
        end
      end
    end)

    it("has a mask, an area and a depth that agree", function()
      for view in render.ring(body, options { angles = 2 }) do
        local labels = json.decode((view:labels()))
        local depth, count = floats(view:depth())
        assert.equal(128 * 160, count)
        local body_pixels, run_pixels, total = 0, 0, 0
        for i = 0, count - 1 do
          if depth[i] < math.huge then
            body_pixels = body_pixels + 1
            assert.is_true(depth[i] > 2 and depth[i] < 6)
          end
        end
        for i, run in ipairs(labels.people[1].segmentation.counts) do
          total = total + run
          if i % 2 == 0 then run_pixels = run_pixels + run end
        end
        assert.equal(128 * 160, total)
        assert.equal(body_pixels, run_pixels)
        assert.equal(body_pixels, labels.people[1].area)
        assert.equal(128 * 160 * 3, #view:rgb())
      end
    end)

    it("names what it is told to", function()
      for view in render.ring(body, options { angles = 1 }) do
        local labels = json.decode((view:labels { image = 'a "b"/front.png', character = "Zoë" }))
        assert.equal('a "b"/front.png', labels.image.file)
        assert.equal("Zoë", labels.character)
        assert.same({ "front", 0 }, { labels.view.name, labels.view.azimuth })
        labels = json.decode((view:labels()))
        assert.same({ "front.png", "mannequin", json.null }, { labels.image.file, labels.character, labels.people[1].clip })
      end
    end)

    it("has COCO's seventeen among the thirty-three", function()
      local labels = all()[1].labels
      local triples = labels.people[1].keypoints.coco_17
      assert.equal(51, #triples)
      assert.equal(33, #labels.people[1].landmarks)
      assert.same(render.formats.coco_17.names[6], "left_shoulder")
      assert.near(mark(labels, "left_shoulder").pixel[1], triples[16], 0.01)
      assert.equal(mark(labels, "left_shoulder").visibility, triples[18])
      assert.same(mark(labels, "left_shoulder").name, render.landmarks[12])
    end)

    it("comes out the same, whatever the batch and whenever it is asked", function()
      local one, other = all { batch = 1 }, all { batch = 8 }
      for i = 1, 8 do assert.equal(one[i].png, other[i].png) end
      local views = assert(render.views(body, { cameras = render.cameras(body, options()), batch = 2, clip = "rest", samples = 1 }))
      assert.equal(8, views:count())
      local function both(first) return views:view(first):png(), views:view(first + 1):png() end -- no picture is still being encoded
      local _, last = both(7)
      assert.equal(one[1].png, (both(1)))
      assert.equal(last, (select(2, both(7))))
      assert.equal(6, views:timings().views) -- the last batch was dropped and drawn again
    end)

    it("may be asked by several fibers at once", function()
      local views = assert(render.views(body, { cameras = render.cameras(body, options()), batch = 4, clip = "rest", samples = 1 }))
      local members, expected = {}, all()
      for i = 1, 16 do
        members[i] = fiber.spawn(function() return views:view((i - 1) % 8 + 1):png() end)
      end
      for i, member in ipairs(members) do
        local ok, png = member:join()
        assert.is_true(ok)
        assert.equal(expected[(i - 1) % 8 + 1].png, png)
      end
    end)

    it("that nobody waits for any more does no harm", function()
      local views = assert(render.views(body, { cameras = render.cameras(body, options()), clip = "rest" }))
      local member = fiber.spawn(function() return views:view(1):png() end)
      fiber.sleep(0)
      member:cancel "enough"
      member:join()
      assert.is_string(views:view(1):png())
    end)

    it("tells what it cost", function()
      local views = assert(render.views(body, { cameras = render.cameras(body, options()), batch = 8, clip = "rest" }))
      for view in views:each() do view:png() end
      local spent = views:timings()
      assert.equal(8, spent.views)
      for _, stage in ipairs { "skin", "shadow", "raster", "shade", "label", "encode" } do
        assert.is_true(spent[stage] > 0, stage)
      end
    end)
  end)

  describe("views", function()
    local camera = { name = "top", position = { 1, 4, 1 }, target = { 0, 1, 0 }, fov = 60, size = small }

    it("may be from anywhere, each at its own time", function()
      local views = assert(render.views(body, { cameras = { camera, { position = { 0, 1, 3 }, target = { 0, 1, 0 }, size = { 64, 64 },
        time = 0.3 } }, clip = 1, time = 0.1 }))
      local one, other = json.decode((views:view(1):labels())), json.decode((views:view(2):labels()))
      assert.same({ "top", 0.1, json.null }, { one.view.name, one.frame.time, one.view.azimuth })
      assert.same({ "view_2", 0.3, 64 }, { other.view.name, other.frame.time, other.image.width })
      assert.is_string(views:clip())
    end)

    it("beyond the end of a clip show its end, and say so", function()
      local views = assert(render.views(body, { cameras = { camera }, clip = "walk", time = 1e6 }))
      local labels = json.decode((views:view(1):labels()))
      for _, clip in ipairs(body:clips()) do
        if clip.name == "walk" then assert.near(clip.seconds, labels.people[1].time, 1e-5) end
      end
    end)

    it("take clips by number, as text too", function()
      local one = assert(render.views(body, { cameras = { camera }, clip = 2 }))
      local other = assert(render.views(body, { cameras = { camera }, clip = "2" }))
      assert.equal(one:clip(), other:clip())
      assert.is_nil((assert(render.views(body, { cameras = { camera }, clip = "0" }))):clip())
    end)

    it("tell what is behind the camera and what is outside", function()
      local views = assert(render.views(body, { cameras = { { position = { 0, 1.4, 0.4 }, target = { 0, 1.4, 2 }, size = small } } }))
      local labels = json.decode((views:view(1):labels()))
      assert.equal(0, labels.people[1].area)
      for _, point in ipairs(labels.people[1].landmarks) do assert.equal(0, point.visibility) end
    end)

    it("outlive the body that was closed", function()
      local other = assert(scene.open "mannequin")
      local views = assert(render.views(other, { cameras = { camera } }))
      other:close()
      assert.is_string(views:view(1):png())
      assert.has_error(function() render.views(other, { cameras = { camera } }) end)
    end)

    for name, bad in pairs {
      ["samples that there are not"] = { samples = 3 }, ["a large batch"] = { batch = 65 },
    } do
      it("refuse " .. name, function()
        local views, err = render.views(body, { cameras = { camera }, samples = bad.samples, batch = bad.batch })
        assert.is_nil(views)
        assert.equal("invalid", err.code)
      end)
    end
  end)
end)
