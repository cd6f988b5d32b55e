--- cameras/boxes.lua - boxes, points and lenses: how far away a camera has to stand.
local M = {}

local rad, deg = math.rad, math.deg
--- Three numbers: x, y, z in metres.
---@alias stance.point number[]

local default_fov, default_padding, default_size = 50, 1.2, { 512, 512 }

local function is_point(value)
  for i = 1, 3 do
    if type(value) ~= "table" or type(value[i]) ~= "number" or value[i] ~= value[i] then return false end
  end
  return true
end

--- Raises, `level` calls up, unless it is a point.
---@param value any
---@param name string
---@param level? integer
---@return stance.point
function M.point(value, name, level)
  if not is_point(value) then error(name .. " must be three numbers, in metres", (level or 2) + 1) end
  return value
end

--- Raises, `level` calls up, unless each of these options that is there is a number. What is to be a range may be a list
--- of two numbers as well.
---@param options any
---@param numbers string[] names
---@param ranges string[] names
---@param level integer
function M.check_numbers(options, numbers, ranges, level)
  if type(options) ~= "table" then error("options of cameras must be a table", level + 1) end
  for _, name in ipairs(numbers) do
    if options[name] ~= nil and type(options[name]) ~= "number" then error(name .. " must be a number", level + 1) end
  end
  for _, name in ipairs(ranges) do
    local range = options[name]
    local two = type(range) == "table" and type(range[1]) == "number" and type(range[2]) == "number"
    if range ~= nil and type(range) ~= "number" and not two then error(name .. " must be a number, or a list of two", level + 1) end
  end
  local size = options.size
  if size ~= nil and not (type(size) == "table" and type(size[1]) == "number" and type(size[2]) == "number") then
    error("size must be a list of two numbers of pixels", level + 1)
  end
end

--- Raises, `level` calls up, unless it is a box.
---@param box any
---@param level? integer
---@return stance.box
function M.check_box(box, level)
  if type(box) ~= "table" or not is_point(box.min) or not is_point(box.max) then
    error("box must be { min = { x, y, z }, max = { x, y, z } }, as stage:box and body:box give it", (level or 2) + 1)
  end
  return box
end

--- The middle of a box.
---@param box stance.box
---@return stance.point
function M.center(box)
  M.check_box(box)
  return { (box.min[1] + box.max[1]) / 2, (box.min[2] + box.max[2]) / 2, (box.min[3] + box.max[3]) / 2 }
end

--- From corner to corner, metres.
---@param box stance.box
---@return number
function M.bbox_diagonal(box)
  M.check_box(box)
  local sum = 0
  for i = 1, 3 do sum = sum + (box.max[i] - box.min[i]) ^ 2 end
  return math.sqrt(sum)
end

--- The box around several.
---@param boxes stance.box[]
---@return stance.box
function M.union(boxes)
  local out = { min = { 1 / 0, 1 / 0, 1 / 0 }, max = { -1 / 0, -1 / 0, -1 / 0 } }
  for _, box in ipairs(boxes) do
    M.check_box(box)
    for i = 1, 3 do
      out.min[i], out.max[i] = math.min(out.min[i], box.min[i]), math.max(out.max[i], box.max[i])
    end
  end
  return out
end

--- How far away a camera has all of a box in its picture: (bbox_diagonal / 2) / tan(fov / 2) x padding.
---@param box stance.box
---@param options? { fov?: number, padding?: number, size?: integer[] } defaults 50, 1.2, a square
---@return number metres
function M.distance(box, options)
  options = options or {}
  local fov, size = options.fov or default_fov, options.size or default_size
  if not (fov > 0 and fov < 180) then error("fov must be more than 0 and less than 180 degrees", 2) end
  local half = math.tan(rad(fov) / 2) * math.min(1, size[1] / size[2]) -- of the shorter side
  return M.bbox_diagonal(box) / 2 / half * (options.padding or default_padding)
end

--- The vertical field of view of a lens.
---@param focal number millimetres
---@param sensor? number width of the sensor, millimetres; default 36
---@param size? integer[] of the picture; default a square
---@return number degrees
function M.fov(focal, sensor, size)
  size = size or default_size
  return deg(2 * math.atan((sensor or 36) * size[2] / size[1] / 2 / focal))
end

--- The focal length of a vertical field of view, the inverse of M.fov.
---@param fov number degrees
---@param sensor? number width, millimetres; default 36
---@param size? integer[]
---@return number millimetres
function M.focal(fov, sensor, size)
  size = size or default_size
  return (sensor or 36) * size[2] / size[1] / 2 / math.tan(rad(fov) / 2)
end

return M
