---@meta render
--- Pictures and labels of people, from any cameras, drawn in batches on pool threads.
---
---     for view in render.ring(body, { angles = 8, size = { 512, 512 } }) do
---       keep(view.name .. ".png", view:png())
---       keep(view.name .. ".json", view:labels())
---     end
---
---     local stage = assert(render.stage {
---       actors = { { body = one, clip = "walk" }, { body = other, position = { 1, 0, 0 }, yaw = -90, person = "Ada" } },
---       look = { sun = { elevation = 20, strength = 1.5 }, ground = { color = "#6b7a5e" }, jpeg = 80 },
---     })
---     for view in render.views(stage, { cameras = cameras.sphere { box = stage:box(), count = 200 } }):each() do ... end
---
--- Nothing is drawn before it is asked for; then a whole batch is, in one go, and for those who go through the views in
--- order (`each`) the next batches are, too, on other threads. Pictures are freed when nobody needs them; a view that is
--- asked again later is drawn again and comes out the same. The same numbers give the same bytes on every machine.
--- Lengths are metres, angles degrees, times seconds of the stage (of a body: of its clip). Cameras: stance.cameras.
--- Metrics: render_views_total, render_stage_seconds_total{stage=}.
local M = {}

--- MediaPipe's 33 landmark names in order.
---@type string[]
M.landmarks = {}

--- The skeletons of runtime/media/keypoints.h: the names of their keypoints, and of the landmarks and joints that they are.
---@type table<"mediapipe_33"|"coco_17"|"body_25"|"h36m_17"|"smpl_24", { names: string[], points: string[] }>
M.formats = {}

--- A place with a direction, or a matrix with pixels: one of the two is needed.
---@class stance.camera
---@field position? number[] x, y, z in metres, world
---@field target? number[] what it looks at
---@field camera_from_world? number[][] three or four rows of four: x right, y down, z forward; instead of both
---@field name? string of the view; default view_1, view_2, ...
---@field fov? number vertical, degrees, 5 to 120; default 50
---@field focal? number millimetres, instead of `fov`
---@field sensor? number width of the sensor, millimetres; default 36
---@field fx? number focal length in pixels, instead of both; likewise `fy`, and the middle `cx`, `cy`
---@field fy? number default as fx
---@field cx? number
---@field cy? number
---@field lens? stance.lens
---@field next? stance.camera where it is one frame later, for flow and motion blur; default: it stands still
---@field roll? number degrees by which the picture's contents are turned to the left; default 0
---@field size? integer[] width, height, 16 to 8192 pixels; default 512, 512
---@field time? number seconds; default that of all views
---@field number? integer which of all views it is, where not its place in the list: chance follows it
---@field azimuth? number degrees from the front to the body's right; for the labels
---@field distance? number metres from the ring's axis; for the labels

---@class stance.lens
---@field distortion? number[] k1, k2, p1, p2, k3 of Brown and Conrady, as OpenCV has them
---@field f_number? number of the aperture: what is out of focus is blurred; default: everything is sharp
---@field aperture? number its diameter in millimetres, instead
---@field focus? number metres along the axis that are sharp; default as far as the target

---@class stance.ring_options: stance.draw_options
---@field angles? integer cameras at equal steps, 1 to 360; default 8
---@field distance? number metres from the people's axis; default 3.5. Grows in steps of 5 % while their largest box at any
--- time would not be whole in a picture with 3 % of its sides free.
---@field height? number metres over the ground; default 1.6
---@field fov? number vertical, degrees; default 50; or `focal` and `sensor`, as for a camera
---@field focal? number
---@field sensor? number
---@field size? integer[] width, height in pixels; default 512, 512

---@class stance.draw_options
---@field clip? string|integer of a body: name, number from 1 on, "rest" or 0 for the rest pose. Default: the shortest name
--- with "idle" in it, else "stand", else "walk", else the first clip. The actors of a stage have their own.
---@field look? stance.look_options|stance.look of a body; a stage has its own
---@field fps? number of a body: frames a second; default those of its clip
---@field time? number seconds, where a camera tells none; default 0
---@field samples? integer a pixel: 1, 4, 8, 16, 32 or 64; default 4
---@field shutter? number 0 to 1 of the time to the next frame that the shutter is open: motion blur; default 0
---@field batch? integer views drawn at once, up to 64; default 4
---@field parallel? integer batches drawn at the same time; default the machine's cores
---@field backend? string "auto" (default), "cpu" or "cuda"
---@field maps? stance.map_name[] what view:map is to give besides depth, person and part
---@field picture? boolean false: labels and maps only, which costs less

