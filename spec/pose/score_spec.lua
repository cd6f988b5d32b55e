local labels_of = require "stance.labels"
local procrustes, score = require "stance.pose.procrustes", require "stance.pose.score"

local index = {}
for i, name in ipairs(labels_of.landmarks) do index[name] = i end

local function is_near(expected, value, slack)
  assert.is_true(math.abs(expected - value) <= (slack or 1e-9), ("%.12g is not near %.12g"):format(value, expected))
end

--- A body of 33 points in a picture of 200 x 100 pixels: every point at (100, 50), shoulders' middle 40 pixels above the hips'.
local function body(dx)
  local out = { area = 400, landmarks = {}, keypoints = { coco_17 = {} } }
  for i, name in ipairs(labels_of.landmarks) do
    local y = name:find "shoulder" and 10 or 50
    out.landmarks[i] = { name = name, pixel = { 100 + (dx or 0), y }, camera = { i % 7 / 10, i % 5 / 10, 3 + i % 3 / 10 }, known = true,
      state = "visible", visibility = 2 }
  end
  local triples = out.keypoints.coco_17
  for i, name in ipairs(labels_of.keypoints) do
    triples[3 * i - 2], triples[3 * i - 1], triples[3 * i] = 100 + (dx or 0), name:find "shoulder" and 10 or 50, 2
  end
  return out
end

local function view(...)
  return { image = { width = 200, height = 100 }, people = { body(), ... } }
end

--- The person that the labels tell of, moved by `dx` pixels.
local function person(labels, dx)
  local out = { landmarks = {}, world = {} }
  for i, mark in ipairs(labels.people[1].landmarks) do
    out.landmarks[i] = { x = (mark.pixel[1] + (dx or 0)) / 200, y = mark.pixel[2] / 100, z = 0, visibility = 1 }
    out.world[i] = { x = mark.camera[1], y = mark.camera[2], z = mark.camera[3] - 3, visibility = 1 }
  end
  return out
end

