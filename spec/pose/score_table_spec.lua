local score_table = require "stance.pose.score_table"

local function sum(name, pck)
  return { name = name, pictures = 8, detected = 6, detection_rate = 0.75, oks = 0.9123, pck = 0.955, pa_mpjpe_mm = 61.4,
    joints = { nose = { pck = 1, points = 8 }, left_wrist = { pck = pck, points = 8 }, right_wrist = { pck = 0.5, points = 8 } } }
end

describe("a score's table", function()
  it("has a line a character and one of all, and the joints that were missed most", function()
    assert.equal([[
estimated (full) against labels  pictures  found   OKS  PCK@0.2  PA-MPJPE
mannequin                               8   75 %  0.91     96 %     61 mm
tête                                    8   75 %  0.91     96 %     61 mm
all                                     8   75 %  0.91     96 %     61 mm
missed most: left wrist 25 %, right wrist 50 %
]], score_table.text { model = "full", all = sum("all", 0.25), characters = { sum("mannequin", 1), sum("tête", 0) } })
  end)

  it("of one character has one line", function()
    local text = score_table.text { model = "lite", all = sum("all", 1), characters = { sum("mannequin", 1) } }
    assert.is_nil(text:find "\nall")
  end)

  it("has dashes for what cannot be told", function()
    local none = { name = "x", pictures = 1, detected = 0, detection_rate = 0, oks = 0, joints = {} }
    assert.is_truthy(score_table.text({ model = "full", all = none, characters = { none } }):find("0 %%  0.00 +%- +%-"))
  end)
end)
