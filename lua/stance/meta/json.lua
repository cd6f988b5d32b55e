---@meta json

--- JSON: lua-cjson reads it, a writer of our own writes it; at most 128 levels, without NaN and infinity.
---
--- Whole numbers are written exactly up to 2^53, others with as many digits as it takes. An empty table becomes `{}`; `json.array`
--- marks one that is a list. `json.null` stands for null in both directions. Reading refuses what is no UTF-8 and numbers
--- beyond a double; writing puts U+FFFD for such bytes. Both raise for what they cannot do; where text comes from elsewhere, `pcall`
--- them.
local json = {}

--- What null is in Lua tables: equal to itself only.
---@type lightuserdata
json.null = nil

---@param value any  tables with string keys become objects, those with 1..n arrays
---@return string
function json.encode(value) end

---@param text string
---@param levels? integer  fewer than 128, for text from strangers that will be a part of something larger
---@return any
function json.decode(text, levels) end

--- Marks a list (a new one without argument), so that it is written as `[]` when it is empty. Returns the same table.
---@generic T
---@param list? T[]
---@return T[]
function json.array(list) end

return json
