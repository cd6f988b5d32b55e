--- tool.lua - `stance pose`: pictures are looked at, films followed, and what was found is told and kept.
---
--- Runs without a host, in the command's own process (runtime/cli/pose.c); pose processes do the work. A file that fails is told
--- and ends none of the others.
local io = _G.io -- this one runs in a VM that has it
local fiber, fs, time = require "fiber", require "fs", require "time"
local bar_of, err, files, group = require "stance.pose.bar", require "stance.err", require "stance.pose.files", require "stance.group"
local results_of = require "stance.pose.results"

local M = {}

local photo_limit = 64 * 1024 * 1024 -- bytes of a file
local busy_pause = 0.02 -- seconds

---@class stance.pose.request what the command line asks for
---@field operands { name: string, path: string }[]
---@field engine { model: string, backend: string, people: integer, min_detection?: number, min_tracking?: number, smooth: boolean }
---@field json? "out"|"files"
---@field npy boolean
---@field overlay boolean
---@field every integer
---@field at_once integer pictures, or films, that are worked at
---@field track? number frames a second of folders that are films
---@field terminal boolean stderr is one
---@field color boolean
---@field output? string what the user calls the folder

---@class stance.pose.world what a run may touch; a spec brings its own
---@field pose table the module `pose`
---@field video table the module `video`
---@field out fun(text: string) standard output
---@field talk fun(text: string) standard error

---@class stance.pose.run
---@field request stance.pose.request
---@field world stance.pose.world
local Run = {}
Run.__index = Run

function Run:note(format, ...)
  self.bar:clear()
  self.world.talk(format:format(...) .. "\n")
end

function Run:out(text)
  self.bar:clear()
  self.world.out(text)
end

local function plain(why) return type(why) == "table" and why.message or tostring(why) end

--- The whole run ends for what is not one file's fault.
local function ends_all(why) return type(why) == "table" and (why.code == "cancelled" or why.code == "closed_output") end

--- The name stands once in the line, though many reasons tell the path: "PATH: no film", "cannot open PATH: no such file".
function Run:fail(name, path, why)
  self.failed = self.failed + 1
  local reason = plain(why)
  local from, to = reason:find(path .. ": ", 1, true)
  if from == 1 or from and reason:sub(1, from - 1) == "cannot open " then reason = reason:sub(to + 1) end
  self:note("stance: %s: %s", name, reason)
end

local function count_of(number, one, many) return ("%d %s"):format(number, number == 1 and one or many) end

local function try(value, why)
  if value == nil then error(why, 0) end
  return value
end

--- What `ask` answers; while too many pictures wait already (large ones, on many cores), it is asked again.
local function patiently(ask)
  while true do
    local found, why = ask()
    if found or why.code ~= "busy" then return try(found, why) end
    fiber.sleep(busy_pause)
  end
end

-- -- Pictures ----------------------------------------------------------------------------------------------------------

function Run:count_people(found)
  self.pictures = self.pictures + 1
  if #found.people > 0 then self.with_people = self.with_people + 1 end
end

local function look_at(self, item, seq)
  local bytes = try(fs.read(item.path, photo_limit))
  local found = patiently(function() return self.engine:detect(bytes) end)
  found.file, found.seq = item.name, seq
  self.results:photo(item, found, bytes)
  return found
end

