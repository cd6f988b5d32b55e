--- render_keep.lua - the files that a render job leaves of a view: its picture, its labels, its maps, an overlay.
local encode_module, json = require "encode", require "json"
local label_arrays, label_overlay = require "stance.label_arrays", require "stance.label_overlay"

local M = {}

local endings = { png = "png", jpeg = "jpg", webp = "webp" }

--- Encodes a picture as the job asks for.
local function encode(view, p)
  if p.image == "jpeg" then return view:jpeg { quality = p.quality } end
  if p.image == "webp" then return view:webp { quality = p.quality } end
  return view:png()
end

--- The files of a view, by their endings, its labels among them. Waits.
---@param step stance.step
---@param view stance.view
---@param folder string of the set
---@param name string the files', without folder and ending
---@param p table parameters of the workflow `render`
---@param png? string its picture, where another engine drew it
---@return { stem: string, files: table<string, string>, image?: string, labels: string }
function M.make(step, view, folder, name, p, png)
  local stem, ending, files = folder .. "/" .. name, endings[p.image], {}
  local image = ending and stem .. "." .. ending or nil
  if ending then files[ending] = png or step:try(encode(view, p)) end
  local labels = step:try(view:labels { image = image or stem .. ".png", character = folder })
  if p.save_json then files.json = labels end
  for _, map in ipairs(p.maps) do
    local bytes, info = view:map(map)
    step:try(bytes, info)
    files[map .. ".npy"] = label_arrays.npy(bytes, info)
  end
  if p.save_debug_images then
    local picture = ending and files[ending] or step:try(view:png())
    local options = { format = p.skeleton_format }
    files["debug.png"] = step:try(label_overlay.of_file(picture, json.decode(labels), options))
  end
  return { name = name, stem = stem, files = files, image = image, labels = labels }
end

--- Leaves them as artifacts.
---@param step stance.step
---@param made table of M.make
---@return { name: string, image?: string, labels?: string } kept
function M.keep(step, made)
  local names = {}
  for ending in pairs(made.files) do names[#names + 1] = ending end
  table.sort(names)
  for _, ending in ipairs(names) do step:artifact(made.stem .. "." .. ending, made.files[ending]) end
  return { name = made.name, image = made.image, labels = made.files.json and made.stem .. ".json" or nil }
end

--- Leaves several views as one tar archive, as WebDataset reads them.
---@param step stance.step
---@param name string of the archive
---@param list table[] of M.make
function M.keep_shard(step, name, list)
  local shard = step:try(encode_module.shard(1024 * 1024 * 1024))
  for _, made in ipairs(list) do step:try(shard:add(made.stem, made.files)) end
  step:artifact(name, shard:bytes())
  shard:close()
end

return M
