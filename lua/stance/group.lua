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
  local results, following, members = {}, 0, {}
  local function work()
    while following < #list do
      following = following + 1
      local index = following
      results[index] = fn(list[index], index)
    end
  end
  for i = 1, math.min(limit, #list) do members[i] = fiber.spawn(work) end
  local ok, why = pcall(function()
    local rest = { unpack(members) }
    while #rest > 0 do
      local first, fine, err = fiber.select(rest)
      if not fine then error(err, 0) end
      table.remove(rest, first)
    end
  end)
  if ok then return results end
  for _, member in ipairs(members) do member:cancel("a sibling failed") end
  error(why, 0)
end

return M
