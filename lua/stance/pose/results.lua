--- results.lua - where `stance pose` puts what it found: JSON, arrays, pictures with the skeletons drawn on them.
---
--- Folders are the roots "output" and "overlay" of this process. Of a picture "summer/beach.jpg" come output:summer/beach.json and
--- overlay:summer/beach.png; of a film walk.ndjson, a line a frame, and overlay:walk/000001.png. Arrays are NAME.landmarks.npy
--- and NAME.world.npy: a row a frame; all pictures together are photos.landmarks.npy, with their names in photos.txt.
local fs, npy = require "fs", require "npy"
local err, overlay, record = require "stance.err", require "stance.pose.overlay", require "stance.pose.record"

local M = {}

local fields = { "landmarks", "world" }

local function try(value, why)
  if value == nil then error(why or err("internal", "there is no value"), 0) end
  return value
end

--- The folder of a path must be there before the file.
local function make_way(path)
  local folder = path:match "^(.*)/[^/]*$"
  if folder then try(fs.mkdir(folder)) end
  return path
end

---@class stance.pose.results.options
---@field json? "out"|"files" lines go to `out`, or a file a picture
---@field npy? boolean
---@field overlay? boolean
---@field people integer places in arrays
---@field out fun(text: string) standard output

---@class stance.pose.results
local Results = {}
Results.__index = Results

---@param options stance.pose.results.options
---@return stance.pose.results
function M.new(options) return setmetatable({ options = options, names = {} }, Results) end

-- -- Arrays ------------------------------------------------------------------------------------------------------------

local function new_arrays(people)
  local out = {}
  for _, field in ipairs(fields) do out[field] = try(npy.new(record.shape(people))) end
  return out
end

local function append(arrays, by_place, people)
  for _, field in ipairs(fields) do try(arrays[field]:append(record.row(by_place, people, field))) end
end

local function write_arrays(arrays, stem)
  for _, field in ipairs(fields) do
    try(fs.write(make_way(("output:%s.%s.npy"):format(stem, field)), arrays[field]:bytes()))
  end
end

-- -- Overlays ----------------------------------------------------------------------------------------------------------

local function write_overlay(name, png, why) try(fs.write(make_way("overlay:" .. name .. ".png"), try(png, why))) end

-- -- Pictures ----------------------------------------------------------------------------------------------------------

--- Of one picture, in any order: what has a file of its own. Waits.
---@param item stance.pose.item
---@param found pose.Result
---@param bytes string the picture's file
function Results:photo(item, found, bytes)
  if self.options.json == "files" then
    try(fs.write(make_way("output:" .. item.stem .. ".json"), record.line(found)))
  end
  if self.options.overlay then write_overlay(item.stem, overlay.of_file(bytes, found.people)) end
end

--- The same, in the order of the pictures: what they share. Waits.
---@param item stance.pose.item
---@param found pose.Result
function Results:photo_in_order(item, found)
  if self.options.json == "out" then self.options.out(record.line(found)) end
  if not self.options.npy then return end
  self.arrays = self.arrays or new_arrays(self.options.people)
  append(self.arrays, found.people, self.options.people)
  self.names[#self.names + 1] = item.name
end

--- All pictures are through.
function Results:finish()
  if not self.arrays then return end
  write_arrays(self.arrays, "photos")
  try(fs.write("output:photos.txt", table.concat(self.names, "\n") .. "\n"))
end

-- -- Films -------------------------------------------------------------------------------------------------------------

---@class stance.pose.results.film
local Film = {}
Film.__index = Film

---@param item stance.pose.item
---@return stance.pose.results.film
function Results:film(item)
  local options = self.options
  local self_ = setmetatable({ options = options, stem = item.stem, place = record.places(options.people) }, Film)
  if options.json == "files" then self_.lines = try(fs.open(make_way("output:" .. item.stem .. ".ndjson"), "w")) end
  if options.npy then self_.arrays = new_arrays(options.people) end
  return self_
end

--- Waits.
---@param number integer from 1
---@param found pose.Result
---@param picture stance.image|string may be drawn on; a string is a picture's file
function Film:frame(number, found, picture)
  if self.lines then try(self.lines:write(record.line(found))) end
  if self.options.json == "out" then self.options.out(record.line(found)) end
  if self.arrays then append(self.arrays, self.place(found.people), self.options.people) end
  if not self.options.overlay then return end
  local name = ("%s/%06d"):format(self.stem, number)
  if type(picture) == "string" then return write_overlay(name, overlay.of_file(picture, found.people)) end
  write_overlay(name, picture:draw_pose(found.people):png(1))
end

--- The film is through: its files take their places.
function Film:finish()
  if self.lines then try(self.lines:close()) end
  if self.arrays then write_arrays(self.arrays, self.stem) end
end

--- Forgets them.
function Film:discard()
  if self.lines then self.lines:discard() end
end

return M
