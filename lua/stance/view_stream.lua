--- view_stream.lua - views of any number of cameras, a part of them at a time: what render.views gives for a set of
--- cameras, and for lists that are too long to be held at once.
---
--- A part is drawn while the one before it is looked at. What was drawn is freed when the loop goes on to the next part.
local cameras = require "stance.cameras"

local M = {}

local default_batch, batches_a_part = 4, 16

---@class stance.view_stream
local Stream = {}
Stream.__index = Stream

local function add_timings(sum, spent)
  for stage, value in pairs(spent) do sum[stage] = (sum[stage] or 0) + value end
end

--- Views from the camera `first` on.
local function open(self, first, last)
  local list = self.set:list(first, last)
  for i, camera in ipairs(list) do camera.number = camera.number or first + i - 1 end
  local options = {}
  for key, value in pairs(self.options) do options[key] = value end
  options.cameras = list
  local part, err = self.views(self.who, options)
  if not part then error(err, 0) end
  return part
end

---@return integer
function Stream:count() return self.set.count end

--- Draws this view with those after it that make a batch.
---@param index integer
---@return stance.view
function Stream:view(index) return open(self, index, index + self.batch - 1):view(1) end

--- Ends with a part: what was drawn of it is freed.
local function leave(self)
  if not self.part then return end
  add_timings(self.spent, self.part:timings())
  self.part:close()
  self.part = nil
end

--- All views in order, for a `for` loop, one loop at a time. Raises what a camera is refused for.
---@return fun(): stance.view|nil
function Stream:each()
  local size, count = self.batch * batches_a_part, self.set.count
  local number, first, upcoming = 0, 1 - size, nil
  leave(self)
  return function()
    number = number + 1
    if number >= first + size or number > count then
      leave(self)
      if number > count then return nil end
      first, self.part, upcoming = number, upcoming or open(self, number, number + size - 1), nil
    elseif number == first + size - self.batch and first + size <= count then
      upcoming = open(self, first + size, first + 2 * size - 1)
      upcoming:begin()
    end
    return self.part:view(number - first + 1, true)
  end
end

--- CPU seconds by stage of what was drawn so far by its loops, and how many views.
---@return stance.views_timings
function Stream:timings()
  local sum = {}
  add_timings(sum, self.spent)
  if self.part then add_timings(sum, self.part:timings()) end
  return sum
end

--- `views` is render.views for lists; who and options are its arguments.
---@param views fun(who: stance.body|stance.stage, options: stance.views_options): stance.views|nil, table|nil
---@param who stance.body|stance.stage
---@param options stance.views_options
---@return stance.view_stream|nil, table|nil err
function M.new(views, who, options)
  local self = setmetatable({ views = views, who = who, options = options, set = cameras.as_set(options.cameras),
    batch = options.batch or default_batch, spent = {} }, Stream)
  -- The first camera tells whether the options are good.
  local ok, made = pcall(open, self, 1, 1)
  if ok then return self end
  return nil, made
end

return M
