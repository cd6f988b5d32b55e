--- dataset_check.lua - is a folder of rendered pictures and labels whole and sound?
---
---     local report = assert(dataset_check.folder("output:walk"))
---     for _, problem in ipairs(report.problems) do print(problem.file, problem.message) end
---
--- Looked at are all files beneath it that hold labels of views (`NAME.json`, or lines of `NAME.ndjson`; stance.label_check), that
--- their picture is beside the folder's root under the name which they tell, readable and of their size, and the COCO file, where
--- there is one: that its annotations are the people of the labels. Other files are passed over.
local fiber, fs, image, json = require "fiber", require "fs", require "image", require "json"
local label_check = require "stance.label_check"

local M = {}

local depth_most, file_limit = 8, 256 * 1024 * 1024 -- bytes

---@class stance.dataset_check.problem
---@field file string below the folder
---@field message string

---@class stance.dataset_check.report
---@field views integer labels that were looked at
---@field people integer in them, of whom something is seen
---@field pictures integer that were read
---@field problems stance.dataset_check.problem[] in the order of names

--- Names of all files beneath, "a/b.json".
local function list(folder, below, depth, out)
  local entries, why = fs.list(folder)
  if not entries then return nil, why end
  table.sort(entries, function(a, b) return a.name < b.name end)
  for _, entry in ipairs(entries) do
    if entry.kind == "folder" and depth < depth_most then
      local ok, reason = list(folder .. "/" .. entry.name, below .. entry.name .. "/", depth + 1, out)
      if not ok then return nil, reason end
    elseif entry.kind == "file" then
      out[#out + 1] = below .. entry.name
    end
  end
  return out
end

--- Adds the names that a tar archive holds.
local function list_tar(path, out)
  local bytes, why = fs.read(path, 2 * 1024 * 1024 * 1024 - 1)
  if not bytes then return nil, why.message end
  local at = 1
  while at + 511 <= #bytes and bytes:byte(at) ~= 0 do
    local name, prefix = bytes:sub(at, at + 99):match "^%Z*", bytes:sub(at + 345, at + 499):match "^%Z*"
    local size = tonumber(bytes:sub(at + 124, at + 135):match "^%s*(%d+)", 8)
    if not size then return nil, "this is no tar archive" end
    out[prefix ~= "" and prefix .. "/" .. name or name] = true
    at = at + 512 + math.ceil(size / 512) * 512
  end
  if at + 511 > #bytes then return nil, "the archive ends early" end
  return true
end

local function read_json(path)
  local text, why = fs.read(path, file_limit)
  if not text then return nil, why.message end
  local ok, value = pcall(json.decode, text)
  if not ok or type(value) ~= "table" then return nil, "this is no JSON" end
  return value
end

--- What is wrong with a view's picture.
local function check_picture(path, view)
  local bytes, why = fs.read(path, file_limit)
  if not bytes then return ("its picture %s cannot be read: %s"):format(view.image.file, why.message) end
  local picture
  picture, why = image.decode(bytes, { whole = true })
  if not picture then return ("its picture %s is damaged: %s"):format(view.image.file, why.message) end
  local width, height = picture:size()
  picture:close()
  if width ~= view.image.width or height ~= view.image.height then
    return ("its picture %s has %d x %d pixels, the labels %d x %d"):format(view.image.file, width, height, view.image.width,
      view.image.height)
  end
end

--- The people of a COCO file, counted by picture.
local function annotations_by_file(coco)
  local files, out = {}, {}
  for _, entry in ipairs(coco.images) do
    files[entry.id] = entry.file_name
    out[entry.file_name] = 0
  end
  for _, annotation in ipairs(coco.annotations) do
    local file = files[annotation.image_id]
    if file then out[file] = out[file] + 1 end
  end
  return out
end

local function seen_in(view)
  local count = 0
  for _, person in ipairs(view.people) do count = count + (person.area > 0 and 1 or 0) end
  return count
end

--- Looks at a folder. Waits. Errors are those of `fs`; what is wrong with the files is in the report.
---@param folder string as `fs` takes it
---@param options? { pictures?: boolean } pictures = false: they only have to be there
---@return stance.dataset_check.report|nil report, table|nil err
function M.folder(folder, options)
  local names, why = list(folder, "", 0, {})
  if not names then return nil, why end
  local there, report, expected, order = {}, { views = 0, people = 0, pictures = 0, problems = {} }, {}, {}
  local function problem(file, message) report.problems[#report.problems + 1] = { file = file, message = message } end
  for _, name in ipairs(names) do there[name] = true end
  local packed = {}
  for _, name in ipairs(names) do
    if name:match "%.tar$" then
      local ok, message = list_tar(folder .. "/" .. name, packed)
      if not ok then problem(name, message) end
    end
  end
  local with_pictures = not (options and options.pictures == false)
  local function look_at_view(name, view)
    report.views = report.views + 1
    local problems = label_check.view(view)
    for _, message in ipairs(problems) do problem(name, message) end
    if view.schema_version ~= 2 then return end
    report.people = report.people + seen_in(view)
    if not expected[view.image.file] then order[#order + 1] = view.image.file end
    expected[view.image.file] = seen_in(view)
    if packed[view.image.file] then report.pictures = report.pictures + 1 return end
    if not there[view.image.file] then return problem(name, ("there is no picture %s"):format(view.image.file)) end
    if with_pictures then
      local message = check_picture(folder .. "/" .. view.image.file, view)
      if message then problem(name, message) else report.pictures = report.pictures + 1 end
    end
  end
  local function look_at_lines(name)
    local text, reason = fs.read(folder .. "/" .. name, file_limit)
    if not text then return problem(name, reason.message) end
    for line in text:gmatch "[^\n]+" do
      local ok, value = pcall(json.decode, line)
      if not ok or type(value) ~= "table" then problem(name, "a line is no JSON")
      elseif value.schema == "stance.view" then look_at_view(name, value) end
      fiber.yield()
    end
  end
  local coco
  for _, name in ipairs(names) do
    if name:match "%.json$" then
      local value, message = read_json(folder .. "/" .. name)
      if not value then problem(name, message)
      elseif value.schema == "stance.view" then look_at_view(name, value)
      elseif name == "labels.coco.json" then coco = value end
      fiber.yield()
    elseif name:match "%.ndjson$" then
      look_at_lines(name)
    end
  end
  if coco then
    local function exists(file) return there[file] or packed[file] end
    for _, message in ipairs(label_check.coco(coco, exists)) do problem("labels.coco.json", message) end
    local counted = coco.images and coco.annotations and annotations_by_file(coco) or {}
    for _, file in ipairs(order) do
      local count = expected[file]
      if counted[file] ~= count then
        problem("labels.coco.json", ("%s people are annotated in %s, its labels show %d"):format(counted[file] or "no", file, count))
      end
    end
  end
  if report.views == 0 then problem(".", "there are no labels of views in this folder") end
  return report
end

--- For `stance render --verify`: the report, or what reading the folder failed with is raised.
---@param folder string
---@return stance.dataset_check.report
function M.verify(folder)
  local report, why = M.folder(folder)
  if not report then error(why, 0) end
  return report
end

return M
