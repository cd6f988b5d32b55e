--- files.lua - which pictures and films `stance pose` was given: folders walked, kinds told, names for what is made of them.
local fs, image = require "fs", require "image"
local err = require "stance.err"

local M = {}

local photo_endings = { jpg = true, jpeg = true, jpe = true, jfif = true, png = true, webp = true }
local film_endings = { mp4 = true, m4v = true, mov = true, mkv = true, webm = true, avi = true, mpg = true, mpeg = true,
  m2ts = true, gif = true, ["3gp"] = true, ogv = true, wmv = true, flv = true }

local head_size = 64 -- bytes that tell what a file is
local depth_most = 32

---@class stance.pose.item
---@field kind "photo"|"film"|"frames"
---@field path string absolute
---@field name string what the user calls it
---@field guessed? boolean taken for a film because it is no picture
---@field stem string what files that are made of it are called, without ending; each once: "walk", "summer/beach"
---@field frames? string[] of kind "frames": absolute paths in order

---@class stance.pose.found
---@field items stance.pose.item[]
---@field failures { name: string, path: string, err: table }[]
---@field passed_over integer files in folders that are neither pictures nor films

local function ending(name) return (name:match "%.(%w+)$" or ""):lower() end

--- "frame9" before "frame10": numbers go by their value.
---@param a string
---@param b string
---@return boolean
function M.natural_less(a, b)
  local at_a, at_b = 1, 1
  while at_a <= #a and at_b <= #b do
    local digits_a, digits_b = a:match("^%d+", at_a), b:match("^%d+", at_b)
    if digits_a and digits_b then
      local one, other = digits_a:gsub("^0+", ""), digits_b:gsub("^0+", "")
      if #one ~= #other then return #one < #other end
      if one ~= other then return one < other end
      at_a, at_b = at_a + #digits_a, at_b + #digits_b
    else
      local x, y = a:byte(at_a), b:byte(at_b)
      if x ~= y then return x < y end
      at_a, at_b = at_a + 1, at_b + 1
    end
  end
  if #a - at_a ~= #b - at_b then return #a - at_a < #b - at_b end
  return a < b
end

--- A file that was named: by its ending, else by its first bytes; what no picture begins with may be a film.
local function kind_of(path)
  local by_name = photo_endings[ending(path)] and "photo" or film_endings[ending(path)] and "film"
  if by_name then return by_name, false end
  local file = fs.open(path)
  local head = file and file:read(head_size)
  if file then file:close() end
  local is_photo = head and image.kind(head)
  return is_photo and "photo" or "film", not is_photo
end

local function safe(name) return (name:gsub("%c", "_"):gsub("^%.+", "_")) end

local function stem_of(relative) return safe((relative:gsub("(.)%.[^./]*$", "%1"))) end

local function fail(found, name, path, why) found.failures[#found.failures + 1] = { name = name, path = path, err = why } end

local function add(found, kind, path, name, relative)
  local item = { kind = kind, path = path, name = name, stem = stem_of(relative) }
  found.items[#found.items + 1] = item
  return item
end

local function sorted_entries(path)
  local entries, why = fs.list(path)
  if not entries then return nil, why end
  table.sort(entries, function(a, b) return M.natural_less(a.name, b.name) end)
  return entries
end

--- A link leads to what it leads to; links to folders are not followed, since they may lead around in circles.
local function kind_in_folder(entry, path)
  if entry.kind ~= "link" then return entry.kind end
  local target, why = fs.stat(path)
  if not target then return nil, why end
  return target.kind == "file" and "file" or "other"
end

local function walk(found, folder, name, relative, depth)
  local entries, why = sorted_entries(folder)
  if not entries then return fail(found, name, folder, why) end
  folder, name = folder:gsub("/$", ""), name:gsub("/$", "") -- the root's
  for _, entry in ipairs(entries) do
    local path, shown, below = folder .. "/" .. entry.name, name .. "/" .. entry.name, relative .. entry.name
    if entry.name:sub(1, 1) ~= "." then
      local kind, reason = kind_in_folder(entry, path)
      local is_photo, is_film = photo_endings[ending(entry.name)], film_endings[ending(entry.name)]
      if kind == "folder" and depth < depth_most then
        walk(found, path, shown, below .. "/", depth + 1)
      elseif is_photo or is_film then
        if kind == "file" then add(found, is_photo and "photo" or "film", path, shown, below)
        elseif not kind then fail(found, shown, path, reason) end
      else
        found.passed_over = found.passed_over + 1
      end
    end
  end
end

--- A folder whose pictures are the frames of one film.
local function add_frames(found, folder, name)
  local entries, why = sorted_entries(folder)
  if not entries then return fail(found, name, folder, why) end
  local frames = {}
  for _, entry in ipairs(entries) do
    if photo_endings[ending(entry.name)] and entry.name:sub(1, 1) ~= "." then frames[#frames + 1] = folder .. "/" .. entry.name end
  end
  if #frames == 0 then return fail(found, name, folder, err("not_found", "there are no pictures in it to be frames")) end
  found.items[#found.items + 1] = { kind = "frames", path = folder, name = name, stem = safe(folder:match "[^/]*$"), frames = frames }
end

--- Each stem once, also where capital letters make no difference.
local function tell_stems_apart(items)
  local taken = {}
  for _, item in ipairs(items) do
    local base, count = item.stem, 1
    while taken[item.stem:lower()] do
      count = count + 1
      item.stem = base .. "-" .. count
    end
    taken[item.stem:lower()] = true
  end
end

--- What the operands name, in their order; folders by name, numbers in names by their value. A file that is named twice counts
--- once. Waits.
---@param operands { name: string, path: string }[] as the user wrote them; absolute
---@param frames boolean folders are films, their pictures the frames
---@return stance.pose.found
function M.find(operands, frames)
  local found, seen, items = { items = {}, failures = {}, passed_over = 0 }, {}, {}
  for _, operand in ipairs(operands) do
    local name, path = operand.name:gsub("(.)/+$", "%1"), operand.path:gsub("(.)/+$", "%1")
    local entry, why = fs.stat(path)
    if not entry then
      fail(found, operand.name, path, why)
    elseif entry.kind == "folder" then
      if frames then add_frames(found, path, name) else walk(found, path, name, "", 1) end
    elseif entry.kind == "file" then
      local kind, guessed = kind_of(path)
      add(found, kind, path, name, name:match "[^/]*$").guessed = guessed
    else
      fail(found, operand.name, path, err("invalid", "it is neither a file nor a folder"))
    end
  end
  for _, item in ipairs(found.items) do
    if not seen[item.path] then items[#items + 1] = item end
    seen[item.path] = true
  end
  found.items = items
  tell_stems_apart(items)
  return found
end

return M
