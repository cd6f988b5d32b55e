--- cameras/files.lua - cameras from files and into them.
---
--- Read are: a JSON list of cameras as render.views takes them, or `{"cameras": [...]}`; the `camera` of a view's labels in
--- such a list; transforms.json of NeRF programs; COLMAP's cameras.txt and images.txt. Matrices are
--- kept as they are: such cameras have `camera_from_world` and `fx`, `fy`, `cx`, `cy` instead of a position and a lens.
--- Axes of the world are the file's; with `up = "z"` they are turned so that y is up, as on a stage.
--- COLMAP: https://colmap.github.io/format.html; transforms.json: instant-ngp's and Nerfstudio's data format.
local json = require "json"
local err = require "stance.err"
local set = require "stance.cameras.set"

local M = {}

---@class stance.camera_file_options
---@field up? "y"|"z" which axis of the file's world is up; default y
---@field size? integer[] where the file tells none
---@field near? number

local function refuse(format, ...) error(err("invalid", format, ...), 0) end

local function number(value, what)
  if type(value) ~= "number" or value ~= value or math.abs(value) == math.huge then refuse("%s must be a number", what) end
  return value
end

local function point(value, what)
  local out = {}
  for k = 1, 3 do out[k] = number(type(value) == "table" and value[k], ("%s[%d]"):format(what, k)) end
  return out
end

--- Three or four rows of four numbers.
local function rows(value, what)
  local out = {}
  for r = 1, 3 do
    out[r] = {}
    for c = 1, 4 do
      out[r][c] = number(type(value) == "table" and type(value[r]) == "table" and value[r][c], ("%s[%d][%d]"):format(what, r, c))
    end
  end
  return out
end

--- The inverse of a rotation with a move.
local function invert(m)
  local out = {}
  for r = 1, 3 do
    out[r] = { m[1][r], m[2][r], m[3][r] }
    out[r][4] = -(m[1][r] * m[1][4] + m[2][r] * m[2][4] + m[3][r] * m[3][4])
  end
  return out
end

--- camera_from_world for a world whose z is up, for one whose y is: (x, y, z) there is (x, z, -y) here.
local function turn_up(m, up)
  if up ~= "z" then return m end
  local out = {}
  for r = 1, 3 do out[r] = { m[r][1], m[r][3], -m[r][2], m[r][4] } end
  return out
end

local function whole(value, what)
  number(value, what)
  return math.floor(value + 0.5)
end

-- transforms.json ----------------------------------------------------------------------------------------------

--- Intrinsics stand at the frame, or for all at the top; focal lengths as pixels or as angles.
local function nerf_camera(file, i, frame, options)
  local what = ("frames[%d]"):format(i)
  if type(frame) ~= "table" then refuse("%s must be an object", what) end
  local function field(name)
    local value = frame[name]
    if value == nil then value = file[name] end
    return value ~= nil and number(value, what .. "." .. name) or nil
  end
  local width = field "w" or options.size and options.size[1]
  local height = field "h" or options.size and options.size[2]
  if not width or not height then refuse('%s has no "w" and "h": say the size', what) end
  local angle_x, angle_y = field "camera_angle_x", field "camera_angle_y"
  local fx = field "fl_x" or angle_x and width / 2 / math.tan(angle_x / 2)
  if not fx then refuse('%s has neither "fl_x" nor "camera_angle_x"', what) end
  local m = rows(frame.transform_matrix, what .. ".transform_matrix")
  for r = 1, 3 do m[r][2], m[r][3] = -m[r][2], -m[r][3] end -- its cameras look along -z, y up
  local camera = {
    name = type(frame.file_path) == "string" and frame.file_path:match "([^/\\]*)$":gsub("%.%w+$", "") or nil,
    size = { whole(width, what .. ".w"), whole(height, what .. ".h") },
    fx = fx, fy = field "fl_y" or angle_y and height / 2 / math.tan(angle_y / 2) or fx,
    cx = field "cx" or width / 2, cy = field "cy" or height / 2,
    camera_from_world = turn_up(invert(m), options.up), time = field "time",
  }
  local k = { field "k1" or 0, field "k2" or 0, field "p1" or 0, field "p2" or 0, field "k3" or 0 }
  if k[1] ~= 0 or k[2] ~= 0 or k[3] ~= 0 or k[4] ~= 0 or k[5] ~= 0 then camera.lens = { distortion = k } end
  return camera
end

-- Our own --------------------------------------------------------------------------------------------------------

