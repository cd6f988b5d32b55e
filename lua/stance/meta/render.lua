---@meta render
--- Views of a body: pictures and labels from any cameras, drawn in batches on pool threads.
---
---     for view in render.ring(body, { angles = 8, size = { 512, 512 } }) do
---       keep(view.name .. ".png", view:png())
---       keep(view.name .. ".json", view:labels())
---     end
---
--- Nothing is drawn before it is asked for; then a whole batch is, in one go. The pictures of a batch are freed when
--- the next one is drawn; a view that is asked again later is drawn again and comes out the same. Metrics:
--- render_views_total, render_stage_seconds_total{stage=}.
local M = {}

--- MediaPipe's 33 landmark names in order.
---@type string[]
M.landmarks = {}

--- The skeletons of runtime/media/keypoints.h: the names of their keypoints, and of the landmarks and joints that they are.
---@type table<"mediapipe_33"|"coco_17"|"body_25"|"h36m_17"|"smpl_24", { names: string[], points: string[] }>
M.formats = {}

---@class stance.camera
---@field position number[] x, y, z in metres, world
---@field target number[] what it looks at
---@field name? string of the view; default view_1, view_2, ...
---@field fov? number vertical, degrees, 5 to 120; default 50
---@field size? integer[] width, height, 16 to 8192 pixels; default 512, 512
---@field time? number seconds in the clip; default that of all views
---@field azimuth? number degrees from the front to the body's right; for the labels
---@field distance? number metres from the ring's axis; for the labels

---@class stance.ring_options
---@field angles? integer cameras at equal steps, 1 to 360; default 8
---@field distance? number metres from the body's axis; default 3.5. Grows in steps of 5 % while the largest box of any
--- pose of the clip would not be whole in a picture with 3 % of its sides free.
---@field height? number metres over the ground; default 1.6
---@field fov? number vertical, degrees; default 50
---@field size? integer[] width, height in pixels; default 512, 512
---@field clip? string|integer name, number from 1 on, "rest" or 0 for the rest pose. Default: the shortest name with
--- "idle" in it, else "stand", else "walk", else the first clip
---@field time? number seconds in the clip; default 0
---@field samples? integer a pixel: 1, 4, 8 or 16; default 4
---@field batch? integer views drawn at once, up to 64; default 4
---@field backend? string "auto" (default), "cpu" or "cuda"

---@class stance.views_options
---@field cameras stance.camera[] 1 to 4096
---@field clip? string|integer as for a ring
---@field time? number
---@field samples? integer
---@field batch? integer
---@field backend? string

---@class stance.views_timings CPU seconds by stage
---@field skin number
---@field shadow number
---@field raster number
---@field shade number
---@field label number
---@field encode number
---@field views integer how many were drawn

---@class stance.views
local views = {}

---@class stance.view
---@field name string "front", "front_right", ... for a ring of 8; "view_045" by the degrees otherwise
---@field index integer from 1
---@field azimuth number degrees; NaN when the camera is of no ring
---@field distance number metres
---@field time number seconds
---@field width integer
---@field height integer
local view = {}

--- The views of a ring of cameras around a body, for a `for` loop. Waits; raises what render.cameras or render.views
--- fail with.
---@param body stance.body
---@param options? stance.ring_options
---@return fun(views: stance.views, view?: stance.view): stance.view|nil, stance.views
function M.ring(body, options) end

--- Where the cameras of a ring stand. The first is before the body; the next ones go round to its right hand. All aim
--- at the centre of the body's box at that time. Waits. Errors: `not_found` (no such clip), `invalid`.
---@param body stance.body
---@param options? stance.ring_options
---@return stance.camera[]|nil, table|nil err
function M.cameras(body, options) end

--- Views from any cameras. Errors: `not_found` (no such clip), `invalid`.
---@param body stance.body
---@param options stance.views_options
---@return stance.views|nil, table|nil err
function M.views(body, options) end

---@return integer
function views:count() end

--- All views in order, for a `for` loop.
---@return fun(views: stance.views, view?: stance.view): stance.view|nil, stance.views
function views:each() end

---@param index integer
---@return stance.view
function views:view(index) end

--- The name of the clip that is shown; nil for the rest pose.
---@return string|nil
function views:clip() end

--- CPU seconds that these views took so far, by stage, and how many were drawn.
---@return stance.views_timings
function views:timings() end

--- The picture as a PNG file. Waits.
---@return string|nil, table|nil err
function view:png() end

--- What is known of the view, as JSON: schema "stance.view" version 2, told in runtime/media/labels.h. Waits.
---@param names? { image?: string, character?: string } what the labels call them; default NAME.png, the body's name
---@return string|nil, table|nil err
function view:labels(names) end

--- The picture as bytes, 3 a pixel, rows from the top. Waits.
---@return string|nil, table|nil err
function view:rgb() end

--- The distance along the camera's axis as float32 a pixel, metres; infinity where no body is. Waits.
---@return string|nil, table|nil err
function view:depth() end

return M
