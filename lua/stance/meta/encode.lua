---@meta encode
--- Files of arrays: what view:map returns goes straight in.
---
---     local depth = assert(encode.npy(view:map "depth"))
---     local bytes, array = view:map "person"
---     local mask = assert(encode.png(bytes, array, { palette = true }))
local M = {}

---@class stance.array
---@field dtype "uint8"|"uint16"|"uint32"|"int32"|"float32"
---@field shape integer[] height, width and, of more than one, channels; 1 to 4 lengths for NumPy

--- uint8 of 1, 3 or 4 channels, or uint16 of one. Level 0 (the default) is quick and right for what is drawn, 1 to 12 are
--- deflate's. With `palette` the numbers of a mask are shown in colours of their own, 0 in black. Waits. Errors: `invalid`.
---@param bytes string
---@param array stance.array
---@param options? { level?: integer, palette?: boolean }
---@return string|nil png, table|nil err
function M.png(bytes, array, options) end

--- Depths in metres (float32) as 16-bit millimetres: 0 is nothing, 65535 is 65.535 m and more. Waits.
---@param bytes string
---@param array stance.array
---@param options? { level?: integer }
---@return string|nil png, table|nil err
function M.depth(bytes, array, options) end

--- uint8 of 3 or 4 channels; alpha is left out. Waits.
---@param bytes string
---@param array stance.array
---@param options? { quality?: integer } 1 to 100; 90
---@return string|nil jpeg, table|nil err
function M.jpeg(bytes, array, options) end

--- uint8 of 3 or 4 channels. Lossless, quality is the effort, from 0 (the default) to 100. Waits.
---@param bytes string
---@param array stance.array
---@param options? { quality?: integer, lossless?: boolean } 0 to 100; 85
---@return string|nil webp, table|nil err
function M.webp(bytes, array, options) end

--- A file for numpy.load. Waits.
---@param bytes string
---@param array stance.array
---@return string|nil npy, table|nil err
function M.npy(bytes, array) end

---@class stance.shard
local shard = {}

--- An empty tar archive of samples, as WebDataset reads them. The same samples give the same bytes.
---@param most? integer bytes that it may have, up to 1 GiB; 256 MiB
---@return stance.shard|nil, table|nil err
function M.shard(most) end

--- Adds a sample's files by their endings, { png = ..., json = ..., ["depth.png"] = ... }: all of them or, with an error,
--- none. Errors: `too_large` (full: write the shard out, clear it, add again), `invalid` (names).
---@param key string letters, digits, - and _, and / inside
---@param files table<string, string>
---@return true|nil, table|nil err
function shard:add(key, files) end

--- The whole archive; more may be added later.
---@return string
function shard:bytes() end

---@return integer samples, integer files
function shard:count() end

--- Starts again with nothing in it.
function shard:clear() end

--- Gives its memory back. May be repeated.
function shard:close() end

return M
