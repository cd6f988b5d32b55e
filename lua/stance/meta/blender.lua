---@meta blender
--- Views drawn by Blender, as another engine for the same pictures: EEVEE, Cycles or Workbench, in a confined child
--- process (runtime/media/blender.h). Labels come from the views themselves, and fit: what Blender cannot show as we
--- do is refused.
---
---     local run, err = blender.open(views, { engine = "eevee", samples = 16, files = { "/data/walk.fbx" } })
---     if not run then return nil, err end
---     while true do
---       local index, png = run:next()
---       if not index then err = png break end
---       keep(views:view(index).name .. ".png", png)
---     end
---     run:close()
---
--- lua/stance/blender_views.lua does this.
local M = {}

---@class stance.blender_options
---@field files (string|table)[] where each body of the views came from: a path, or `{ glb = bytes }`
---@field engine? string "eevee" (default), "cycles" or "workbench"
---@field samples? integer a pixel, 1 to 4096; default 16. Workbench takes the nearest of 5, 8, 11, 16, 32 below
---@field transparent? boolean no ground and no sky, but the people's coverage as alpha
---@field seed? integer of Cycles' noise
---@field threads? integer default: one a core
---@field timeout? number seconds that may pass until the next picture; default 300
---@field memory? number bytes that Blender may take; default 8 GiB
---@field folder? string where its files lie while it runs; default $TMPDIR or /tmp
---@field program? string Blender's path or name; default: the setting `blender`

---@class stance.blender_run
local run = {}

--- The path of Blender's program. Error: `unsupported` (there is none; the message says what to do).
---@param options? { program?: string }
---@return string|nil, table|nil err
function M.find(options) end

--- Starts Blender on all these views. Waits. Errors: `unsupported` (no Blender), `not_found` (a file), `invalid`,
--- `no_space`.
---@param views stance.views
---@param options stance.blender_options
---@return stance.blender_run|nil, table|nil err
function M.open(views, options) end

--- The number of the next view and its picture, a PNG; nil after the last one; nil and an error. Waits. Errors:
--- `unsupported` (Blender cannot read a file, or shows another body than we do), `upstream` (Blender failed or was
--- killed; with its last words), `timeout`, `no_space`, `cancelled` (closed meanwhile).
---@return integer|nil index, string|table|nil png_or_err
function run:next() end

--- Blender's version, "3.4.1", once the first picture is there.
---@return string
function run:version() end

--- Ends Blender and removes its files. May be repeated.
function run:close() end

return M
