--- score.lua - estimated people against the labelled people of a rendered view: OKS, PCK@0.2, PA-MPJPE, detection rate. No effects.
---
--- - **OKS**, object keypoint similarity, COCO's (https://cocodataset.org/#keypoints-eval): the mean over the labelled ones of the
---   17 keypoints of exp(-d^2 / (2 a (2 sigma)^2)): d the distance in pixels, a the pixels that the body covers, sigma how far
---   COCO's annotators lie apart on that keypoint. 1 is perfect; COCO counts 0.5 as found, 0.75 as well placed.
--- - **PCK@0.2**, percentage of correct keypoints as BlazePose is measured (Bazarevsky et al. 2020, arXiv:2006.10204): a point is
---   correct when it lies within 0.2 of the torso from its label; the torso is from the middle of the shoulders to that of the hips.
--- - **PA-MPJPE**, mean per-joint position error after Procrustes alignment (as for Human3.6M; Ionescu et al. 2014): metres
---   between world points and labels, once turn, scale and shift are taken away (stance.pose.procrustes).
---
--- Points count that their label knows and has in the picture, hidden or not. Labelled people of whom nothing is seen do not count.
--- Of several people those belong together whose OKS is best, each once; a labelled one for whom nobody is left was not found: OKS
--- 0, no correct point, and no PA-MPJPE.
local labels_of, procrustes = require "stance.labels", require "stance.pose.procrustes"

local M = {}

--- COCO's sigmas, in the order of its keypoints (pycocotools, cocoeval.py).
local sigmas = { 0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
  0.089, 0.089 }

local pck_reach = 0.2

local number_of = {} -- a landmark's place among the 33
for i, name in ipairs(labels_of.landmarks) do number_of[name] = i end

--- Joints that PA-MPJPE is the mean of: what the skeletons of all labels have.
M.joints = { "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
  "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle" }

---@class stance.pose.comparison of one labelled person
---@field detected boolean
---@field oks number 0..1
---@field pck? number 0..1; nil when nothing is labelled, or the torso has no length
---@field correct table<string, boolean> by landmark, for those that count
---@field pa_mpjpe? number metres

local function pixel_of(person, index, width, height)
  local mark = person.landmarks[index]
  return mark.x * width, mark.y * height
end

local function oks(view, labelled, person)
  local width, height, sum, count = view.image.width, view.image.height, 0, 0
  local triples = labelled.keypoints.coco_17
  for i, name in ipairs(labels_of.keypoints) do
    local x, y, v = triples[3 * i - 2], triples[3 * i - 1], triples[3 * i]
    if v > 0 then
      local px, py = pixel_of(person, number_of[name], width, height)
      sum = sum + math.exp(-((px - x) ^ 2 + (py - y) ^ 2) / (2 * math.max(labelled.area, 1) * (2 * sigmas[i]) ^ 2))
      count = count + 1
    end
  end
  return count > 0 and sum / count or 0
end

local function middle(labelled, left, right)
  local a, b = labelled.landmarks[number_of[left]], labelled.landmarks[number_of[right]]
  if not (a.known and b.known) or a.state == "behind_camera" or b.state == "behind_camera" then return nil end
  return (a.pixel[1] + b.pixel[1]) / 2, (a.pixel[2] + b.pixel[2]) / 2
end

--- Pixels from the middle of the shoulders to that of the hips; 0 where they are not known.
---@param labelled table a person of a view's labels
---@return number
function M.torso(labelled)
  local sx, sy = middle(labelled, "left_shoulder", "right_shoulder")
  local hx, hy = middle(labelled, "left_hip", "right_hip")
  return sx and hx and math.sqrt((sx - hx) ^ 2 + (sy - hy) ^ 2) or 0
end

local function correct_points(view, labelled, person)
  local reach, out, correct, count = pck_reach * M.torso(labelled), {}, 0, 0
  if reach == 0 then return out end
  for i, mark in ipairs(labelled.landmarks) do
    if mark.visibility > 0 then
      out[mark.name] = false
      if person then
        local x, y = pixel_of(person, i, view.image.width, view.image.height)
        out[mark.name] = (x - mark.pixel[1]) ^ 2 + (y - mark.pixel[2]) ^ 2 <= reach * reach
      end
      count, correct = count + 1, correct + (out[mark.name] and 1 or 0)
    end
  end
  return out, count > 0 and correct / count or nil