--- The comparison of the only labelled person.
local function compare(labels, people)
  local all = score.compare(labels, people)
  assert.equal(1, #all)
  return all[1]
end

describe("an alignment", function()
  local corners = { { 0, 0, 0 }, { 1, 0, 0 }, { 0, 2, 0 }, { 0, 0, 3 } }

  it("takes turn, scale and shift away", function()
    local to = {}
    for i, p in ipairs(corners) do to[i] = { 5 - 2 * p[2], 1 + 2 * p[1], 2 * p[3] - 4 } end -- a quarter turn about z, twice as large
    local aligned, scale = procrustes.align(corners, to)
    is_near(2, scale)
    is_near(0, procrustes.mean_distance(aligned, to))
  end)

  it("takes half turns about each axis away", function()
    for axis = 1, 3 do
      local to = {}
      for i, p in ipairs(corners) do
        to[i] = { -p[1], -p[2], -p[3] }
        to[i][axis] = p[axis]
      end
      is_near(0, procrustes.mean_distance(procrustes.align(corners, to), to))
    end
  end)

  it("does not mirror", function()
    local to = {}
    for i, p in ipairs(corners) do to[i] = { -p[1], p[2], p[3] } end
    assert.is_true(procrustes.mean_distance(procrustes.align(corners, to), to) > 0.1)
  end)

  it("leaves the least distance: two segments crossed at right angles shrink to what fits", function()
    -- Points at +-1 on x, against the same at +-1 on x and one that went 0.3 up: by hand, shift 0.1, no turn (it is symmetric), scale 1.
    local from, to = { { -1, 0, 0 }, { 0, 0, 0 }, { 1, 0, 0 } }, { { -1, 0, 0 }, { 0, 0.3, 0 }, { 1, 0, 0 } }
    local aligned, scale = procrustes.align(from, to)
    is_near(1, scale)
    is_near((0.1 + 0.2 + 0.1) / 3, procrustes.mean_distance(aligned, to))
  end)

  it("is refused where it cannot be told", function()
    assert.is_nil(procrustes.align({ { 0, 0, 0 }, { 1, 0, 0 } }, { { 0, 0, 0 }, { 1, 0, 0 } }))
    assert.is_nil(procrustes.align({ { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } }, corners))
    assert.is_nil(procrustes.align({ { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } }, { { 0, 0, 0 }, { 1, 0, 0 }, { 0, 1, 0 } }))
  end)
end)

describe("a score", function()
  it("is perfect for the labels themselves", function()
    local labels = view()
    local one = compare(labels, { person(labels) })
    assert.is_true(one.detected)
    is_near(1, one.oks)
    is_near(1, one.pck)
    is_near(0, one.pa_mpjpe, 1e-7)
  end)

  it("has COCO's similarity: a nose 4 pixels off on 400 pixels of body", function()
    local labels = view()
    for i = 4, 51, 3 do labels.people[1].keypoints.coco_17[i + 2] = 0 end -- only the nose is labelled
    local one = compare(labels, { person(labels, 4) })
    is_near(math.exp(-16 / (2 * 400 * 0.052 ^ 2)), one.oks) -- sigma .026
    is_near(0.000613, one.oks, 1e-6)
  end)

  it("has COCO's similarity: the mean of nose and left hip, 2 pixels off", function()
    local labels = view()
    for i = 1, 17 do labels.people[1].keypoints.coco_17[3 * i] = (i == 1 or i == 12) and 1 or 0 end
    local one = compare(labels, { person(labels, 2) })
    is_near((math.exp(-4 / (800 * 0.052 ^ 2)) + math.exp(-4 / (800 * 0.214 ^ 2))) / 2, one.oks)
  end)

  it("calls a point correct within a fifth of the torso: 8 pixels of 40", function()
    local labels = view()
    assert.equal(1, compare(labels, { person(labels, 8) }).pck)
    assert.equal(0, compare(labels, { person(labels, 8.1) }).pck)
    local half = person(labels)
    half.landmarks[index.left_wrist].x = 0
    local one = compare(labels, { half })
    assert.same({ false, true }, { one.correct.left_wrist, one.correct.right_wrist })
    is_near(32 / 33, one.pck)
  end)

  it("leaves out points that the label does not know or that are outside the picture", function()
    local labels = view()
    labels.people[1].landmarks[index.left_wrist].visibility = 0
    local guess = person(labels)
    guess.landmarks[index.left_wrist].x, guess.world[index.left_wrist].x = 9, 9
    local one = compare(labels, { guess })
    assert.is_nil(one.correct.left_wrist)
    assert.equal(1, one.pck)
    is_near(0, one.pa_mpjpe, 1e-7)
  end)

  it("is of the best of several people", function()
    local labels = view()
    is_near(1, compare(labels, { person(labels, 90), person(labels), person(labels, 30) }).oks)
  end)

  it("gives each labelled person the one that fits best, once", function()
    local labels = view(body(60), body(-60))
    local all = score.compare(labels, { person(labels, 57), person(labels, 1) })
    assert.same({ true, true, false }, { all[1].detected, all[2].detected, all[3].detected })
    assert.is_true(all[1].oks > 0.5 and all[2].oks > 0.1 and all[3].oks == 0)
    assert.same({ 1, 1, 0 }, { all[1].pck, all[2].pck, all[3].pck })
    assert.is_nil(all[3].pa_mpjpe)
  end)

  it("leaves out people of whom nothing is seen", function()
    local hidden = body(60)
    hidden.area = 0
    assert.equal(1, #score.compare(view(hidden), {}))
  end)

  it("has no length of a torso to measure by where a shoulder is unknown", function()
    local labels = view()
    labels.people[1].landmarks[index.left_shoulder].known = false
    local one = compare(labels, { person(labels) })
    assert.is_nil(one.pck)
    assert.same({}, one.correct)
  end)

  it("counts pictures without anybody as wrong", function()
    local labels = view()
    local total = score.sum { compare(labels, { person(labels) }), compare(labels, {}) }
    assert.same({ 2, 1, 0.5, 0.5, 0.5 }, { total.pictures, total.detected, total.detection_rate, total.oks, total.pck })
    is_near(0, total.pa_mpjpe_mm, 1e-4) -- of the one that was found
    assert.same({ pck = 0.5, points = 2 }, total.joints.nose)
  end)

  it("has millimetres: a wrist 13 cm off among 13 joints that fit", function()
    local labels = view()
    local off = person(labels)
    off.world[index.left_wrist].z = off.world[index.left_wrist].z + 0.13
    local mm = score.sum({ compare(labels, { off }) }).pa_mpjpe_mm
    assert.is_true(mm > 8 and mm < 30, mm) -- 10 mm when nothing else moves; the alignment shares it out
  end)

  it("of no pictures is empty", function()
    assert.same({ pictures = 0, detected = 0, joints = {} }, score.sum {})
  end)
end)
