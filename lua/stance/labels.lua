--- labels.lua - names of landmarks and bones, and COCO files made of the labels of single views.
---
--- The labels of a view are the JSON that view:labels() gives ("stance.view", runtime/media/labels.h). A COCO file
--- has the standard parts (info, images, annotations, categories with 17 keypoints and their skeleton, masks as run
--- lengths) and, beyond the standard, the 33 landmarks: `keypoints_33` of each annotation and `keypoints_33`,
--- `skeleton_33` of the category. Readers of COCO ignore what they do not know. The same views give the same bytes.
--- COCO: https://cocodataset.org/#format-data.
local json, render = require "json", require "render"

local M = {}

--- MediaPipe's 33 landmarks in its order; "left" is the body's own left.
M.landmarks = render.landmarks

--- COCO's 17 keypoints in its order.
M.keypoints = render.coco_keypoints

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

--- The 33 landmarks as COCO writes keypoints: x, y, v of each, and how many have v > 0.
---@param landmarks table[] of a view's labels
---@return number[] triples, integer labelled
function M.triples(landmarks)
  local out, labelled = {}, 0
  for _, mark in ipairs(landmarks) do
    local v = mark.visibility
    out[#out + 1] = v > 0 and mark.pixel[1] or 0
    out[#out + 1] = v > 0 and mark.pixel[2] or 0
    out[#out + 1] = v
    if v > 0 then labelled = labelled + 1 end
  end
  return out, labelled
end

local function image_entry(id, view)
  local camera = view.camera
  return object {
    { "id", id }, { "width", view.image.width }, { "height", view.image.height }, { "file_name", view.image.file },
    { "character", view.character }, { "view", view.view.name }, { "azimuth", view.view.azimuth },
    { "clip", view.clip }, { "time", view.time },
    { "camera", object {
      { "K", camera.K }, { "camera_from_world", camera.camera_from_world }, { "position", camera.position },
      { "fov", camera.fov }, { "distance", camera.distance },
    } },
  }
end

local function annotation_entry(id, view)
  local labelled = 0
  for i = 3, #view.coco17, 3 do
    if view.coco17[i] > 0 then labelled = labelled + 1 end
  end
  local mask = view.segmentation
  return object {
    { "id", id }, { "image_id", id }, { "category_id", 1 }, { "iscrowd", 0 }, { "area", view.area },
    { "bbox", view.box }, { "num_keypoints", labelled }, { "keypoints", view.coco17 },
    { "keypoints_33", (M.triples(view.landmarks)) },
    { "segmentation", object { { "size", mask.size }, { "counts", mask.counts } } },
  }
end

local function category()
  return object {
    { "id", 1 }, { "name", "person" }, { "supercategory", "person" },
    { "keypoints", M.keypoints }, { "skeleton", M.skeleton },
    { "keypoints_33", M.landmarks }, { "skeleton_33", M.skeleton_33 },
  }
end

local function info_entry(info)
  local fields = { { "description", info.description }, { "version", "1.0" } }
  if info.seed then fields[#fields + 1] = { "seed", info.seed } end
  local asked = {}
  for _, name in ipairs { "gender", "age", "body_type", "ethnicity" } do
    local value = info.character_params and info.character_params[name]
    if value ~= nil then asked[#asked + 1] = { name, value } end
  end
  if #asked > 0 then fields[#fields + 1] = { "character_params", object(asked) } end
  return object(fields)
end

---@class stance.labels.info
---@field description string
---@field seed? integer
---@field character_params? table what was asked for

--- Begins a COCO file. `add` takes the labels of a view, decoded; `finish` gives the file's text.
---@param info stance.labels.info
---@return { add: fun(view: table), finish: fun(): string }
function M.coco(info)
  local images, annotations = {}, {}
  return {
    add = function(view)
      local id = #images + 1
      images[id] = encode(image_entry(id, view))
      annotations[id] = encode(annotation_entry(id, view))
    end,
    finish = function()
      return table.concat {
        '{"info":', encode(info_entry(info)), ',"licenses":[],"categories":[', encode(category()), '],\n"images":[\n',
        table.concat(images, ",\n"), '],\n"annotations":[\n', table.concat(annotations, ",\n"), "]}\n",
      }
    end,
  }
end

return M
