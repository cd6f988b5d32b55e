---@meta json

--- JSON: lua-cjson, with at most 64 levels, and without NaN and infinity.
---
--- An empty Lua table becomes `{}`; `json.null` stands for null in both directions. Both functions raise for what they cannot
--- do; where text comes from elsewhere, `pcall` them.
local json = {}

--- What null is in Lua tables: equal to itself only.
---@type lightuserdata
json.null = nil

---@param value any  tables with string keys become objects, those with 1..n arrays
---@return string
function json.encode(value) end

---@param text string
---@return any
function json.decode(text) end

--- A codec of its own, for other settings than the module's: those calls change all users of one codec.
---@return json
function json.new() end

return json
