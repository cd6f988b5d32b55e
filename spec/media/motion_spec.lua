local motion = require "motion"
local scene = require "scene"

local assets = os.getenv "STANCE_ASSETS"

-- A person in T pose who raises the left arm: one joint a line, as few as there can be.
local function bvh(frames)
  local out = { "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition" }
  local function joint(name, offset, channels, ...)
    out[#out + 1] = ("JOINT %s\n{\nOFFSET %s\nCHANNELS %s"):format(name, offset, channels or "0")
    for _, below in ipairs { ... } do below() end
    out[#out + 1] = "}"
  end
  local function limb(names, offsets, channels)
    local function from(i)
      return function()
        if i <= #names then joint(names[i], offsets[i], i == 1 and channels or nil, from(i + 1)) end
      end
    end
    from(1)()
  end
  joint("Spine", "0 30 0", nil,
    function() joint("Head", "0 30 0") end,
    function() limb({ "LeftArm", "LeftForeArm", "LeftHand" }, { "20 20 0", "30 0 0", "30 0 0" }, "1 Zrotation") end,
    function() limb({ "RightArm", "RightForeArm", "RightHand" }, { "-20 20 0", "-30 0 0", "-30 0 0" }) end)
  limb({ "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToe" }, { "10 0 0", "0 -45 0", "0 -45 0", "0 -8 15" })
  limb({ "RightUpLeg", "RightLeg", "RightFoot", "RightToe" }, { "-10 0 0", "0 -45 0", "0 -45 0", "0 -8 15" })
  out[#out + 1] = ("}\nMOTION\nFrames: %d\nFrame Time: 0.1"):format(#frames)
  return table.concat(out, "\n") .. "\n" .. table.concat(frames, "\n") .. "\n"
end

local function body()
  return assert(scene.open("mannequin", { detail = 1 }))
end

describe("motion", function()
  it("tells what is in a file", function()
    local wave = assert(motion.open_bytes(bvh { "0 95 0 0", "0 95 0 45", "0 95 0 90" }, "folder/wave.bvh"))
    assert.equal("wave", wave:name())
    assert.equal("bvh", wave:format())
    local clips = wave:clips()
    assert.equal(1, #clips)
    assert.equal("wave", clips[1].name)
    assert.near(0.2, clips[1].seconds, 1e-9)
    assert.near(10, clips[1].rate, 1e-9)
    local bones = wave:bones()
    assert.equal("LeftForeArm", bones.leftLowerArm)
    assert.is_nil(bones.jaw)
    wave:close()
    wave:close()
    assert.has_error(function() wave:clips() end)
    assert.equal("motion (closed)", tostring(wave))
  end)

  it("moves a body, whatever its size, with its feet on the floor", function()
    local wave = assert(motion.open_bytes(bvh { "7 95 3 0", "7 95 3 45", "7 95 3 90" }, "wave.bvh"))
    local figure = body()
    local bound = assert(wave:bind(figure, { speed = 0.5 }))
    assert.equal("wave", bound:name())
    assert.near(0.4, bound:seconds(), 1e-9)
    assert.near(5, bound:rate(), 1e-9)
    assert.near(1, bound:report().planted, 1e-9)
    assert.is_true(bound:planted("left", 0.1) and bound:planted("right", 0.4))
    local box = assert(bound:box())
    assert.near(0, box.min[2], 0.01)
    assert.is_true(box.max[2] > 1.8) -- the hand over the head
    assert.near(0, (box.min[3] + box.max[3]) / 2, 0.2) -- over the origin
    local mirrored = assert(wave:bind(figure, { mirror = true }))
    local other = assert(mirrored:box())
    assert.near(-box.min[1], other.max[1], 0.01)
    bound:close()
    figure:close() -- a bound motion keeps what it needs
    assert.near(other.max[2], assert(mirrored:box()).max[2], 1e-9)
    assert.has_error(function() bound:seconds() end)
  end)

  it("lets bodies play each other's clips", function()
    local one, other = body(), assert(scene.open("mannequin", { detail = 1, stature = 1.2 }))
    local clips = assert(motion.of(one))
    local walk = assert(clips:bind(other, { clip = "walk", in_place = true, front = true }))
    assert.equal("mannequin#walk", walk:name())
    assert.near(1.2 / 1.75, walk:report().scale, 0.02)
    assert.same({}, walk:report().skipped)
    local box = assert(walk:box())
    assert.is_true(box.min[2] > -0.01 and box.max[2] < 1.25)
    local err = select(2, clips:bind(other, { clip = "fly" }))
    assert.equal("not_found", err.code)
    assert.equal("not_found", select(2, clips:bind(other, { clip = 99 })).code)
  end)

  it("takes its tuning from the workspace's table, and from the call", function()
    local figure, wave = body(), assert(motion.open_bytes(bvh { "0 95 0 0", "0 95 0 9" }, "wave.bvh"))
    assert.equal(0, assert(wave:bind(figure, { feet = false })):report().planted)
    assert.equal(0, assert(wave:bind(figure, { tuning = { feet = { lock = false } } })):report().planted)
    local err = select(2, wave:bind(figure, { tuning = { feet = { reach = 2 } } }))
    assert.equal("invalid", err.code)
    assert.has_error(function() wave:bind(figure, { tuning = 3 }) end)
    assert.has_error(function() wave:bind(figure, { clip = {} }) end)
  end)

  it("refuses what is no motion and says why", function()
    for text, expected in pairs {
      [bvh { "0 95 0" }] = "wave.bvh:%d+: the file ends where a number was expected",
      [bvh { "0 95 0 x" }] = "wave.bvh:%d+: a number was expected, not \"x\"",
      ["HIERARCHY\nROOT A\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n}\nMOTION\nFrames: 1\nFrame Time: 1\n0\n"] =
        "no human skeleton: its 1 joints show no head, leftUpperArm",
      [":DEGREES\n1\nroot 0 0 0\n"] = "needs the ASF file of its skeleton",
      ["nothing"] = "not FBX, glTF, GLB or VRM",
    } do
      local got, err = motion.open_bytes(text, "wave.bvh")
      assert.is_nil(got)
      assert.matches(expected, err.message)
    end
    assert.equal("not_found", select(2, motion.open("/nowhere/a.bvh")).code)
    assert.has_error(function() motion.open("a.amc", { skeleton = 3 }) end)
  end)

  it("opens one clip of a file by FILE#CLIP", function()
    local folder = os.tmpname()
    os.remove(folder)
    local path = folder .. ".glb"
    local glb = assert(scene.mannequin { detail = 1 })
    local file = assert(io.open(path, "wb"))
    file:write(glb)
    file:close()
    local walk = assert(motion.open(path .. "#walk"))
    assert.equal(1, #walk:clips())
    assert.equal("walk", walk:clips()[1].name)
    local err = select(2, motion.open(path .. "#swim"))
    assert.matches("has no clip \"swim\"", err.message)
    os.remove(path)
  end)

  it("opens files that hold a skeleton alone", function()
    if not assets then return pending "STANCE_ASSETS is not set" end
    local gesture = assert(motion.open(assets .. "/avatars/three-vrm_test.vrma"))
    assert.equal("leftUpperArm", gesture:bones().leftUpperArm)
    local bound = assert(gesture:bind(body()))
    assert.near(3, bound:seconds(), 0.05)
    local box = assert(bound:box())
    assert.near(1.75, box.max[2], 0.06)
    assert.near(0, box.min[2], 0.01)
    local err = select(2, scene.open(assets .. "/avatars/three-vrm_test.vrma")) -- which is no body for that
    assert.equal("invalid", err.code)
  end)

  it("finds the skeleton of an AMC file beside it", function()
    if not assets then return pending "STANCE_ASSETS is not set" end
    local walk = assert(motion.open(assets .. "/motions/cmu_02_01.amc"))
    assert.equal("acclaim", walk:format())
    assert.equal("lradius", walk:bones().leftLowerArm)
    local same = assert(motion.open(assets .. "/motions/cmu_02_01.amc", { skeleton = assets .. "/motions/cmu_02.asf" }))
    assert.near(walk:clips()[1].seconds, same:clips()[1].seconds, 1e-9)
  end)
end)
