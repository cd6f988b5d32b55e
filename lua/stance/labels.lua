--- labels.lua - names of landmarks and keypoints, and files made of the labels of single views: COCO, YOLO, rows of numbers.
---
--- The labels of a view are the JSON that view:labels() gives ("stance.view" version 2, runtime/media/labels.h). A COCO file
--- has the standard parts (info, images, annotations, categories with 17 keypoints and their skeleton, masks as run
--- lengths) and, beyond the standard, the 33 landmarks: `keypoints_33` of each annotation and `keypoints_33`,
--- `skeleton_33` of the category. Readers of COCO ignore what they do not know. Other skeletons (`format`) take the place of
--- the 17. People of whom nothing is seen have no annotation. The same views give the same bytes.
--- COCO: https://cocodataset.org/#format-data; YOLO pose: https://docs.ultralytics.com/datasets/pose/.
local json, render = require "json", require "render"

local M = {}

--- MediaPipe's 33 landmarks in its order; "left" is the body's own left.
M.landmarks = render.landmarks

--- The skeletons that people train on (runtime/media/keypoints.h): "mediapipe_33", "coco_17", "body_25", "h36m_17", "smpl_24";
--- of each the names of its keypoints, and of the landmarks and joints that they are.
---@type table<string, { names: string[], points: string[] }>
M.formats = render.formats

--- COCO's 17 keypoints in its order.
M.keypoints = M.formats.coco_17.names

--- COCO's person skeleton: pairs of keypoints, counted from 1.
M.skeleton = {
  { 16, 14 }, { 14, 12 }, { 17, 15 }, { 15, 13 }, { 12, 13 }, { 6, 12 }, { 7, 13 }, { 6, 7 }, { 6, 8 }, { 7, 9 },
  { 8, 10 }, { 9, 11 }, { 2, 3 }, { 1, 2 }, { 1, 3 }, { 2, 4 }, { 3, 5 }, { 4, 6 }, { 5, 7 },
}

--- MediaPipe's connections of the 33 landmarks, counted from 1.
M.skeleton_33 = {
  { 1, 2 }, { 2, 3 }, { 3, 4 }, { 4, 8 }, { 1, 5 }, { 5, 6 }, { 6, 7 }, { 7, 9 }, { 10, 11 },
  { 12, 13 }, { 12, 14 }, { 14, 16 }, { 16, 18 }, { 16, 20 }, { 16, 22 }, { 18, 20 },
  { 13, 15 }, { 15, 17 }, { 17, 19 }, { 17, 21 }, { 17, 23 }, { 19, 21 },
  { 12, 24 }, { 13, 25 }, { 24, 25 }, { 24, 26 }, { 26, 28 }, { 28, 30 }, { 30, 32 }, { 28, 32 },
  { 25, 27 }, { 27, 29 }, { 29, 31 }, { 31, 33 }, { 29, 33 },
}

--- Pairs of keypoints that lines join, counted from 1, by format.
M.bones = {
  mediapipe_33 = M.skeleton_33, coco_17 = M.skeleton,
  body_25 = { { 1, 2 }, { 2, 3 }, { 3, 4 }, { 4, 5 }, { 2, 6 }, { 6, 7 }, { 7, 8 }, { 2, 9 }, { 9, 10 }, { 10, 11 }, { 11, 12 },
    { 9, 13 }, { 13, 14 }, { 14, 15 }, { 1, 16 }, { 16, 18 }, { 1, 17 }, { 17, 19 }, { 15, 20 }, { 20, 21 }, { 15, 22 },
    { 12, 23 }, { 23, 24 }, { 12, 25 } },
  h36m_17 = { { 1, 2 }, { 2, 3 }, { 3, 4 }, { 1, 5 }, { 5, 6 }, { 6, 7 }, { 1, 8 }, { 8, 9 }, { 9, 10 }, { 10, 11 }, { 9, 12 },
    { 12, 13 }, { 13, 14 }, { 9, 15 }, { 15, 16 }, { 16, 17 } },
  smpl_24 = { { 1, 2 }, { 1, 3 }, { 1, 4 }, { 2, 5 }, { 3, 6 }, { 4, 7 }, { 5, 8 }, { 6, 9 }, { 7, 10 }, { 8, 11 }, { 9, 12 },
    { 10, 13 }, { 10, 14 }, { 10, 15 }, { 13, 16 }, { 14, 17 }, { 15, 18 }, { 17, 19 }, { 18, 20 }, { 19, 21 }, { 20, 22 },
    { 21, 23 }, { 22, 24 } },
}

