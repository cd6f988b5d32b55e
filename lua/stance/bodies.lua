--- bodies.lua - bodies that the batches of a render job share while they are needed.
---
--- A body is opened when a batch first asks for it (so a resumed job does not import what it has drawn), and closed
--- when a later character's turn has come and nobody uses it.
local fiber = require "fiber"

local M = {}

--- `open(key)` returns a value with `close`, or nil and why not; what it raises (it was cancelled, say) is raised for
--- the one who asked, and the next one opens again. The function that is returned calls `fn` with the body of `number`.
---@generic T: { close: fun(self: T) }
---@param open fun(key: any): T|nil, table|nil
---@return fun(number: integer, key: any, fn: fun(body: T): any): any|nil, table|nil use
function M.share(open)
  local entries, newest = {}, 0

  local function fill(entry, key)
    entry.gate = fiber.channel()
    local ok, body, why = pcall(open, key)
    entry.gate:close() -- whoever waits looks again
    entry.gate = nil
    if not ok then error(body, 0) end
    entry.body, entry.failure = body, why
  end

  local function close_idle()
    for number, entry in pairs(entries) do
      if number < newest and entry.users == 0 then
        if entry.body then entry.body:close() end
        entries[number] = nil
      end
    end
  end

  return function(number, key, fn)
    local entry = entries[number] or { users = 0 }
    entries[number] = entry
    newest = math.max(newest, number)
    entry.users = entry.users + 1
    local ok, result, why = pcall(function()
      while not entry.body and not entry.failure do
        if entry.gate then entry.gate:get() else fill(entry, key) end
      end
      if entry.failure then return nil, entry.failure end
      return fn(entry.body)
    end)
    entry.users = entry.users - 1
    close_idle()
    if not ok then error(result, 0) end
    return result, why
  end
end

return M
