local rigs, scene = require "retarget.rigs", require "scene"

--- The names of one bone in an expanded table.
local function names(rig, bone)
  for _, entry in ipairs(rig.bones) do
    if entry.bone == bone then return entry.names end
  end
end

describe("rigs", function()
  it("write pairs and fingers out", function()
    local rig = assert(rigs.expand {
      name = "toy", prefixes = "x_",
      bones = { hips = "root", upperArm = { "arm.{L|R}", "{Left|Right}Arm" }, index = "i#.{l|r}", leftFoot = "pedal" },
    })
    assert.same({ "x_" }, rig.prefixes)
    assert.same({ "root" }, names(rig, "hips"))
    assert.same({ "arm.L", "LeftArm" }, names(rig, "leftUpperArm"))
    assert.same({ "arm.R", "RightArm" }, names(rig, "rightUpperArm"))
    assert.same({ "i2.r" }, names(rig, "rightIndexIntermediate"))
    assert.same({ "pedal" }, names(rig, "leftFoot"))
    assert.is_nil(names(rig, "rightFoot"))
  end)

  it("say what is wrong with a table", function()
    local cases = {
      { {}, "`name`" }, { { name = "a" }, "no `bones`" }, { { name = "a", bones = { tail = "t" } }, "'tail'" },
      { { name = "a", bones = { hips = 3 } }, "'hips'" }, { { name = "a", bones = { hips = {} } }, "'hips'" },
      { { name = "a", bones = {}, prefixes = { 1 } }, "prefixes" },
    }
    for _, case in ipairs(cases) do
      local rig, why = rigs.expand(case[1])
      assert.is_nil(rig)
      assert.truthy(why:find(case[2], 1, true), why)
    end
  end)

  it("are all good, and each has what a human needs", function()
    local all = rigs.all()
    assert.truthy(#all.rigs >= 15 and all.words)
    for _, rig in ipairs(all.rigs) do
      for _, bone in ipairs { "hips", "head", "leftUpperArm", "rightLowerArm", "leftHand", "rightUpperLeg", "leftFoot" } do
        assert.truthy(names(rig, bone), rig.name .. " has no " .. bone)
      end
    end
  end)

  it("are refused where a script gives others of the wrong kind", function()
    local all = rigs.all
    for _, case in ipairs {
      { {}, "`rigs` must be a list, not a nil" }, { { rigs = { { name = "a", bones = {} } } }, "`prefixes` must be a list" },
      { { rigs = { { name = "a", prefixes = {}, bones = 3 } } }, "`bones` must be a list, not a number" },
      { { rigs = { { name = "a", prefixes = {}, bones = { { bone = "hips" } } } } }, "`names` must be a list" },
    } do
      rigs.all = function() return case[1] end
      local ok, why = pcall(scene.open, "mannequin")
      rigs.all = all
      assert.is_false(ok)
      assert.truthy(tostring(why):find(case[2], 1, true), tostring(why))
    end
  end)

  it("tell what was found in a body", function()
    local body = assert(scene.open "mannequin")
    local report = body:report()
    body:close()
    assert.equal("mixamo", report.rig)
    assert.same({}, report.missing)
    assert.same({ bone = "hips", joint = "mixamorig:Hips", how = "table" }, report.bones[1])
    local text = rigs.describe(report)
    assert.truthy(text:find "leftUpperArm +mixamorig:LeftArm +by table", text)
  end)
end)
