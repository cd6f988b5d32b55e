--- access.lua - may this principal use this route? Decided by policies/scopes.lua.
local err = require "stance.err"

local M = {}

local function covers(granted, scope)
  return granted == "*" or granted == scope or (granted:sub(-2) == ":*" and scope:sub(1, #granted - 1) == granted:sub(1, -2))
end

--- The access check of a router (stance.http).
---@param policy table<string, string[]> scopes by principal
---@return fun(request: table, route: table): string|nil, table|nil
function M.by_scopes(policy)
  return function(_, route)
    local principal = "local"
    if not route.scope then return principal end
    for _, granted in ipairs(policy[principal] or {}) do if covers(granted, route.scope) then return principal end end
    return nil, err("denied", "%s has not the scope %s", principal, route.scope)
  end
end

return M
