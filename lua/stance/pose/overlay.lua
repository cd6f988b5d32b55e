--- overlay.lua - pictures with the people that were found in them (image:draw_pose).
local image = require "image"

local M = {}

--- The file of a picture with the people on it, as PNG. Waits.
---@param bytes string JPEG, PNG or WebP
---@param people pose.Person[]
---@return string|nil png, table|nil err
function M.of_file(bytes, people)
  local picture, why = image.decode(bytes, { upright = true, whole = true })
  if not picture then return nil, why end
  local png
  png, why = picture:draw_pose(people):png(1)
  picture:close()
  return png, why
end

return M
