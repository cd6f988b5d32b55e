--- canonical.lua - one text for one value: JSON with sorted keys, for hashes that outlive a process.
---
--- The order in which a table gives its keys differs from one VM to the next (LuaJIT seeds its hashes), and so does what `json.encode`
--- makes of it.
local json = require "json"

---@param value any what JSON can carry
---@return string
local function canonical(value)
  if type(value) ~= "table" or next(value) == nil then return json.encode(value) end
  local parts = {}
  if value[1] ~= nil then
    for i, item in ipairs(value) do parts[i] = canonical(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key in pairs(value) do parts[#parts + 1] = key end
  table.sort(parts)
  for i, key in ipairs(parts) do parts[i] = json.encode(key) .. ":" .. canonical(value[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

return canonical