--- "left", "right" or "middle" of a landmark or keypoint.
---@param name string
---@return string
function M.side(name)
  return name:match "^left_" and "left" or name:match "^right_" and "right" or name:match "_left$" and "left"
    or name:match "_right$" and "right" or "middle"
end

-- Objects whose keys keep their order: a list of {key, value}.
local ordered = {}

local function object(fields) return setmetatable(fields, ordered) end

local function encode(value)
  if getmetatable(value) == ordered then
    local out = {}
    for i, field in ipairs(value) do out[i] = json.encode(field[1]) .. ":" .. encode(field[2]) end
    return "{" .. table.concat(out, ",") .. "}"
  elseif type(value) == "table" then
    local out = {}
    for i, item in ipairs(value) do out[i] = encode(item) end
    return "[" .. table.concat(out, ",") .. "]"
  elseif value == nil or value == json.null then
    return "null"
  end
  return json.encode(value)
end

---@class stance.labels.point of a view's labels
---@field name string
---@field pixel number[] x, y; null behind the camera
---@field camera number[] metres: right, down, away
---@field world number[] metres
---@field known boolean whether the body's skeleton has it
---@field state "visible"|"self_occluded"|"occluded"|"out_of_frame"|"behind_camera"
---@field visibility 0|1|2 as in COCO: not in the picture or not known, hidden, seen

