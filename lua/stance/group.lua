--- group.lua - runs a function over a list in several fibers at once, and leaves none behind.
local fiber = require "fiber"

local M = {}

--- Calls `fn(item, index)` for each item, at most `limit` at a time. When the calling fiber is cancelled, or a call raises, the
--- others are cancelled and the error goes on. Results by index.
---@generic T, R
---@param list T[]
---@param limit integer
---@param fn fun(item: T, index: integer): R
---@return R[]
function M.map(list, limit, fn)
  if type(limit) ~= "number" or limit < 1 then error("map: the limit must be 1 or more", 2) end
  local results, following, members = {}, 0, {}
  local ended = fiber.channel(#list)
  local function work()
    while following < #list do
      following = following + 1
      local index = following
      results[index] = fn(list[index], index)
    end
  end
  local function member()
    local fine, why = pcall(work)
    ended:put { fine = fine, why = why }
  end
  for i = 1, math.min(math.floor(limit), #list) do members[i] = fiber.spawn(member) end
  local ok, why = pcall(function()
    for _ = 1, #members do
      local last = ended:get()
      if not last.fine then error(last.why, 0) end
    end
  end)
  if ok then return results end
  for _, one in ipairs(members) do one:cancel "a sibling failed" end
  error(why, 0)
end

return M
