--- label_arrays.lua - labels as arrays for NumPy: of a data set's keypoints, and of a view's maps; optical flow as Middlebury's .flo.
local npy = require "npy"
local labels = require "stance.labels"

local M = {}

--- Begins the arrays of a data set: `keypoints_2d.npy` (x, y in pixels, metres from the camera's plane, visibility) and
--- `keypoints_3d.npy` (world metres, visibility), each float32 of the shape views x people x keypoints x 4, NaN where there is nobody
--- (labels.row); `views.txt` names the pictures in their order, `keypoints.txt` the keypoints.
---@param format string a skeleton, as for labels.select
---@param people integer at most so many in a view; who is beyond them is left out
---@return { add: fun(view: table): (true|nil, table|nil), finish: fun(): table<string, string> } files by name
function M.keypoints(format, people)
  local shape, names = { people, #labels.formats[format].points, 4 }, {}
  local flat, solid = npy.new(shape), npy.new(shape)
  return {
    add = function(view)
      local ok, why = flat:append(labels.row(view, format, "image", people))
      if ok then ok, why = solid:append(labels.row(view, format, "world", people)) end
      if not ok then return nil, why end
      names[#names + 1] = view.image.file
      return true
    end,
    finish = function()
      return { ["keypoints_2d.npy"] = flat:bytes(), ["keypoints_3d.npy"] = solid:bytes(),
        ["views.txt"] = table.concat(names, "\n") .. "\n",
        ["keypoints.txt"] = table.concat(labels.formats[format].names, "\n") .. "\n" }
    end,
  }
end

local function shape_text(shape)
  local out = {}
  for i, length in ipairs(shape) do out[i] = ("%d"):format(length) end
  return "(" .. table.concat(out, ", ") .. (#out == 1 and ",)" or ")")
end

--- A map of a view (view:map) as a .npy file, version 1.0.
---@param bytes string
---@param info { dtype: string, shape: integer[] } as view:map tells
---@return string
function M.npy(bytes, info)
  local head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }"):format(info.dtype, shape_text(info.shape))
  head = head .. (" "):rep(-(#head + 11) % 64) .. "\n"
  return "\147NUMPY\1\0" .. string.char(#head % 256, math.floor(#head / 256)) .. head .. bytes
end

local function little(value)
  return string.char(value % 256, math.floor(value / 256) % 256, math.floor(value / 65536) % 256, math.floor(value / 16777216) % 256)
end

--- Optical flow (view:map "flow") as a .flo file: what is not known, NaN, becomes 1e10, as Middlebury's readers expect. Costs about
--- a millisecond for each ten thousand pixels.
---@param bytes string float32 pairs
---@param width integer
---@param height integer
---@return string
function M.flo(bytes, width, height)
  local unknown, parts = "\249\2\21\80", {} -- 1e10 as a little-endian float
  for i = 1, #bytes, 4 do
    -- NaNs of any kind: all bits of the exponent set, and some of the fraction.
    local b3, b4 = bytes:byte(i + 2, i + 3)
    local special = b4 % 128 == 127 and b3 >= 128
    parts[#parts + 1] = (special and bytes:sub(i, i + 3) ~= "\0\0\128\127" and bytes:sub(i, i + 3) ~= "\0\0\128\255") and unknown
      or bytes:sub(i, i + 3)
  end
  return "PIEH" .. little(width) .. little(height) .. table.concat(parts)
end

return M
