--- new.lua - `stance new`: first versions of scripts that work at once, each with its spec and the editor's set-up.
local fs, host, json = require "fs", require "host", require "json"
local err, templates = require "stance.err", require "stance.new.templates"

local M = {}

---@class stance.new.request
---@field kind "workflow"|"route"|"policy"|"doctor"|"test"
---@field name string
---@field force boolean replace files, and lay a script over a shipped one
---@field show boolean write nothing
---@field flag string what commands need to find the workspace: "" or " --workspace DIR"
---@field lua_dir string where the types are that editors read

local folders = { workflow = "workflows", route = "api", policy = "policies", doctor = "doctor" }

local function check_name(kind, name)
  local pattern = kind == "test" and "^[%l%d][%l%d_/-]*$" or "^%l[%l%d_-]*$"
  if #name > 64 or not name:match(pattern) or name:find "//" or name:sub(-1) == "/" then
    error(err("invalid", "'%s' is no name for a %s: 1 to 64 lower-case letters, digits, _ and -, a letter first%s", name:sub(1, 80), kind,
      kind == "test" and "; folders with /" or ""), 0)
  end
end

--- A policy is read by name: only those that are shipped are looked at by anybody.
local function check_policy(name)
  local names = {}
  for _, script in ipairs(host.scripts()) do
    local known = script.path:match "^policies/(.*)%.lua$"
    if known == name then return end
    names[#names + 1] = known
  end
  error(err("not_found", "nothing asks for a policy '%s'; there are: %s", name, table.concat(names, ", ")), 0)
end

--- Files of the workspace as { path, text }, the script first.
local function make_files(request)
  local kind, name = request.kind, request.name
  if kind == "test" then return { { "spec/" .. name .. "_spec.lua", templates.fill("test", name) } } end
  local path = folders[kind] .. "/" .. name .. ".lua"
  local text = templates.fill(kind, name)
  if kind == "policy" then
    check_policy(name)
    text = host.script(path)
  end
  local files = { { path, text } }
  local spec = templates.fill(kind .. "_spec", name)
  if spec then files[2] = { "spec/" .. path:gsub("%.lua$", "_spec.lua"), spec } end
  return files
end

local function is_there(path) return fs.stat("workspace:" .. path) ~= nil end

--- Refuses what would replace something, unless that is wanted.
local function check_free(request, files)
  if request.force then return end
  for _, file in ipairs(files) do
    if is_there(file[1]) then error(err("exists", "%s is there already; --force replaces it", file[1]), 0) end
  end
  local shipped = host.script(files[1][1])
  if shipped and request.kind ~= "policy" then
    error(err("exists", "stance has a %s '%s' of its own, whose place yours would take: another name, or --force", request.kind,
      request.name), 0)
  end
end

local function write(file)
  local path = file[1]
  local folder = path:match "^(.*)/[^/]*$"
  if folder then assert(fs.mkdir("workspace:" .. folder)) end
  assert(fs.write("workspace:" .. path, file[2]))
  return path
end

--- The editor's and the linter's settings are written once, and then the workspace's own.
local function write_settings(request, written)
  local luarc = templates.luarc:gsub("LUA_DIR", (json.encode(request.lua_dir):gsub("%%", "%%%%")))
  local settings = { { ".luarc.json", luarc }, { ".luacheckrc", templates.luacheckrc } }
  for _, file in ipairs(settings) do
    if not is_there(file[1]) then written[#written + 1] = write(file) end
  end
end

--- Makes the files of a new script.
---@param request stance.new.request
---@return { written: string[], hint: string, text: string|nil } text: with `show`, the script
function M.make(request)
  check_name(request.kind, request.name)
  local files = make_files(request)
  if request.show then return { text = files[1][2] } end
  check_free(request, files)
  local written = {}
  for _, file in ipairs(files) do written[#written + 1] = write(file) end
  write_settings(request, written)
  return { written = written, hint = templates.hint(request.kind, request.name, request.flag) }
end

return M
