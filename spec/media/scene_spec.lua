local scene = require "scene"

-- A body that can be opened anywhere; small, to be quick.
local function mannequin(options)
  options = options or {}
  options.detail = options.detail or 1
  return assert(scene.open("mannequin", options))
end

local function near(expected, value, slack)
  assert.is_true(math.abs(value - expected) <= slack, ("%g is not near %g"):format(value, expected))
end

describe("scene", function()
  describe("the mannequin", function()
    it("is a body of human size with all landmarks", function()
      local body = mannequin()
      local report = body:report()
      assert.equal("mannequin", body:name())
      assert.equal("mixamo", report.rig)
      near(1.75, report.stature, 0.02)
      assert.equal(33, report.landmarks)
      assert.same({}, report.warnings)
      assert.is_true(body:landmarks().left_foot_index)
      assert.is_true(body:triangles() > 1000 and body:vertices() > 500)
      body:close()
    end)

    it("walks", function()
      local body = mannequin()
      local clips = {}
      for _, clip in ipairs(body:clips()) do clips[clip.name] = clip end
      near(1.1, clips.walk.seconds, 0.05)
      assert.is_true(clips.walk.rate >= 20)
      local rest, walk = assert(body:box()), assert(body:box { clip = "walk" })
      near(0, rest.min[2], 0.03)
      near(1.75, rest.max[2], 0.05)
      assert.is_true(walk.max[1] < rest.max[1]) -- arms down
      assert.same(walk, assert(body:box { clip = clips.walk == body:clips()[1] and 1 or "walk" }))
      body:close()
    end)

    it("has a skeleton with one root", function()
      local body = mannequin()
      local joints, roots, hips = body:joints(), 0, nil
      for number, joint in ipairs(joints) do
        if not joint.parent then roots = roots + 1 else assert.is_true(joint.parent < number) end
        if joint.name == "mixamorig:Hips" then hips = joint end
      end
      assert.equal(1, roots)
      assert.is_not_nil(hips)
      body:close()
    end)

    it("comes in any stature", function()
      for _, stature in ipairs { 0.3, 1.2, 3 } do
        local body = mannequin { stature = stature }
        near(stature, body:report().stature, 1e-3 * stature)
        near(stature, assert(body:box()).max[2], 0.03 * stature)
        body:close()
      end
    end)

    it("can be had as a file, the same each time", function()
      local file = assert(scene.mannequin { detail = 1, seed = 7 })
      assert.equal("glTF", file:sub(1, 4))
      assert.equal(file, assert(scene.mannequin { detail = 1, seed = 7 }))
      local body = assert(scene.open_bytes(file, "folder/wooden friend.glb"))
      assert.equal("wooden friend", body:name())
      body:close()
    end)
  end)

  describe("a body", function()
    it("is of no use once it is closed", function()
      local body = mannequin()
      assert.equal("body (mannequin)", tostring(body))
      body:close()
      body:close()
      assert.equal("body (closed)", tostring(body))
      assert.has_error(function() body:clips() end)
    end)

    it("takes a stature", function()
      local file = assert(scene.mannequin { detail = 1 })
      local body = assert(scene.open_bytes(file, "small.glb", { stature = 0.5 }))
      near(0.5, body:report().stature, 1e-6)
      near(0.5 / body:report().file_stature, body:report().scale, 1e-6)
      body:close()
    end)

    it("has no clip that it has not", function()
      local body = mannequin()
      local box, err = body:box { clip = "swim" }
      assert.is_nil(box)
      assert.equal("not_found", err.code)
      assert.is_nil((body:box { clip = 99 }))
      body:close()
    end)
  end)

  describe("what is no body", function()
    local cases = {
      { "", "nothing.glb", "corrupt", "empty" },
      { "hello", "letter.fbx", "unsupported", "letter.fbx: not FBX, glTF, GLB or VRM" },
      { "HIERARCHY\nROOT hip", "walk.bvh", "unsupported", "motion" },
      { '{"asset":{"version":"2.0"}}', "empty.gltf", "invalid", "no mesh" },
    }

    for _, case in ipairs(cases) do
      it(("is refused: %s"):format(case[2]), function()
        local body, err = scene.open_bytes(case[1], case[2])
        assert.is_nil(body)
        assert.equal(case[3], err.code)
        assert.is_truthy(tostring(err):find(case[4], 1, true), tostring(err))
      end)
    end

    it("is refused: a path without a file", function()
      local body, err = scene.open "nowhere/nobody.fbx"
      assert.is_nil(body)
      assert.equal("not_found", err.code)
    end)
  end)

  it("raises for senseless arguments", function()
    assert.has_error(function() scene.open() end)
    assert.has_error(function() scene.open("mannequin", { stature = 40 }) end)
    assert.has_error(function() scene.open("mannequin", { detail = 9 }) end)
    assert.has_error(function() scene.open_bytes("x", "x.glb", { stature = "tall" }) end)
  end)
end)
