--- cameras/around.lua - cameras around a target: rings, spheres, grids, by chance.
local boxes, set = require "stance.cameras.boxes", require "stance.cameras.set"
local dice = require "stance.dice"

local M = {}

local rad, deg = math.rad, math.deg
local golden_angle = math.pi * (3 - math.sqrt(5))
local default_fov, default_angle = 50, 45

---@class stance.cameras_options
---@field box? stance.box what is to be seen; else `target`, and `distance` with it
---@field target? stance.point what is looked at; default the middle of the box
---@field distance? number metres from the target; default by the box
---@field padding? number default 1.2
---@field fov? number default 50
---@field focal? number millimetres, instead of `fov`; with `sensor`, width in millimetres, default 36
---@field sensor? number
---@field size? integer[] default 512, 512
---@field time? number seconds of the stage
---@field roll? number degrees that the picture is turned to the left
---@field lens? table distortion, f_number, focus: as render.views takes it

local numbers = { "distance", "padding", "fov", "focal", "sensor", "time", "roll", "count", "height", "start", "angle", "rings",
  "sectors" }
local chances = { "azimuth", "elevation", "distance", "padding", "fov", "roll", "time" }
local kept = { "size", "time", "roll", "lens", "sensor" }

--- What all cameras of a set share: target, distance, lens.
local function frame(options, level)
  boxes.check_numbers(options, numbers, { "elevation" }, level + 1)
  local fov = options.focal and boxes.fov(options.focal, options.sensor, options.size) or options.fov or default_fov
  if options.box then boxes.check_box(options.box, level + 1) end
  if not options.box and not (options.target and options.distance) then
    error("cameras need a box to frame, or a target and a distance", level + 1)
  end
  local target = options.target and boxes.point(options.target, "target", level + 1) or boxes.center(options.box)
  return { target = target, fov = fov,
    distance = options.distance or boxes.distance(options.box, { fov = fov, padding = options.padding, size = options.size }) }
end

local function common(options, fov)
  local camera = { fov = fov }
  for _, key in ipairs(kept) do camera[key] = options[key] end
  return camera
end

--- A camera on the sphere around a target.
local function orbit(options, center, azimuth, elevation, distance, fov)
  local camera = common(options, fov)
  local flat = distance * math.cos(rad(elevation))
  camera.target = { center[1], center[2], center[3] }
  camera.position = { center[1] - flat * math.sin(rad(azimuth)), center[2] + distance * math.sin(rad(elevation)),
    center[3] + flat * math.cos(rad(azimuth)) }
  camera.azimuth, camera.elevation, camera.distance = azimuth % 360, elevation, distance
  return camera
end

--- One camera that has all of a box in its picture, from an angle.
---@param options stance.cameras_options|{ angle?: number, elevation?: number } degrees; defaults 45, 0
---@return stance.camera
function M.framed(options)
  local shared = frame(options, 2)
  local camera = orbit(options, shared.target, options.angle or default_angle, options.elevation or 0, shared.distance, shared.fov)
  camera.name = "framed"
  return camera
end

--- Cameras at equal steps around the target, from the front to the body's right. `height` (metres over the ground) is
--- theirs, else the elevation tells it; with a height, `distance` is from the target's axis, as for render.ring.
---@param options stance.cameras_options|{ count?: integer, height?: number, elevation?: number, start?: number } default 8
---@return stance.camera_set
function M.ring(options)
  local shared = frame(options, 2)
  local count = options.count or 8
  return set.set(count, function(i)
    local azimuth = (options.start or 0) + 360 * (i - 1) / count
    local camera = orbit(options, shared.target, azimuth, not options.height and options.elevation or 0, shared.distance, shared.fov)
    if options.height then camera.position[2] = options.height end
    return camera
  end)
end

local function check_range(low, high, name, level)
  if not (low >= -90 and high <= 90 and low <= high) then
    error(name .. " must be two numbers from -90 to 90 degrees, the lower one first", level + 1)
  end
end

---@class stance.sphere_options: stance.cameras_options
---@field method? "fibonacci"|"latlong"
---@field count? integer of "fibonacci"; default 100
---@field rings? integer of "latlong"; default 5
---@field sectors? integer cameras a ring; default 8
---@field elevation? number[] the lowest and the highest, degrees; default -90, 90

