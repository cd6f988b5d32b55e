--- looks.lua - looks by chance, for pictures of which no two should look the same.
---
---     local stage = render.stage { actors = actors, look = looks.random(seed, { sun = { elevation = { 5, 30 } } }) }
---
--- A look depends on the seed alone, each number on its own name, so that new options leave the others as they are.
local dice = require "stance.dice"

local M = {}

---@alias stance.look_range number|number[] a number that holds, or two to choose between evenly

--- Warmth is from -1, blue, to 1, orange.
---@class stance.look_ranges.sun
---@field elevation? stance.look_range
---@field azimuth? stance.look_range
---@field strength? stance.look_range
---@field warmth? stance.look_range
---@field softness? stance.look_range

---@class stance.look_ranges
---@field sun? stance.look_ranges.sun
---@field sky? { strength?: stance.look_range }
---@field ground? { colors?: string[], chance?: number }
---@field exposure? stance.look_range
---@field jpeg? { quality?: stance.look_range, chance?: number }

local defaults = {
  sun = { elevation = { 12, 75 }, azimuth = { 0, 360 }, strength = { 0.3, 1.5 }, warmth = { -0.15, 0.35 }, softness = { 0.01, 0.15 } },
  sky = { strength = { 0.5, 1.4 } },
  ground = { chance = 0.9, colors = { "#8f8d88", "#6e6a63", "#7b8468", "#a39a86", "#54585c", "#b3afa7", "#6d5a49" } },
  exposure = { 0.75, 1.3 },
  jpeg = { chance = 0.3, quality = { 45, 95 } },
}

local function draw(roll, name, range)
  if type(range) == "table" then return roll:between(name, range[1], range[2]) end
  return range
end

--- Ranges that are given take the place of the defaults, one by one; what is not known is refused.
local function merge(given, otherwise, path)
  if given == nil then return otherwise end
  local merged = {}
  for key, value in pairs(otherwise) do merged[key] = value end
  for key, value in pairs(given) do
    if otherwise[key] == nil then error(("%s has no field %s"):format(path, key), 3) end
    merged[key] = value
  end
  return merged
end

--- A look as render.stage takes it.
---@param seed integer
---@param ranges? stance.look_ranges
---@return stance.look_options
function M.random(seed, ranges)
  local roll, r = dice.new(seed, "look"), merge(ranges, defaults, "ranges")
  local sun, sky = merge(r.sun, defaults.sun, "ranges.sun"), merge(r.sky, defaults.sky, "ranges.sky")
  local ground, jpeg = merge(r.ground, defaults.ground, "ranges.ground"), merge(r.jpeg, defaults.jpeg, "ranges.jpeg")
  local warmth = draw(roll, "sun.warmth", sun.warmth)
  local look = {
    sun = {
      elevation = draw(roll, "sun.elevation", sun.elevation), azimuth = draw(roll, "sun.azimuth", sun.azimuth),
      strength = draw(roll, "sun.strength", sun.strength), softness = draw(roll, "sun.softness", sun.softness),
      color = { 1, 1 - 0.35 * math.max(warmth, 0), 1 - math.max(warmth, 0) },
    },
    sky = { strength = draw(roll, "sky.strength", sky.strength) },
    exposure = draw(roll, "exposure", r.exposure),
    ground = roll:chance("ground", ground.chance) and { color = roll:pick("ground.color", ground.colors) },
  }
  if warmth < 0 then look.sun.color = { 1 + warmth, 1 + warmth / 3, 1 } end
  if roll:chance("jpeg", jpeg.chance) then look.jpeg = math.floor(draw(roll, "jpeg.quality", jpeg.quality)) end
  return look
end

return M
