--- characters.lua - what a character is called, and which file that is.
local fs, host = require "fs", require "host"
local err = require "stance.err"

local M = {}

local endings = { "", ".glb", ".fbx", ".vrm", ".gltf" }

--- The file of a character: a path stays one; a bare name is "mannequin", the built-in one, or is looked up in the folder
--- `characters_dir` of the configuration, with or without its ending.
---@param name string
---@return string|nil path_or_builtin, table|nil err
function M.find(name)
  if name == "mannequin" or name:find("/", 1, true) then return name end
  local folder = host.config "characters_dir"
  for _, ending in ipairs(endings) do
    local path = ("%s/%s%s"):format(folder, name, ending)
    local found = fs.stat(path)
    if found and found.kind == "file" then return path end
  end
  return nil, err("not_found", "there is no character '%s': give a file's path, a name of a file in %s, or mannequin", name, folder)
end

return M
