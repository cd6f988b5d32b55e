--- pictures.lua - what a pose job looks at: files and folders, or what an earlier job made, with the labels beside them.
local fs, image, json = require "fs", require "image", require "json"
local err, files = require "stance.err", require "stance.pose.files"

local M = {}

M.most = 5000 -- pictures a job: their list is a step's result

local picture_limit, labels_limit = 64 * 1024 * 1024, 16 * 1024 * 1024 -- bytes

---@class stance.pose.picture
---@field name string what its results are called, without ending: "mannequin/front"
---@field path? string of a file
---@field artifact? string of an earlier job
---@field labels? string the file or artifact with its labels

local function check_count(list, whose)
  if #list == 0 then return nil, err("not_found", "there are no pictures in %s", whose) end
  if #list > M.most then
    return nil, err("too_large", "%d pictures are too many for one job, which takes %d: make several of them", #list, M.most)
  end
  return list
end

--- The pictures that the paths name, and what could not be found. Labels of `a.png` are `a.json`. Waits.
---@param paths string[] absolute; files and folders
---@return stance.pose.picture[]|nil pictures, table|nil err, { name: string, message: string }[]|nil failures
function M.of_paths(paths)
  local operands, list, failures = {}, {}, {}
  for i, path in ipairs(paths) do operands[i] = { name = path, path = path } end
  local found = files.find(operands, false)
  for i, failure in ipairs(found.failures) do failures[i] = { name = failure.name, message = failure.err.message } end
  for _, item in ipairs(found.items) do
    if item.kind == "photo" then
      local beside = item.path:gsub("%.[^./]*$", "") .. ".json"
      list[#list + 1] = { name = item.stem, path = item.path, labels = fs.stat(beside) and beside or nil }
    else
      failures[#failures + 1] = { name = item.name, message = "a job looks at pictures; `stance pose` follows films" }
    end
  end
  if #list == 0 and failures[1] then return nil, err("not_found", "%s: %s", failures[1].name, failures[1].message) end
  local checked, why = check_count(list, table.concat(paths, ", "))
  return checked, why, failures
end

--- The pictures among a job's artifacts: those with labels, or where none has any, all.
---@param artifacts { name: string }[]
---@param id string
---@return stance.pose.picture[]|nil, table|nil err
function M.of_artifacts(artifacts, id)
  local there, labelled, all = {}, {}, {}
  for _, artifact in ipairs(artifacts) do there[artifact.name] = true end
  for _, artifact in ipairs(artifacts) do
    local stem, ending = artifact.name:match "^(.+)%.(%w+)$"
    if ending and (ending == "png" or ending == "jpg" or ending == "jpeg" or ending == "webp") then
      local picture = { name = stem, artifact = artifact.name, labels = there[stem .. ".json"] and stem .. ".json" or nil }
      all[#all + 1] = picture
      if picture.labels then labelled[#labelled + 1] = picture end
    end
  end
  return check_count(#labelled > 0 and labelled or all, id)
end

--- A picture's bytes, and its labels where it has labels of ours. `other` is the job whose artifacts they are. Waits.
---@param picture stance.pose.picture
---@param other? stance.child
---@return string|nil bytes, table|nil labels_or_err
function M.read(picture, other)
  local bytes, why, text
  if picture.artifact then bytes, why = other:read_artifact(picture.artifact) else bytes, why = fs.read(picture.path, picture_limit) end
  if not bytes then return nil, why end
  if not image.kind(bytes) then return nil, err("unsupported", "%s is no JPEG, PNG or WebP", picture.path or picture.artifact) end
  if picture.labels then
    if picture.artifact then text = other:read_artifact(picture.labels) else text = fs.read(picture.labels, labels_limit) end
  end
  local ok, labels = pcall(json.decode, text or "null")
  return bytes, ok and type(labels) == "table" and labels.schema == "stance.view" and labels.people and labels or nil
end

return M
