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
---@field lamps? { count?: integer[], strength?: stance.look_range } around the middle of the stage
---@field tones? string[]
---@field background? { files?: string[], chance?: number } default none
---@field environment? { files?: string[], chance?: number, turn?: stance.look_range, strength?: stance.look_range } default none
---@field noise? { chance?: number, strength?: stance.look_range }
---@field jpeg? { quality?: stance.look_range, chance?: number }

local defaults = {
  sun = { elevation = { 12, 75 }, azimuth = { 0, 360 }, strength = { 0.3, 1.5 }, warmth = { -0.15, 0.35 }, softness = { 0.01, 0.15 } },
  sky = { strength = { 0.5, 1.4 } },
  ground = { chance = 0.9, colors = { "#8f8d88", "#6e6a63", "#7b8468", "#a39a86", "#54585c", "#b3afa7", "#6d5a49" } },
  exposure = { 0.75, 1.3 },
  lamps = { count = { 0, 3 }, strength = { 0.3, 3 } },
  tones = { "soft", "filmic" },
  background = { files = {}, chance = 0.5 },
  environment = { files = {}, chance = 0.5, turn = { 0, 360 }, strength = { 0.6, 1.4 } },
  noise = { chance = 0.5, strength = { 0.002, 0.03 } },
  jpeg = { chance = 0.3, quality = { 45, 95 } },
}

local most_lamps = 8

--- `path` is what the range is called where that is not the number's name.
local function draw(roll, name, range, path)
  if type(range) == "number" then return range end
  if type(range) ~= "table" or type(range[1]) ~= "number" or type(range[2]) ~= "number" then
    error(("ranges.%s must be a number, or a list of two"):format(path or name), 0)
  end
  return roll:between(name, range[1], range[2])
end

--- Ranges that are given take the place of the defaults, one by one; what is not known is refused.
local function merge(given, otherwise, path)
  if given == nil then return otherwise end
  if type(given) ~= "table" then error(path .. " must be a table", 0) end
  local merged = {}
  for key, value in pairs(otherwise) do merged[key] = value end
  for key, value in pairs(given) do
    if otherwise[key] == nil then error(("%s has no field %s"):format(path, tostring(key)), 0) end
    merged[key] = value
  end
  return merged
end

--- A warm colour for what is above 0, a cold one for what is below.
local function tint(warmth)
  if warmth < 0 then return { 1 + warmth, 1 + warmth / 3, 1 } end
  return { 1, 1 - 0.35 * warmth, 1 - warmth }
end

--- Lamps stand two to five metres away, at heights from the knees to above the head.
local function lamps(roll, range)
  local list, count = {}, range.count
  local low, high = type(count) == "table" and count[1], type(count) == "table" and count[2]
  if not (type(low) == "number" and type(high) == "number" and low >= 0 and low <= high and high <= most_lamps) then
    error(("ranges.lamps.count must be a list of two from 0 to %d"):format(most_lamps), 0)
  end
  for i = 1, roll:integer("lamps", low, high) do
    local name = "lamp" .. i
    local angle, away = roll:between(name .. ".angle", 0, 2 * math.pi), roll:between(name .. ".distance", 2, 5)
    list[i] = {
      position = { away * math.sin(angle), roll:between(name .. ".height", 0.4, 3), away * math.cos(angle) },
      strength = draw(roll, name .. ".strength", range.strength, "lamps.strength") * away,
      radius = roll:between(name .. ".radius", 0.02, 0.4),
      color = tint(roll:between(name .. ".warmth", -0.2, 0.5)),
    }
  end
  return list
end

--- A look as render.stage takes it.
---@param seed integer
---@param ranges? stance.look_ranges
---@return stance.look_options
function M.random(seed, ranges)
  local roll, r = dice.new(seed, "look"), merge(ranges, defaults, "ranges")
  local sun, sky = merge(r.sun, defaults.sun, "ranges.sun"), merge(r.sky, defaults.sky, "ranges.sky")
  local ground, jpeg = merge(r.ground, defaults.ground, "ranges.ground"), merge(r.jpeg, defaults.jpeg, "ranges.jpeg")
  local noise, lamp = merge(r.noise, defaults.noise, "ranges.noise"), merge(r.lamps, defaults.lamps, "ranges.lamps")
  local look = {
    sun = {
      elevation = draw(roll, "sun.elevation", sun.elevation), azimuth = draw(roll, "sun.azimuth", sun.azimuth),
      strength = draw(roll, "sun.strength", sun.strength), softness = draw(roll, "sun.softness", sun.softness),
      color = tint(draw(roll, "sun.warmth", sun.warmth)),
    },
    sky = { strength = draw(roll, "sky.strength", sky.strength) },
    exposure = draw(roll, "exposure", r.exposure), tone = roll:pick("tone", r.tones), lights = lamps(roll, lamp),
    ground = roll:chance("ground", ground.chance) and { color = roll:pick("ground.color", ground.colors) },
  }
  if roll:chance("jpeg", jpeg.chance) then look.jpeg = math.floor(draw(roll, "jpeg.quality", jpeg.quality)) end
  local background = merge(r.background, defaults.background, "ranges.background")
  local around = merge(r.environment, defaults.environment, "ranges.environment")
  if background.files[1] and roll:chance("background", background.chance) then
    look.background = roll:pick("background.file", background.files)
  end
  if around.files[1] and roll:chance("environment", around.chance) then
    look.environment = { file = roll:pick("environment.file", around.files), turn = draw(roll, "environment.turn", around.turn),
      strength = draw(roll, "environment.strength", around.strength) }
  end
  if roll:chance("noise", noise.chance) then
    look.sensor = { noise = draw(roll, "noise.strength", noise.strength), seed = roll:integer("noise.seed", 0, 2 ^ 32) }
  end
  return look
end

return M