end

local function pa_mpjpe(labelled, person)
  local estimated, truth = {}, {}
  for _, name in ipairs(M.joints) do
    local index = number_of[name]
    local mark, found = labelled.landmarks[index], person.world[index]
    if mark.visibility > 0 then
      estimated[#estimated + 1] = { found.x, found.y, found.z }
      truth[#truth + 1] = mark.camera -- x right, y down, z away, as the estimate is
    end
  end
  local aligned = procrustes.align(estimated, truth)
  return aligned and procrustes.mean_distance(aligned, truth)
end

--- Which labelled person each estimated one is: pairs of the best OKS first.
local function match(view, labelled, people)
  local pairs_of, found, taken = {}, {}, {}
  for i, truth in ipairs(labelled) do
    for k, person in ipairs(people) do pairs_of[#pairs_of + 1] = { i = i, k = k, oks = oks(view, truth, person) } end
  end
  table.sort(pairs_of, function(a, b)
    if a.oks ~= b.oks then return a.oks > b.oks end
    return a.i < b.i or a.i == b.i and a.k < b.k
  end)
  for _, pair in ipairs(pairs_of) do
    if not found[pair.i] and not taken[pair.k] then
      found[pair.i], taken[pair.k] = pair, true
    end
  end
  return found
end

--- A comparison for each labelled person of whom something is seen.
---@param view table a view's labels ("stance.view", runtime/media/labels.h), decoded
---@param people table[] pose_v1 people: landmarks and world, 33 of { x, y, z, visibility }
---@return stance.pose.comparison[]
function M.compare(view, people)
  local labelled, out = {}, {}
  for _, person in ipairs(view.people) do
    if person.area > 0 then labelled[#labelled + 1] = person end
  end
  local found = match(view, labelled, people)
  for i, truth in ipairs(labelled) do
    local person = found[i] and people[found[i].k]
    local correct, pck = correct_points(view, truth, person)
    out[i] = { detected = person ~= nil, oks = found[i] and found[i].oks or 0, correct = correct, pck = pck,
      pa_mpjpe = person and pa_mpjpe(truth, person) }
  end
  return out
end

local function mean(list) -- of numbers; nil for none
  local sum = 0
  for _, value in ipairs(list) do sum = sum + value end
  return #list > 0 and sum / #list or nil
end

---@class stance.pose.score
---@field pictures integer labelled people, one or several a picture
---@field detected integer how many of them were found
---@field detection_rate? number 0..1
---@field oks? number 0..1, the mean
---@field pck? number 0..1, the share of correct ones among all points of all people
---@field pa_mpjpe_mm? number millimetres, the mean
---@field joints table<string, { pck: number, points: integer }>

--- Sums up the comparisons of any number of people.
---@param comparisons stance.pose.comparison[]
---@return stance.pose.score
function M.sum(comparisons)
  local out, oks_list, mpjpe_list, correct, points = { pictures = #comparisons, detected = 0, joints = {} }, {}, {}, 0, 0
  for i, one in ipairs(comparisons) do
    out.detected = out.detected + (one.detected and 1 or 0)
    oks_list[i] = one.oks
    mpjpe_list[#mpjpe_list + 1] = one.pa_mpjpe
    for name, good in pairs(one.correct) do
      local joint = out.joints[name] or { pck = 0, points = 0 }
      joint.pck, joint.points = joint.pck + (good and 1 or 0), joint.points + 1
      correct, points = correct + (good and 1 or 0), points + 1
      out.joints[name] = joint
    end
  end
  for _, joint in pairs(out.joints) do joint.pck = joint.pck / joint.points end
  local mpjpe = mean(mpjpe_list)
  out.detection_rate = #comparisons > 0 and out.detected / #comparisons or nil
  out.oks, out.pck, out.pa_mpjpe_mm = mean(oks_list), points > 0 and correct / points or nil, mpjpe and mpjpe * 1000
  return out
end

return M
