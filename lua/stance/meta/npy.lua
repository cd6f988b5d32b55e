---@meta npy
--- Arrays of float32 for NumPy, built row by row in memory.
---
---     local array = npy.new { 33, 4 }
---     for _, found in ipairs(frames) do assert(array:append(numbers_of(found))) end
---     assert(fs.write("output:landmarks.npy", array:bytes())) -- numpy.load gives the shape (frames, 33, 4)
local M = {}

---@class stance.npy
local npy = {}

--- An array without rows.
---@param shape integer[] of a row, at most 8 lengths
---@return stance.npy|nil, table|nil err
function M.new(shape) end

--- Adds a row. Raises when it has not as many numbers as the shape says.
---@param numbers number[] the last dimension runs fastest
---@return true|nil, table|nil err `too_large` beyond 4 GiB
function npy:append(numbers) end

---@return integer
function npy:rows() end

--- The .npy file as it is now: version 1.0, little-endian, C order.
---@return string
function npy:bytes() end

return M