---@class stance.views_options: stance.draw_options
---@field cameras stance.camera[]|stance.camera_set of more than 4096, and of sets, only a part is held at a time

---@alias stance.map_name "depth"|"person"|"part"|"cover"|"triangle"|"coverage"|"normal"|"flow"

---@class stance.actor
---@field body stance.body
---@field clip? string|integer as for a ring
---@field motion? stance.bound_motion of motion:bind for this body, instead of a clip
---@field time? number seconds in the clip when the stage begins; default 0
---@field speed? number seconds of the clip a second of the stage, -100 to 100; default 1
---@field loop? boolean begin again at the end; default false: stand there
---@field position? number[] where its origin stands, metres; default 0, 0, 0
---@field yaw? number degrees that it is turned to its left; default 0: it faces +z
---@field morphs? table<string, number> weights that are added to those of the clip, by name
---@field skinning? "linear"|"dual_quaternion" default linear
---@field person? string who it is, for labels; default the body's name

---@class stance.stage_options
---@field actors stance.actor[] at most 64; none: an empty stage
---@field look? stance.look_options|stance.look
---@field fps? number frames a second, for what compares with the next frame; default that of the quickest clip

---@alias stance.color string|number[] "#rrggbb" in sRGB, or three numbers, linear

---@class stance.look.sun
---@field elevation? number degrees over the horizon
---@field azimuth? number degrees from the front to a body's right
---@field strength? number 1: white that faces it becomes white by it alone
---@field color? stance.color
---@field softness? number metres of penumbra

---@class stance.look.sky
---@field color? stance.color light from above
---@field bounce? stance.color light from below
---@field strength? number factor of both
---@field top? stance.color the background's gradient
---@field bottom? stance.color

---@class stance.look.light
---@field position number[] x, y, z, metres
---@field strength? number 1: white a metre away becomes white by it alone; default 1
---@field color? stance.color default white
---@field radius? number metres of its size; default 0.05
---@field spot? { target?: number[], direction?: number[], angle?: number, blend?: number } the cone's whole angle, default
--- 45, and the share of it that fades, default 0.2

---@class stance.look.environment
---@field file string Radiance (.hdr), PNG, JPEG or WebP, equirectangular
---@field turn? number degrees about the vertical; at 0 its middle stands at +x, the left of a body
---@field strength? number factor; default 1
---@field visible? boolean behind everything; default true

--- What is missing is as in the daylight studio; `false` takes it out.
---@class stance.look_options
---@field sun? false|stance.look.sun
---@field sky? false|stance.look.sky
---@field ground? false|{ color?: stance.color, height?: number }
---@field lights? stance.look.light[] at most 8, without shadows
---@field environment? string|stance.look.environment light from all around, instead of the sky
---@field background? string a picture behind everything, cropped to cover
---@field occlusion? number 0 to 1: how much of the sky bodies hide from themselves, in armpits and under chins; default 0.6
---@field exposure? number factor; default 1
---@field tone? "soft"|"filmic"|"none" how light becomes brightness; default soft
---@field sensor? { noise?: number, read_noise?: number, seed?: integer } standard deviations at full scale: the light's own
--- noise, and what is there in the dark, default a quarter of it
---@field jpeg? number quality 1 to 100 of a JPEG that pictures go through

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
---@field index integer from 1, its camera's number
---@field azimuth number degrees; NaN when the camera is of no ring
---@field distance number metres
---@field time number seconds
---@field width integer
---@field height integer
local view = {}

--- The views of a ring of cameras around a body, for a `for` loop. Waits; raises what render.cameras or render.views
--- fail with.
---@param who stance.body|stance.stage
---@param options? stance.ring_options
---@return fun(views: stance.views, view?: stance.view): stance.view|nil, stance.views
function M.ring(who, options) end

--- Where the cameras of a ring stand. The first is at the front; the next ones go round to a body's right hand. All aim at
--- the centre of the people's box at that time. Waits. Errors: `not_found` (no such clip), `invalid`.
---@param who stance.body|stance.stage
---@param options? stance.ring_options
---@return stance.camera[]|nil, table|nil err
function M.cameras(who, options) end

