--- render_cast.lua - what a render job's parameters stand for: the people of one set of pictures on a stage, and the cameras that
--- look at them.
---
---     local cast = step:try(render_cast.open(set.files, p, camera_file))
---     for _, camera in ipairs(cast:cameras(1, 64)) do ... end
---
--- Cameras are numbered moment by moment: first all of the first moment, then all of the second.
local motion, render, scene = require "motion", require "render", require "scene"
local cameras, character_files = require "stance.cameras", require "stance.characters"
local err, plan = require "stance.err", require "stance.render_plan"

local M = {}

--- The kinds of cameras that need no file. What a kind takes is told in stance.cameras.
local kinds = { framed = function(options) return { cameras.framed(options) } end, ring = cameras.ring, sphere = cameras.sphere,
  grid = cameras.grid, random = cameras.random, path = cameras.path }

--- What every kind takes, and what each takes besides.
local common = " kind box target distance padding fov focal sensor size time roll lens seed up "
local own = { framed = " angle elevation ", ring = " count height elevation start ",
  sphere = " method count rings sectors elevation ", grid = " from to counts ", path = " points count fps ",
  random = " count azimuth elevation jitter " }

local function check_fields(options)
  for name in pairs(options) do
    local word = " " .. tostring(name) .. " "
    if not common:find(word, 1, true) and not own[options.kind]:find(word, 1, true) then
      return nil, err("invalid", "cameras of the kind %s have no %s; they may have%s", options.kind, tostring(name),
        own[options.kind]:gsub(" $", "") .. common:gsub(" kind box", ""):gsub(" $", ""))
    end
  end
  return true
end

--- Stands for any box where only the number of cameras is asked for.
local some_box = { min = { -0.5, 0, -0.5 }, max = { 0.5, 2, 0.5 } }

