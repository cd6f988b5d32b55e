--- label_check.lua - do a view's labels, or a COCO file, agree with themselves? No effects.
---
--- Each function gives a list of what is wrong, in words; an empty one is the good answer. Looked at: that pixels are the
--- projections of camera points and these of world points, lens distortion included; states against the picture's frame; keypoints
--- against the points that they are; boxes and areas against masks; that no pixel shows two people; matrices, turns, names, ids.
local labels = require "stance.labels"

local M = {}

local most_a_view = 20 -- what is wrong once is mostly wrong often

local function judge()
  local problems = {}
  return problems, function(ok, format, ...)
    if not ok and #problems < most_a_view then problems[#problems + 1] = format:format(...) end
    return ok
  end
end

local function near(a, b, slack) return type(a) == "number" and type(b) == "number" and math.abs(a - b) <= slack end

--- How much a number with so many digits after the point may be off, for values of the size that labels have.
local slack_of = { pixel = 0.02, metre = 2e-4, share = 2e-3 }

-- -- Cameras ------------------------------------------------------------------------------------------------------------------

--- Where a point in camera space is in the picture.
---@param camera table of a view's labels
---@param at number[] metres
---@return number x, number y pixels
function M.project(camera, at)
  local x, y = at[1] / at[3], at[2] / at[3]
  local k1, k2, p1, p2, k3 = unpack(camera.distortion)
  local r = x * x + y * y
  local radial = 1 + r * (k1 + r * (k2 + r * k3))
  local dx = x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x)
  local dy = y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y
  return camera.fx * dx + camera.cx, camera.fy * dy + camera.cy
end

local function check_camera(view, that)
  local camera, bent = view.camera, false
  for _, k in ipairs(camera.distortion) do bent = bent or k ~= 0 end
  that(camera.model == (bent and "brown_conrady" or "pinhole"), "camera.model %s does not go with its distortion", camera.model)
  that(camera.width == view.image.width and camera.height == view.image.height, "the camera's picture has another size than the image")
  local k = { { camera.fx, 0, camera.cx }, { 0, camera.fy, camera.cy }, { 0, 0, 1 } }
  for row = 1, 3 do
    local m = camera.camera_from_world[row]
    for c = 1, 3 do
      that(near(camera.K[row][c], k[row][c], 1e-3), "camera.K is not made of fx, fy, cx, cy")
      that(near(camera.R[row][c], m[c], 1e-6), "camera.R is not that of camera_from_world")
      local other, sum = camera.camera_from_world[c], 0
      for i = 1, 3 do sum = sum + m[i] * other[i] end
      that(near(sum, row == c and 1 or 0, 1e-4), "camera.R does not turn only")
    end
    that(near(camera.t[row], m[4], 1e-4), "camera.t is not that of camera_from_world")
    for c = 1, 4 do
      local sum = 0
      for i = 1, 3 do sum = sum + k[row][i] * camera.camera_from_world[i][c] end
      that(near(camera.projection[row][c], sum, 1e-2), "camera.projection is not K times camera_from_world")
    end
  end
end

-- -- Points -------------------------------------------------------------------------------------------------------------------

local hidden_states = { self_occluded = 1, occluded = 1, visible = 2, out_of_frame = 0, behind_camera = 0 }

local function check_point(view, person, point, that)
  local camera, name = view.camera, ("person %d, %s"):format(person.id, point.name)
  for row = 1, 3 do
    local m, w = camera.camera_from_world[row], point.world
    that(near(point.camera[row], m[1] * w[1] + m[2] * w[2] + m[3] * w[3] + m[4], slack_of.metre), "%s: camera and world differ", name)
  end
  local v = hidden_states[point.state]
  if not that(v ~= nil, "%s: no state is called %s", name, tostring(point.state)) then return end
  that(point.visibility == (point.known and v or 0), "%s: visibility %s does not go with %s", name, tostring(point.visibility), point.state)
  if point.state == "behind_camera" then
    that(point.camera[3] <= slack_of.metre or point.camera[3] > 1e8, "%s is before the camera", name)
    return
  end
  if not that(point.camera[3] > 0, "%s is behind the camera", name) then return end
  local x, y = M.project(camera, point.camera)
  -- World and camera are rounded: near the camera a rounding error is many pixels.
  if camera.model ~= "pinhole" and point.state == "out_of_frame" then return end -- a lens has an end, and its polynomial none
  local slack = slack_of.pixel + 2e-5 * math.max(camera.fx, camera.fy) / point.camera[3]
  that(near(x, point.pixel[1], slack) and near(y, point.pixel[2], slack), "%s: pixel is not where its camera point projects to", name)
  local px, py = point.pixel[1], point.pixel[2]
  local inside = px >= 0 and px < view.image.width and py >= 0 and py < view.image.height
  local edge = math.min(math.abs(px), math.abs(py), math.abs(px - view.image.width), math.abs(py - view.image.height)) < 0.01
  that(edge or inside == (point.state ~= "out_of_frame"), "%s: %s at %.1f, %.1f", name, point.state, px, py)
  local box = person.box
  -- A visible point lies under the person's pixels, or beside them by less than what it may be deep.
  local reach = 2 + 0.12 * math.max(camera.fx, camera.fy) / point.camera[3]
  that(v < 2 or person.area == 0 or (px >= box[1] - reach and px <= box[1] + box[3] + reach and py >= box[2] - reach
    and py <= box[2] + box[4] + reach), "%s is visible outside the person's box", name)