--- Views from any cameras. Waits where a look has to be made. Errors: `not_found` (no such clip), `invalid`, which names
--- the field.
---@param who stance.body|stance.stage
---@param options stance.views_options
---@return stance.views|stance.view_stream|nil, table|nil err
function M.views(who, options) end

---@class stance.stage
local stage = {}

--- People with their movements, under one look. Waits. Errors: `invalid`, which names the field; `not_found` (no such clip).
---@param options stance.stage_options
---@return stance.stage|nil, table|nil err
function M.stage(options) end

---@class stance.look
local look = {}

--- A look that several stages share. Waits. Errors: as of a stage.
---@param options stance.look_options
---@return stance.look|nil, table|nil err
function M.look(options) end

--- A look by chance, the same for the same seed on any machine: stance.looks.
---@param seed integer
---@param ranges? stance.look_ranges
---@return stance.look_options
function M.random_look(seed, ranges) end

--- Who is on it.
---@return { person: string, character: string, clip?: string, position: number[], yaw: number }[]
function stage:actors() end

--- How long it takes until all of each clip was shown; 0 where nobody moves.
---@return number
function stage:seconds() end

--- Frames a second.
---@return number
function stage:fps() end

--- Where a landmark ("nose"), a bone ("leftHand", VRM's names) or a joint of an actor is. Errors: `not_found`.
---@param name string
---@param time? number default 0
---@param actor? integer default 1
---@return number[]|nil, table|nil err
function stage:point(name, time, actor) end

--- The box around all actors, or one, over all frames of the stage (at most 240 evenly spread ones), or at one time. Each
--- side is moved out from the middle by the padding, a factor. Waits.
---@param options? { actor?: integer, padding?: number, time?: number }
---@return stance.box|nil, table|nil err
function stage:box(options) end

--- Gives the stage back; views that were made of it stay good. May be repeated.
function stage:close() end

---@return integer
function views:count() end

--- All views in order, for a `for` loop.
---@return fun(views: stance.views, view?: stance.view): stance.view|nil, stance.views
function views:each() end

--- One of them. With `follow` the next ones will be asked for soon, as in a loop.
---@param index integer
---@param follow? boolean
---@return stance.view
function views:view(index, follow) end

--- Begins to draw the first ones, for a loop that will come.
function views:begin() end

--- Frees the pictures that nobody waits for; they would be drawn again.
function views:close() end

--- The name of the clip that is shown; nil for the rest pose.
---@return string|nil
function views:clip() end

--- CPU seconds that these views took so far, by stage, and how many were drawn.
---@return stance.views_timings
function views:timings() end

--- The picture as a PNG file; level 0 (the default: quick, for what is drawn) or libdeflate's 1 to 12. Waits.
---@param options? number|{ level?: integer }
---@return string|nil, table|nil err
function view:png(options) end

--- The picture as a WebP file; quality 0 to 100, default 90, or lossless. Waits.
---@param options? number|{ quality?: number, lossless?: boolean }
---@return string|nil, table|nil err
function view:webp(options) end

--- What is known of the view, as JSON: schema "stance.view" version 2, told in runtime/media/labels.h. Waits.
---@param names? { image?: string, character?: string } what the labels call them; default NAME.png, the body's name
---@return string|nil, table|nil err
function view:labels(names) end

--- The picture as a JPEG file; quality 1 to 100, default 92. Waits.
---@param options? number|{ quality?: number }
---@return string|nil, table|nil err
function view:jpeg(options) end

--- The picture to draw on: of the module `image`. Waits.
---@return stance.image|nil, table|nil err
function view:image() end

--- The camera, as render.views takes it.
---@return stance.camera
function view:camera() end

--- What is known of each pixel, rows from the top: the distance along the camera's axis in metres (infinity: nobody), who
--- it is (1: the first actor; 0: nobody), which part of the body and which cover (their numbers: media/scene.h), the
--- triangle (from 1), the share of the pixel that people cover, the surface's normal in camera space (0 0 0: nobody), how many
--- pixels right and down the point is one frame later (not a number: nobody). With it how the bytes are to be read. All but depth,
--- person and part must be named in the options' `maps`. Waits.
---@param name stance.map_name
---@return string|nil bytes, { dtype: string, shape: integer[] }|table info or err
function view:map(name) end

--- The picture as bytes, 3 a pixel, rows from the top. Waits.
---@return string|nil, table|nil err
function view:rgb() end

--- The distance along the camera's axis as float32 a pixel, metres; infinity where no body is. Waits.
---@return string|nil, table|nil err
function view:depth() end

return M