local function own_camera(i, entry, options)
  local what = ("cameras[%d]"):format(i)
  if type(entry) ~= "table" then refuse("%s must be an object", what) end
  local camera = {}
  for key, value in pairs(entry) do
    if value ~= json.null then camera[key] = value end
  end
  camera.size = camera.size or camera.width and { camera.width, camera.height } or options.size
  if camera.camera_from_world then
    camera.camera_from_world = turn_up(rows(camera.camera_from_world, what .. ".camera_from_world"), options.up)
    camera.position, camera.target = nil, nil
  elseif not camera.position or not camera.target then
    refuse("%s needs a position and a target, or camera_from_world", what)
  elseif options.up == "z" then
    for _, key in ipairs { "position", "target" } do
      local p = point(camera[key], what .. "." .. key)
      camera[key] = { p[1], p[3], -p[2] }
    end
  end
  return camera
end

local function collect(list, make)
  local cameras = {}
  for i, entry in ipairs(list) do cameras[i] = make(i, entry) end
  if #cameras == 0 then refuse "the file has no cameras" end
  return set.as_set(cameras)
end

local function try(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if type(result) ~= "table" then error(result, 0) end -- a fault of ours
  return nil, result
end

--- Reads a JSON file of cameras. Errors: `invalid`, which names the field.
---@param text string
---@param options? stance.camera_file_options
---@return stance.camera_set|nil, table|nil err
function M.decode(text, options)
  options = options or {}
  return try(function()
    local ok, file = pcall(json.decode, text)
    if not ok then refuse("a file of cameras must be JSON: %s", tostring(file)) end
    if type(file) ~= "table" then refuse "a file of cameras must be a list or an object" end
    if type(file.frames) == "table" then
      return collect(file.frames, function(i, frame) return nerf_camera(file, i, frame, options) end)
    end
    return collect(type(file.cameras) == "table" and file.cameras or file, function(i, entry) return own_camera(i, entry, options) end)
  end)
end

--- A JSON file that M.decode reads.
---@param cameras stance.camera[]|stance.camera_set
---@return string
function M.encode(cameras)
  local lines = {}
  for camera in set.as_set(cameras):each() do lines[#lines + 1] = json.encode(camera) end
  return '{"cameras":[\n' .. table.concat(lines, ",\n") .. "\n]}\n"
end

-- COLMAP ---------------------------------------------------------------------------------------------------------

--- What the parameters of a camera model are.
local models = {
  SIMPLE_PINHOLE = { "f", "cx", "cy" }, PINHOLE = { "fx", "fy", "cx", "cy" }, SIMPLE_RADIAL = { "f", "cx", "cy", "k1" },
  RADIAL = { "f", "cx", "cy", "k1", "k2" }, OPENCV = { "fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2" },
}

local function words_of(line)
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  return words
end

local function colmap_lenses(text)
  local lenses = {}
  for line in text:gmatch "[^\r\n]+" do
    local words = words_of(line)
    if words[1] and words[1]:sub(1, 1) ~= "#" then
      local names, lens = models[words[2]], { size = { tonumber(words[3]), tonumber(words[4]) } }
      if not names then refuse("cameras.txt: the model %s is not known", tostring(words[2])) end
      for i, name in ipairs(names) do lens[name] = number(tonumber(words[4 + i]), "cameras.txt: " .. name) end
      lenses[words[1]] = lens
    end
  end
  return lenses
end

local function rotation(w, x, y, z)
  local s = 2 / (w * w + x * x + y * y + z * z)
  return {
    { 1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w) },
    { s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w) },
    { s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y) },
  }
end

--- Reads COLMAP's model as text. Errors: `invalid`.
---@param cameras_text string cameras.txt
---@param images_text string images.txt
---@param options? stance.camera_file_options
---@return stance.camera_set|nil, table|nil err
function M.colmap(cameras_text, images_text, options)
  options = options or {}
  return try(function()
    local lenses, list, place = colmap_lenses(cameras_text), {}, true
    for line in (images_text .. "\n"):gmatch "(.-)\r?\n" do -- every second line holds points, and may be empty
      if line:sub(1, 1) ~= "#" then
        if place and line:find "%S" then list[#list + 1] = words_of(line) end
        place = not place
      end
    end
    return collect(list, function(i, words)
      local lens, value = lenses[words[9]], {}
      for k = 2, 8 do value[k] = number(tonumber(words[k]), ("images.txt: image %d"):format(i)) end
      if not lens then refuse("images.txt: image %d is of a camera that cameras.txt has not", i) end
      local m = rotation(value[2], value[3], value[4], value[5])
      for r = 1, 3 do m[r][4] = value[5 + r] end
      local distorted = lens.k1 or lens.k2 or lens.p1 or lens.p2
      return {
        name = words[10] and words[10]:gsub("%.%w+$", ""):gsub("[/\\]", "_") or nil, size = { lens.size[1], lens.size[2] },
        fx = lens.fx or lens.f, fy = lens.fy or lens.f, cx = lens.cx, cy = lens.cy, camera_from_world = turn_up(m, options.up),
        lens = distorted and { distortion = { lens.k1 or 0, lens.k2 or 0, lens.p1 or 0, lens.p2 or 0, 0 } } or nil,
      }
    end)
  end)
end

return M
