--- render_keep.lua - the files that a render job leaves of a view: its picture, its labels, its maps, an overlay.
local json = require "json"
local label_arrays, label_overlay = require "stance.label_arrays", require "stance.label_overlay"

local M = {}

local endings = { png = ".png", jpeg = ".jpg", webp = ".webp" }

local function keep_maps(step, view, stem, names)
  local kept = {}
  for _, name in ipairs(names) do
    local bytes, info = view:map(name)
    step:try(bytes, info)
    kept[name] = ("%s.%s.npy"):format(stem, name)
    step:artifact(kept[name], label_arrays.npy(bytes, info))
  end
  return next(kept) and kept or nil
end

--- Encodes a picture as the job asks for.
local function encode(view, p)
  if p.image == "jpeg" then return view:jpeg { quality = p.quality } end
  if p.image == "webp" then return view:webp { quality = p.quality } end
  return view:png()
end

--- Leaves a view's files as artifacts, but for its labels, which the caller gets as text.
---@param step stance.step
---@param view stance.view
---@param folder string of the set
---@param name string the file's, without folder and ending
---@param p table parameters of the workflow `render`
---@param png? string its picture, where another engine drew it
---@return { name: string, image?: string, labels?: string, maps?: table<string, string> } kept, string labels
function M.view(step, view, folder, name, p, png)
  local stem = folder .. "/" .. name
  local image = p.image ~= "none" and stem .. endings[p.image] or nil
  local picture = image and (png or step:try(encode(view, p)))
  if image then step:artifact(image, picture) end
  local labels = step:try(view:labels { image = image or stem .. ".png", character = folder })
  local kept = { name = name, image = image, maps = keep_maps(step, view, stem, p.maps) }
  if p.save_json then
    kept.labels = stem .. ".json"
    step:artifact(kept.labels, labels)
  end
  if p.save_debug_images then
    picture = picture or step:try(view:png())
    step:artifact(stem .. ".debug.png", step:try(label_overlay.of_file(picture, json.decode(labels), { format = p.skeleton_format })))
  end
  return kept, labels
end

return M