--- Cameras on a sphere, or on the part of it between two elevations. "fibonacci" (default) spreads `count` of them evenly
--- over the surface; "latlong" has `rings` circles of `sectors` cameras each (with one ring: in the middle).
---@param options stance.sphere_options
---@return stance.camera_set
function M.sphere(options)
  local shared = frame(options, 2)
  local range = options.elevation or { -90, 90 }
  local low, high = range[1], range[2]
  check_range(low, high, "elevation", 2)
  if (options.method or "fibonacci") == "fibonacci" then
    local count = options.count or 100
    local bottom, top = math.sin(rad(low)), math.sin(rad(high))
    return set.set(count, function(i)
      local height = bottom + (top - bottom) * (i - 0.5) / count
      return orbit(options, shared.target, deg(i * golden_angle) % 360, deg(math.asin(height)), shared.distance, shared.fov)
    end)
  elseif options.method ~= "latlong" then
    error('method must be "fibonacci" or "latlong"', 2)
  end
  local rings, sectors = options.rings or 5, options.sectors or 8
  return set.set(rings * sectors, function(i)
    local ring, sector = math.floor((i - 1) / sectors), (i - 1) % sectors
    local elevation = rings > 1 and low + (high - low) * ring / (rings - 1) or (low + high) / 2
    return orbit(options, shared.target, 360 * sector / sectors, elevation, shared.distance, shared.fov)
  end)
end

--- Looks at a target from elsewhere.
local function aim(options, fov, position, target)
  local camera = common(options, fov)
  camera.position, camera.target = position, { target[1], target[2], target[3] }
  return camera
end

--- Cameras at equal steps in a box of space, all looking at the target: x first, then y, then z.
---@param options stance.cameras_options|{ from: stance.point, to: stance.point, counts: integer[] }
---@return stance.camera_set
function M.grid(options)
  boxes.check_numbers(options, { "fov", "focal", "sensor", "time", "roll" }, {}, 2)
  local from, to = boxes.point(options.from, "from"), boxes.point(options.to, "to")
  local target = options.target or options.box and boxes.center(options.box)
  boxes.point(target, "target (or a box)")
  boxes.point(options.counts, "counts (cameras along x, y and z)")
  local counts = options.counts
  local fov = options.focal and boxes.fov(options.focal, options.sensor, options.size) or options.fov or default_fov
  return set.set(counts[1] * counts[2] * counts[3], function(i)
    local rest, position = i - 1, {}
    for k = 1, 3 do
      local step = rest % counts[k]
      rest = math.floor(rest / counts[k])
      position[k] = counts[k] > 1 and from[k] + (to[k] - from[k]) * step / (counts[k] - 1) or (from[k] + to[k]) / 2
    end
    return aim(options, fov, position, target)
  end)
end

--- A number, or one between the two of a range.
local function draw(roll, name, range, otherwise)
  if range == nil then range = otherwise end
  if type(range) == "table" then return roll:between(name, range[1], range[2]) end
  return range
end

---@class stance.random_cameras: stance.cameras_options
---@field count integer
---@field seed? integer default 0
---@field azimuth? number|number[] degrees; default 0..360
---@field elevation? number|number[] degrees; default -10..50
---@field distance? number|number[] metres; default by the box and the padding
---@field padding? number|number[] default 1.1..1.8
---@field fov? number|number[] default 50
---@field roll? number|number[] default 0
---@field time? number|number[]
---@field jitter? number the part of the distance by which the target is missed at most; default 0

--- Cameras by chance, the same for the same seed on any machine, each by its own number. What is a number holds for all;
--- what is a range { low, high } is drawn evenly (the elevation evenly over the sphere's surface).
---@param options stance.random_cameras
---@return stance.camera_set
function M.random(options)
  boxes.check_numbers(options, { "count", "seed", "jitter" }, chances, 2)
  local target = options.target and boxes.point(options.target, "target") or options.box and boxes.center(options.box)
  if not target or not (options.box or options.distance) then error("cameras need a box to frame, or a target and a distance", 2) end
  local range = options.elevation or { -10, 50 }
  local low, high = range, range
  if type(range) == "table" then low, high = range[1], range[2] end
  check_range(low, high, "elevation", 2)
  dice.new(options.seed or 0)
  return set.set(options.count, function(i)
    local roll = dice.new(options.seed or 0, "cameras", i)
    local fov = draw(roll, "fov", options.fov, default_fov)
    local height = roll:between("elevation", math.sin(rad(low)), math.sin(rad(high)))
    local distance = draw(roll, "distance", options.distance) or boxes.distance(options.box,
      { fov = fov, padding = draw(roll, "padding", options.padding, { 1.1, 1.8 }), size = options.size })
    local camera = orbit(options, target, draw(roll, "azimuth", options.azimuth, { 0, 360 }), deg(math.asin(height)), distance, fov)
    local miss = (options.jitter or 0) * distance
    for k, axis in ipairs { "x", "y", "z" } do camera.target[k] = camera.target[k] + roll:between("aim " .. axis, -miss, miss) end
    camera.roll = draw(roll, "roll", options.roll, 0)
    camera.time = draw(roll, "time", options.time)
    return camera
  end)
end

return M