local function places(options)
  local make = kinds[options.kind]
  if not make then
    local names = {}
    for name in pairs(kinds) do names[#names + 1] = name end
    table.sort(names)
    return nil, err("invalid", "cameras.kind must be one of %s, not %s", table.concat(names, ", "), tostring(options.kind))
  end
  local known, why = check_fields(options)
  if not known then return nil, why end
  local ok, set = pcall(make, options)
  if not ok then return nil, err("invalid", "cameras: %s", (tostring(set):gsub("^[^:]+:%d+: ", ""))) end
  return cameras.as_set(set)
end

--- A copy with `fields` where there are none, and `instead` in any case.
local function with(options, fields, instead)
  local out = {}
  for key, value in pairs(options) do out[key] = value end
  for key, value in pairs(fields) do if out[key] == nil then out[key] = value end end
  for key, value in pairs(instead or {}) do out[key] = value end
  return out
end

--- How many cameras stand at a moment, and how many moments there are. `file` is the set of a file of cameras, if there is one.
---@param p table parameters of the workflow `render`
---@param file? stance.camera_set
---@return integer|nil cameras, integer|table moments_or_err
function M.count(p, file)
  local moments = 1
  if p.frames then
    local times, why = cameras.frames(p.frames, 1)
    if not times then return nil, err("invalid", "%s", why) end
    moments = #times
  end
  if file then return file.count, moments end
  if not p.cameras then return p.angles, moments end
  local set, why = places(with(p.cameras, { box = some_box, size = p.size, seed = p.seed }))
  if not set then return nil, why end
  return set.count, moments
end

--- A file of cameras: JSON (a list of cameras, labels of views, or NeRF's transforms.json).
---@param text string
---@param p table
---@return stance.camera_set|nil, table|nil err
function M.decode(text, p)
  local set, why = cameras.decode(text, { size = p.size, up = p.cameras.up })
  if not set then return nil, why end
  local names = {}
  for i = 1, set.count do names[i] = set:at(i).name end
  names = plan.unique(names)
  return cameras.set(set.count, function(i) return with(set:at(i), {}, { name = names[i] }) end)
end

-- -- People ---------------------------------------------------------------------------------------------------------------

---@class stance.render_cast
---@field stage stance.stage
---@field motion? stance.motion
local Cast = {}
Cast.__index = Cast

local function open_bodies(self, names)
  for i, name in ipairs(names) do
    local path, body, why
    path, why = character_files.find(name)
    if path then body, why = scene.open(path) end
    if not body then return nil, why end
    self.files[i], self.bodies[i], self.closing[i] = path, body, body
  end
  return true
end

--- Each plays the motion in its own proportions.
local function bind(self, p)
  if not p.motion then return true end
  local opened, why = motion.open(p.motion)
  if not opened then return nil, why end
  self.closing[#self.closing + 1] = opened
  for i, body in ipairs(self.bodies) do
    local named = p.motion:find "#[^/]*$"
    local options = { in_place = p.in_place, mirror = p.mirror, feet = p.feet, front = p.face_front, clip = not named and p.clip or nil }
    local bound
    bound, why = opened:bind(body, options)
    if not bound then return nil, why end
    self.bound[i] = bound
    self.closing[#self.closing + 1] = bound
  end
  return true
end

local function actors(self, p)
  local out = {}
  for i, body in ipairs(self.bodies) do
    local x = (i - (#self.bodies + 1) / 2) * p.spacing
    out[i] = { body = body, clip = not p.motion and p.clip or nil, motion = self.bound[i], position = { x, 0, 0 } }
  end
  return out
end

--- The stage under the look that was asked for, or under the one that chance gives a batch of pictures.
---@param batch? integer
---@return stance.stage|nil, table|nil err
function Cast:under_look(batch)
  local p, look = self.p, self.p.look
  if look == "studio" then look = nil end
  if look == "random" then look = render.random_look((p.seed or 0) * 65536 + (batch or 0), p.look_ranges) end
  return render.stage { actors = actors(self, p), look = look, fps = p.fps }
end

--- Opens the bodies of a set. Waits. What cannot be opened is told as it is.
---@param files string[]
---@param p table parameters of the workflow `render`
---@param file? stance.camera_set of a file of cameras
---@return stance.render_cast|nil, table|nil err
function M.open(files, p, file)
  local self = setmetatable({ p = p, file = file, files = {}, bodies = {}, bound = {}, closing = {} }, Cast)
  local ok, why = open_bodies(self, files)
  if ok then ok, why = bind(self, p) end
  if ok then
    self.stage, why = self:under_look()
    ok = self.stage ~= nil
  end
  if ok then ok, why = self:place_cameras() end
  if ok then return self end
  self:close()
  return nil, why
end

-- -- Cameras --------------------------------------------------------------------------------------------------------------

--- Cameras by number; `self.moments` are their times. The default ring aims at where the people stand at each moment, so it
--- is placed when a moment is first asked for.
function Cast:place_cameras()
  local p = self.p
  local why
  self.moments = { p.time }
  if p.frames then
    self.moments, why = cameras.frames(p.frames, self.stage:fps())
    if not self.moments then return nil, err("invalid", "%s", why) end
  end
  if not p.cameras then
    local ring
    ring, why = self:ring_at(1)
    if not ring then return nil, why end
    self.distance, self.count = ring[1].distance, #ring * #self.moments
    return true
  end
  local set = self.file
  if not set then
    local box
    box, why = self.stage:box()
    if not box then return nil, why end
    set, why = places(with(p.cameras, { box = box, size = p.size, seed = p.seed, focal = p.focal }))
    if not set then return nil, why end
  end
  if p.frames then set = cameras.at_times(set, self.moments) end
  self.set, self.count = set, set.count
  return true
end

--- The ring of a moment; the newest one is remembered.
function Cast:ring_at(moment)
  if self.newest ~= moment then
    local p = self.p
    local ring, why = render.cameras(self.stage, { angles = p.angles, distance = p.distance, height = p.height,
      fov = not p.focal and p.fov or nil, focal = p.focal, size = p.size, time = self.moments[moment] })
    if not ring then return nil, why end
    self.newest, self.ring = moment, ring
  end
  return self.ring
end

--- Cameras `first` to `last`. Waits.
---@param first integer
---@param last integer
---@return stance.camera[]|nil, table|nil err
function Cast:cameras(first, last)
  local out, angles = {}, self.p.angles
  for i = first, last do
    if self.set then
      out[#out + 1] = with(self.set:at(i), { lens = self.p.lens, size = self.p.size }, { number = i })
    else
      local moment = math.floor((i - 1) / angles) + 1
      local ring, why = self:ring_at(moment)
      if not ring then return nil, why end
      local camera = ring[(i - 1) % angles + 1]
      local name = #self.moments > 1 and ("%s_%04d"):format(camera.name, moment) or camera.name
      out[#out + 1] = with(camera, { lens = self.p.lens }, { name = name, number = i })
    end
  end
  return out
end

--- What is shown, for titles: "clip walk", "motion jump", "rest pose".
---@return string
function Cast:what()
  if self.bound[1] then return "motion " .. self.bound[1]:name() end
  local clip = self.stage:actors()[1].clip
  return clip and "clip " .. clip or "rest pose"
end

--- Gives all back; views that were made stay good. May be repeated.
function Cast:close()
  if self.stage then self.stage:close() end
  for i = #self.closing, 1, -1 do self.closing[i]:close() end
  self.stage, self.closing = nil, {}
end

return M
