---@meta lint

--- What a script would touch outside itself, told from its compiled form: it is not run.
local lint = {}

---@class lint.Finding
---@field kind "read"|"write"|"require"  of a global; or the call of `require` with a fixed name
---@field line integer
---@field name string  the global, or the module
---@field field? string  of a read: the field that is taken of it at once (`string.format`: "format")

--- In the order in which they stand in the main chunk, then those of its functions.
---@param text string
---@param name string  the chunk's name, for errors: "@workflows/render.lua"
---@return lint.Finding[]? findings
---@return stance.Error? err  code "invalid": the text has a syntax error, "NAME:LINE: ..."
function lint.scan(text, name) end

--- What stands in a host's VMs in place of what blocks or leaves the process: each function raises, and says what to use.
---@return { io: table, os: table, dofile: function, loadfile: function }
function lint.refused() end

return lint
