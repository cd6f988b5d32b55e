--- cameras/set.lua - cameras by number, each made when it is asked for.
local M = {}

---@class stance.camera_set
---@field count integer
local Set = {}
Set.__index = Set

--- The camera of that number, from 1.
---@param index integer
---@return stance.camera
function Set:at(index)
  if type(index) ~= "number" or index < 1 or index > self.count then
    error(("there is no camera %s: the set has %d"):format(tostring(index), self.count), 2)
  end
  local camera = self.make(index)
  camera.name = camera.name or ("view_%0" .. #tostring(self.count) .. "d"):format(index)
  return camera
end

--- All of them, or those from `first` to `last`.
---@param first? integer
---@param last? integer
---@return stance.camera[]
function Set:list(first, last)
  local list = {}
  for i = first or 1, math.min(last or self.count, self.count) do list[#list + 1] = self:at(i) end
  return list
end

--- All, one after the other: `for camera in set:each() do`.
---@return fun(): stance.camera|nil
function Set:each()
  local i = 0
  return function()
    i = i + 1
    return i <= self.count and self:at(i) or nil
  end
end

--- A set of cameras that are made when they are asked for.
---@param count integer
---@param make fun(index: integer): stance.camera from 1; the same number gives the same camera
---@return stance.camera_set
function M.set(count, make)
  if type(count) ~= "number" or count < 1 or count ~= math.floor(count) then error("a set of cameras has 1 or more, and whole ones", 2) end
  return setmetatable({ count = count, make = make }, Set)
end

--- A list of cameras, or a set, as a set.
---@param cameras stance.camera[]|stance.camera_set
---@return stance.camera_set
function M.as_set(cameras)
  if getmetatable(cameras) == Set then return cameras end
  return M.set(#cameras, function(i)
    local copy = {}
    for key, value in pairs(cameras[i]) do copy[key] = value end
    return copy
  end)
end

return M