end

local function check_points(view, person, that)
  for i, name in ipairs(labels.landmarks) do
    local point = person.landmarks[i]
    that(point and point.name == name, "person %d: landmark %d is not %s", person.id, i, name)
  end
  that(#person.landmarks == #labels.landmarks, "person %d has %d landmarks, not %d", person.id, #person.landmarks, #labels.landmarks)
  for _, point in ipairs(person.landmarks) do check_point(view, person, point, that) end
  for _, point in ipairs(person.joints) do check_point(view, person, point, that) end
  for format in pairs(labels.formats) do
    local listed = person.keypoints[format]
    if listed then
      local expected, same = labels.triples(labels.select(person, format)), true
      for i, value in ipairs(expected) do same = same and near(listed[i], value, 0.006) end
      that(same and #listed == #expected, "person %d: keypoints.%s are not the points that they name", person.id, format)
    end
  end
end

-- -- Masks --------------------------------------------------------------------------------------------------------------------

--- The runs of a mask as a list of { first, after } of pixels that are set, down the columns; nil and why when they do not fit.
local function runs_of(mask, width, height)
  if mask.size[1] ~= height or mask.size[2] ~= width then return nil, "has another size than the picture" end
  local out, at = {}, 0
  for i, run in ipairs(mask.counts) do
    if run < 0 or run ~= math.floor(run) or (run == 0 and i > 1) then return nil, "has a run that is none" end
    if i % 2 == 0 then out[#out + 1] = { at, at + run } end
    at = at + run
  end
  if at ~= width * height then return nil, ("has %d pixels, not %d"):format(at, width * height) end
  return out
end

--- Area, and the box x, y, width, height.
local function measure(runs, height)
  local area, x0, y0, x1, y1 = 0, math.huge, math.huge, 0, 0
  for _, run in ipairs(runs) do
    area = area + run[2] - run[1]
    local first, last = run[1], run[2] - 1
    local left, right = math.floor(first / height), math.floor(last / height)
    x0, x1 = math.min(x0, left), math.max(x1, right + 1)
    if left == right then
      y0, y1 = math.min(y0, first % height), math.max(y1, last % height + 1)
    else -- it goes round the picture's lower edge
      y0, y1 = 0, height
    end
  end
  if area == 0 then return 0, { 0, 0, 0, 0 } end
  return area, { x0, y0, x1 - x0, y1 - y0 }
end

local function overlap(a, b)
  local i, k = 1, 1
  while a[i] and b[k] do
    if a[i][1] < b[k][2] and b[k][1] < a[i][2] then return true end
    if a[i][2] <= b[k][2] then i = i + 1 else k = k + 1 end
  end
  return false
end

local function check_mask(view, person, that)
  local runs, why = runs_of(person.segmentation, view.image.width, view.image.height)
  if not that(runs ~= nil, "person %d: segmentation %s", person.id, why or "") then return nil end
  local area, box = measure(runs, view.image.height)
  that(area == person.area, "person %d: area is %s, the mask has %d pixels", person.id, tostring(person.area), area)
  for i = 1, 4 do that(near(box[i], person.box[i], 0.01), "person %d: box is not that of the mask", person.id) end
  if person.parts then
    local sum = 0
    for _, count in pairs(person.parts) do sum = sum + count end
    that(sum == area, "person %d: parts have %d pixels, the mask %d", person.id, sum, area)
  end
  return runs
end

local function check_person(view, person, that)
  local full, box = person.full_box, person.box
  that(person.area <= person.full_area, "person %d: more is seen than there is", person.id)
  local share = person.full_area > 0 and person.area / person.full_area or 0
  that(near(person.visible, share, slack_of.share), "person %d: visible is not area / full_area", person.id)
  if person.area > 0 then
    that(box[1] >= full[1] - 1.01 and box[2] >= full[2] - 1.01 and box[1] + box[3] <= full[1] + full[3] + 1.01
      and box[2] + box[4] <= full[2] + full[4] + 1.01, "person %d: box is not in full_box", person.id)
  end
  for bone, q in pairs(person.pose.rotations) do
    that(near(q[1] ^ 2 + q[2] ^ 2 + q[3] ^ 2 + q[4] ^ 2, 1, 1e-4), "person %d: the turn of %s is none", person.id, bone)
  end
  for name, value in pairs(person.measures) do that(value > 0 and value < 10, "person %d: %s of %g m", person.id, name, value) end
  check_points(view, person, that)
end

--- What is wrong with the labels of a view.
---@param view table decoded
---@return string[]
function M.view(view)
  local problems, that = judge()
  if not that(type(view) == "table" and view.schema == "stance.view", "these are no labels of a view") then return problems end
  if not that(view.schema_version == 2, "schema_version %s is not 2", tostring(view.schema_version)) then return problems end
  check_camera(view, that)
  local masks = {}
  for i, person in ipairs(view.people) do
    that(person.id == i, "person %d has the id %s", i, tostring(person.id))
    check_person(view, person, that)
    masks[i] = check_mask(view, person, that)
    for k = 1, i - 1 do
      that(not (masks[i] and masks[k]) or not overlap(masks[i], masks[k]), "persons %d and %d share pixels", k, i)
    end
  end
  return problems
end

-- -- COCO ---------------------------------------------------------------------------------------------------------------------

local function check_annotation(annotation, image, count, that)
  local name, box = ("annotation %s"):format(tostring(annotation.id)), annotation.bbox
  that(box[1] >= 0 and box[2] >= 0 and box[3] > 0 and box[4] > 0 and box[1] + box[3] <= image.width
    and box[2] + box[4] <= image.height, "%s: its box is not in the picture", name)
  that(annotation.area > 0 and annotation.area <= box[3] * box[4], "%s: its area does not fit its box", name)
  that(#annotation.keypoints == 3 * count, "%s has %d numbers for %d keypoints", name, #annotation.keypoints, count)
  local labelled = 0
  for k = 1, #annotation.keypoints, 3 do
    local x, y, v = annotation.keypoints[k], annotation.keypoints[k + 1], annotation.keypoints[k + 2]
    local inside = x >= 0 and x <= image.width and y >= 0 and y <= image.height
    that(v == 0 and x == 0 and y == 0 or (v == 1 or v == 2) and inside, "%s: keypoint %d is %s, %s, %s", name, (k + 2) / 3, tostring(x),
      tostring(y), tostring(v))
    if v > 0 then labelled = labelled + 1 end
  end
  that(labelled == annotation.num_keypoints, "%s: num_keypoints is %s, %d are labelled", name, tostring(annotation.num_keypoints), labelled)
  local runs, why = runs_of(annotation.segmentation, image.width, image.height)
  if that(runs ~= nil, "%s: its segmentation %s", name, why or "") then
    that(measure(runs, image.height) == annotation.area, "%s: its segmentation has another area", name)
  end
end

--- What is wrong with a COCO file, by what pycocotools rely on.
---@param coco table decoded
---@param has fun(file: string): boolean whether a picture is there
---@return string[]
function M.coco(coco, has)
  local problems, that = judge()
  local images, categories, used = {}, {}, {}
  for _, key in ipairs { "info", "images", "annotations", "categories" } do
    if not that(type(coco[key]) == "table", "%s is missing", key) then return problems end
  end
  for _, category in ipairs(coco.categories) do
    that(not categories[category.id], "two categories have the id %s", tostring(category.id))
    categories[category.id] = category
    for _, bone in ipairs(category.skeleton) do
      that(category.keypoints[bone[1]] and category.keypoints[bone[2]], "the skeleton joins keypoints that there are not")
    end
  end
  for _, image in ipairs(coco.images) do
    that(not images[image.id], "two images have the id %s", tostring(image.id))
    images[image.id] = image
    that(has(image.file_name), "there is no picture %s", tostring(image.file_name))
  end
  for _, annotation in ipairs(coco.annotations) do
    that(not used[annotation.id], "two annotations have the id %s", tostring(annotation.id))
    used[annotation.id] = true
    local image, category = images[annotation.image_id], categories[annotation.category_id]
    if that(image and category, "annotation %s names no image or category that there is", tostring(annotation.id)) then
      check_annotation(annotation, image, #category.keypoints, that)
    end
  end
  return problems
end

return M