function Run:tell_photo(item, found)
  self.results:photo_in_order(item, found)
  if self.request.json or self.request.npy then return end
  local people = found.people
  local score = people[1] and ("  %.2f"):format(people[1].score) or ""
  self:out(("%s: %s%s\n"):format(item.name, count_of(#people, "person", "people"), score))
end

--- Tells what was seen in the order of the pictures, though they end in any.
local function in_order(self, items)
  local waiting, following, telling = {}, 1, false
  return function(index, found) -- false: it failed
    waiting[index] = found
    if telling then return end
    telling = true
    while waiting[following] ~= nil do
      local now = waiting[following]
      waiting[following] = nil
      if now then self:tell_photo(items[following], now) end
      following = following + 1
    end
    telling = false
  end
end

function Run:photos(items)
  local tell, done = in_order(self, items), 0
  group.map(items, self.request.at_once, function(item, index)
    local ok, found = pcall(look_at, self, item, index)
    if not ok and ends_all(found) then error(found, 0) end
    if ok then self:count_people(found) else self:fail(item.name, item.path, found) end
    done = done + 1
    tell(index, ok and found)
    self.bar:set("pictures", done, #items)
    return true
  end)
  self.results:finish()
end

-- -- Films -------------------------------------------------------------------------------------------------------------

--- The frames of a film: a function that gives a picture, or a picture's file, and its time; nil at the end; nil and an error.
local function frames_of(self, item)
  if item.kind == "film" then
    local film = try(self.world.video.open(item.path, { every = self.request.every }))
    return function() return film:read() end, function() film:close() end
  end
  local at = 1 - self.request.every
  return function()
    at = at + self.request.every
    if at > #item.frames then return nil end
    local bytes, why = fs.read(item.frames[at], photo_limit)
    return bytes, bytes and (at - 1) / self.request.track or why
  end, function() end
end

local function follow(self, item, read, kept)
  local session = try(self.engine:track())
  local number, seen = 0, 0
  local ok, why = pcall(function()
    while true do
      local picture, at = read()
      if not picture then
        if at then error(at, 0) end
        return
      end
      local found = patiently(function() return session:push(picture, at) end)
      if found.reset then self:note("%s: followed anew from %.2f s on, the process that knew the people was lost", item.name, at) end
      found.file, number = item.name, number + 1
      kept:frame(number, found, picture)
      if type(picture) ~= "string" then picture:close() end
      self:count_people(found)
      if #found.people > 0 then seen = seen + 1 end
      self.bar:set(item.name, number, item.frames and math.ceil(#item.frames / self.request.every))
    end
  end)
  session:close()
  if not ok then error(why, 0) end
  return number, seen
end

local function watch(self, item)
  local read, close = frames_of(self, item)
  local opened, kept = pcall(self.results.film, self.results, item)
  if not opened then
    close()
    error(kept, 0)
  end
  local ok, number, seen = pcall(follow, self, item, read, kept)
  close()
  if not ok then
    kept:discard()
    error(number, 0)
  end
  kept:finish()
  if not (self.request.json or self.request.npy) then
    self:out(("%s: %s, somebody in %d\n"):format(item.name, count_of(number, "frame", "frames"), seen))
  end
end

function Run:films(items)
  local side_by_side = self.request.json == "out" and 1 or self.request.at_once -- lines of two films must not mix
  group.map(items, side_by_side, function(item)
    local ok, why = pcall(watch, self, item)
    if not ok then
      if ends_all(why) then error(why, 0) end
      if item.guessed and type(why) == "table" and why.code == "corrupt" then
        why = err("unsupported", "it is no picture (JPEG, PNG, WebP), and ffmpeg finds no film in it")
      end
      self:fail(item.name, item.path, why)
    end
    return true
  end)
end

-- -- All of it ---------------------------------------------------------------------------------------------------------

local function summary(self)
  local seconds = time.monotonic() - self.started -- since the engine was there
  local failed = self.failed > 0 and ("; %d failed"):format(self.failed) or ""
  local where = self.request.output and " in " .. self.request.output or ""
  return ("%s, people in %d%s: %.1f ms each (%s, %s)%s"):format(count_of(self.pictures, "picture", "pictures"),
    self.with_people, where, seconds / self.pictures * 1000, self.request.engine.model, self.engine:info().backend, failed)
end

local function find(self)
  local found = files.find(self.request.operands, self.request.track ~= nil)
  for _, failure in ipairs(found.failures) do self:fail(failure.name, failure.path, failure.err) end
  local photos, films = {}, {}
  for _, item in ipairs(found.items) do
    local list = item.kind == "photo" and photos or films
    list[#list + 1] = item
  end
  if #found.items == 0 and self.failed == 0 then
    local passed = found.passed_over > 0 and (" (%s of other kinds)"):format(count_of(found.passed_over, "file", "files")) or ""
    error(err("not_found", "there are no pictures and no films in %s%s", self.request.operands[1].name, passed), 0)
  end
  return photos, films
end

local function work(self)
  local photos, films = find(self)
  if #photos + #films == 0 then return end
  self.engine = try(self.world.pose.engine(self.request.engine))
  self.started = time.monotonic()
  if #photos > 0 then self:photos(photos) end
  if #films > 0 then self:films(films) end
  self.bar:clear()
  if self.pictures == 0 then return end -- all failed, which is told
  local line = summary(self) .. "\n"
  if self.request.json == "out" then self.world.talk(line) else self.world.out(line) end
end

---@param request stance.pose.request
---@param world stance.pose.world
---@return { code: string, message?: string } code: "ok", "failed" (some files), or that of an error, with its message
function M.estimate(request, world)
  local bar = bar_of.new(request.terminal and world.talk or nil, request.color)
  local self = setmetatable({ request = request, world = world, bar = bar, pictures = 0,
    with_people = 0, failed = 0, results = nil }, Run)
  self.results = results_of.new { json = request.json, npy = request.npy, overlay = request.overlay,
    people = request.engine.people, out = function(text) self:out(text) end }
  local ok, why = pcall(work, self)
  bar:clear()
  if not ok then return { code = type(why) == "table" and why.code or "internal", message = plain(why) } end
  return { code = self.failed > 0 and "failed" or "ok" }
end

--- For the command. Standard output that nobody reads any more ends it ("closed_output").
---@param request stance.pose.request
---@return { code: string, message?: string }
function M.run(request)
  local function out(text)
    if not (io.stdout:write(text) and io.stdout:flush()) then error(err("closed_output", "nobody reads the output"), 0) end
  end
  local function talk(text) io.stderr:write(text) end
  return M.estimate(request, { pose = require "pose", video = require "video", out = out, talk = talk })
end

return M
