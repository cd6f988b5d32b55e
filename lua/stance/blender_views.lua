--- blender_views.lua - views drawn by Blender, for workflows that offer it as an engine.
---
---     blender_views.check(p.blender)                                   -- before the job starts
---     blender_views.draw(views, { file }, p.blender, function(view, png) keep(view.name, png) end)
local blender, fiber, scene = require "blender", require "fiber", require "scene"
local t = require "stance.schema"

local M = {}

--- What a job may ask of Blender.
M.params = t.object {
  engine = t.enum { "eevee", "cycles", "workbench", default = "eevee", doc = "of Blender's" },
  samples = t.integer { default = 16, min = 1, max = 4096, doc = "a pixel" },
  transparent = t.boolean { default = false, doc = "nothing but the people; their coverage is alpha" },
  timeout = t.number { default = 300, min = 1, max = 86400, unit = "s", doc = "until the next picture" },
}

local passed_on = { "engine", "samples", "transparent", "timeout", "seed", "threads", "folder", "memory", "program" }

--- Whether Blender is here at all. Error: `unsupported`, with what to do.
---@return string|nil program, table|nil err
function M.check() return blender.find() end

--- The built-in body has no file: it is written as one.
local function file_of(name)
  if name ~= "mannequin" then return name end
  local bytes, err = scene.mannequin()
  if not bytes then return nil, err end
  return { glb = bytes }
end

--- Draws all views and gives each to `take` as it comes, in their order. Waits. However it ends, Blender is gone then.
---@param views stance.views
---@param files string[] the file of each body, as scene.open took it
---@param options { engine?: string, samples?: integer, transparent?: boolean, timeout?: number }
---@param take fun(view: stance.view, png: string)
---@return { version: string, views: integer }|nil, table|nil err as blender's `open` and `next`
function M.draw(views, files, options, take)
  local asked = { files = {} }
  for i, name in ipairs(files) do
    local file, why = file_of(name)
    if not file then return nil, why end
    asked.files[i] = file
  end
  for _, name in ipairs(passed_on) do asked[name] = options[name] end
  local run, err = blender.open(views, asked)
  if not run then return nil, err end
  local drawn = 0
  local ok, why = pcall(function()
    while true do
      local index, png = run:next()
      if not index then return png end
      drawn = drawn + 1
      take(views:view(index), png)
      fiber.yield()
    end
  end)
  local version = run:version()
  run:close()
  if not ok then error(why, 0) end
  if why then return nil, why end
  return { version = version, views = drawn }
end

return M