local function format_of(name)
  local format = M.formats[name]
  if format then return format end
  local known = {}
  for other in pairs(M.formats) do known[#known + 1] = other end
  table.sort(known)
  error(("no skeleton is called %s: there are %s"):format(tostring(name), table.concat(known, ", ")), 3)
end

local function points_of(person)
  local by_name = {}
  for _, point in ipairs(person.landmarks) do by_name[point.name] = point end
  for _, point in ipairs(person.joints) do by_name[point.name] = point end
  return by_name
end

--- A person's keypoints in the order of a skeleton.
---@param person table of a view's labels
---@param format string "mediapipe_33", "coco_17", "body_25", "h36m_17" or "smpl_24"
---@return stance.labels.point[]
function M.select(person, format)
  local by_name, out = points_of(person), {}
  for i, name in ipairs(format_of(format).points) do out[i] = by_name[name] end
  return out
end

--- Keypoints as COCO writes them: x, y, visibility of each, and how many have a visibility above 0.
---@param points stance.labels.point[]
---@return number[] triples, integer labelled
function M.triples(points)
  local out, labelled = {}, 0
  for _, mark in ipairs(points) do
    local v = mark.visibility
    out[#out + 1] = v > 0 and mark.pixel[1] or 0
    out[#out + 1] = v > 0 and mark.pixel[2] or 0
    out[#out + 1] = v
    if v > 0 then labelled = labelled + 1 end
  end
  return out, labelled
end

--- The box around all people of a view: x, y, width, height; all 0 when nobody is seen.
---@param view table a view's labels
---@return number[]
function M.box(view)
  local x0, y0, x1, y1 = math.huge, math.huge, -math.huge, -math.huge
  for _, person in ipairs(view.people) do
    local box = person.box
    if person.area > 0 then
      x0, y0 = math.min(x0, box[1]), math.min(y0, box[2])
      x1, y1 = math.max(x1, box[1] + box[3]), math.max(y1, box[2] + box[4])
    end
  end
  return x0 < x1 and { x0, y0, x1 - x0, y1 - y0 } or { 0, 0, 0, 0 }
end

-- What an array holds where there is nobody, or a point that is not known.
local not_a_number = 0 / 0

local fields = {
  image = function(point) return point.pixel[1], point.pixel[2], point.camera[3] end,
  camera = function(point) return point.camera[1], point.camera[2], point.camera[3] end,
  world = function(point) return point.world[1], point.world[2], point.world[3] end,
}

--- A view as a row of an array for npy: people x keypoints x 4, NaN where there is nobody. The four are x, y in pixels and metres
--- from the camera's plane ("image"), or metres in camera or world space, and the visibility, 0 to 2. What is not known or
--- behind the camera has NaN and 0.
---@param view table a view's labels
---@param format string as for M.select
---@param field "image"|"camera"|"world"
---@param people integer places; who is beyond them is left out
---@return number[]
function M.row(view, format, field, people)
  local out, read, count = {}, fields[field], #format_of(format).points
  for place = 1, people do
    local person = view.people[place]
    local points = person and M.select(person, format)
    for i = 1, count do
      local point = points and points[i]
      local x, y, z = not_a_number, not_a_number, not_a_number
      if point and point.known and (field ~= "image" or point.state ~= "behind_camera") then x, y, z = read(point) end
      for _, value in ipairs { x, y, z, point and point.visibility or 0 } do out[#out + 1] = value end
    end
  end
  return out
end

--- The lines of a YOLO pose file: class 0, the box's middle and size, then x, y, visibility of each keypoint; all in 0..1.
---@param view table a view's labels
---@param format? string as for M.select; default "coco_17"
---@return string
function M.yolo(view, format)
  local width, height, lines = view.image.width, view.image.height, {}
  for _, person in ipairs(view.people) do
    if person.area > 0 then
      local box = person.box
      local line = { ("0 %.6f %.6f %.6f %.6f"):format((box[1] + box[3] / 2) / width, (box[2] + box[4] / 2) / height,
        box[3] / width, box[4] / height) }
      local triples = M.triples(M.select(person, format or "coco_17"))
      for i = 1, #triples, 3 do
        line[#line + 1] = ("%.6f %.6f %d"):format(triples[i] / width, triples[i + 1] / height, triples[i + 2])
      end
      lines[#lines + 1] = table.concat(line, " ") .. "\n"
    end
  end
  return table.concat(lines)
end

-- -- COCO -----------------------------------------------------------------------------------------------------------------

local function image_entry(id, view)
  local camera = view.camera
  return object {
    { "id", id }, { "width", view.image.width }, { "height", view.image.height }, { "file_name", view.image.file },
    { "character", view.character }, { "view", view.view.name }, { "azimuth", view.view.azimuth },
    { "frame", view.frame.number }, { "time", view.frame.time },
    { "camera", object {
      { "K", camera.K }, { "distortion", camera.distortion }, { "camera_from_world", camera.camera_from_world },
      { "position", camera.position }, { "fov", camera.fov }, { "distance", camera.distance },
    } },
  }
end

local function annotation_entry(id, image_id, person, format)
  local triples, labelled = M.triples(M.select(person, format))
  local mask, entries = person.segmentation, {
    { "id", id }, { "image_id", image_id }, { "category_id", 1 }, { "iscrowd", 0 }, { "area", person.area },
    { "bbox", person.box }, { "num_keypoints", labelled }, { "keypoints", triples },
  }
  if format == "coco_17" then
    entries[#entries + 1] = { "keypoints_33", (M.triples(person.landmarks)) }
  end
  for _, field in ipairs {
    { "segmentation", object { { "size", mask.size }, { "counts", mask.counts } } },
    { "person", person.person }, { "person_id", person.id }, { "character", person.character }, { "clip", person.clip },
    { "clip_time", person.time }, { "clip_frame", person.frame }, { "visible", person.visible },
    { "full_bbox", person.full_box },
  } do
    entries[#entries + 1] = field
  end
  return object(entries)
end

local function category(format)
  local out = {
    { "id", 1 }, { "name", "person" }, { "supercategory", "person" },
    { "keypoints", M.formats[format].names }, { "skeleton", M.bones[format] },
  }
  if format == "coco_17" then
    out[#out + 1] = { "keypoints_33", M.landmarks }
    out[#out + 1] = { "skeleton_33", M.skeleton_33 }
  end
  return object(out)
end

local function info_entry(info)
  local entries = { { "description", info.description }, { "version", "1.0" } }
  if info.seed then entries[#entries + 1] = { "seed", info.seed } end
  local asked = {}
  for _, name in ipairs { "gender", "age", "body_type", "ethnicity" } do
    local value = info.character_params and info.character_params[name]
    if value ~= nil then asked[#asked + 1] = { name, value } end
  end
  if #asked > 0 then entries[#entries + 1] = { "character_params", object(asked) } end
  return object(entries)
end

---@class stance.labels.info
---@field description string
---@field seed? integer
---@field character_params? table what was asked for

--- Begins a COCO file. `add` takes the labels of a view, decoded; `finish` gives the file's text.
---@param info stance.labels.info
---@param format? string the skeleton of `keypoints`, as for M.select; default "coco_17", which brings the 33 landmarks, too
---@return { add: fun(view: table), finish: fun(): string }
function M.coco(info, format)
  format = format or "coco_17"
  format_of(format)
  local images, annotations = {}, {}
  return {
    add = function(view)
      local image_id = #images + 1
      images[image_id] = encode(image_entry(image_id, view))
      for _, person in ipairs(view.people) do
        if person.area > 0 then
          local id = #annotations + 1
          annotations[id] = encode(annotation_entry(id, image_id, person, format))
        end
      end
    end,
    finish = function()
      return table.concat {
        '{"info":', encode(info_entry(info)), ',"licenses":[],"categories":[', encode(category(format)),
        '],\n"images":[\n', table.concat(images, ",\n"), '],\n"annotations":[\n', table.concat(annotations, ",\n"), "]}\n",
      }
    end,
  }
end

return M
