---@meta pose
--- People in pictures and in streams of pictures: 33 landmarks each, by the networks of MediaPipe Pose.
---
---     local engine = assert(pose.engine { model = "full" })
---     local found = assert(engine:detect(fs.read "photo.jpg"))
---     local session = engine:track { people = 2 }
---     for i, frame in ipairs(frames) do print(#assert(session:push(frame, i / 30)).people) end
---
--- The work is done by confined processes of their own (settings pose_processes, pose_timeout, pose_idle), which start when
--- they are first needed. One that dies loses the picture it looked at (error `upstream`; `timeout` when it took too long)
--- and the memory of its sessions: their next result says `reset`. Metrics: pose_frames_total{model=, backend=, outcome=},
--- pose_seconds{stage=}.
local M = {}

---@class pose.Point
---@field x number   of a landmark: 0..1 of the picture's width; of the world: metres, right
---@field y number   0..1 of its height; metres, down
---@field z number   in units of the width, smaller is nearer, hips at 0; metres, away from the camera
---@field visibility number  0..1

---@class pose.Person
---@field id integer     stays with a person while a session follows them; from 1
---@field score number   that somebody is there, 0..1
---@field landmarks pose.Point[]  33, in MediaPipe's order (`render.landmarks` names them)
---@field world pose.Point[]      33, hips at the origin
---@field roi { x: number, y: number, size: number, rotation: number }  the square that was looked at: centre and side in
--- pixels, radians clockwise

---@class pose.Result  what pose_v1 calls it; numbers are rounded to a millionth
---@field schema "pose_v1"
---@field image { width: integer, height: integer }  pixels, upright
---@field people pose.Person[]
---@field landmarks? pose.Point[]  of the only person
---@field detected boolean  the detector looked at the whole picture
---@field seq? integer      of a session: the picture's number, from 1
---@field t_capture_ms? number  of a session: its time
---@field reset? boolean    of a session: its process was lost, so that it began anew with this picture

---@class pose.TrackOptions
---@field people? integer  at most so many, 1 to 16; default 1
---@field min_detection? number  confidence of the detector, 0..1; default 0.5
---@field min_tracking? number   confidence that a person is still there, 0..1; default 0.5
---@field smooth? boolean        filters on what is followed; default true
---@field sane_reset? boolean    all filters forget a person that was lost, which MediaPipe's do not; default false
---@field redetect? number       seconds between looks for further people; only with people > 1

---@class pose.EngineOptions : pose.TrackOptions
---@field model? "lite"|"full"|"heavy"      default "full"
---@field backend? "auto"|"cpu"|"cuda"      default "auto": the GPU where there is one

---@class pose.Engine
local engine = {}

---@class pose.Session
local session = {}

--- What looks at pictures with a model. Waits until a process is ready. Errors: `not_found` (no models; the message says
--- how to get them), `unsupported` (no such backend here), `upstream` (it cannot be started).
---@param options? pose.EngineOptions
---@return pose.Engine?
---@return stance.Error? err
function M.engine(options) end

--- Which models there are: `ready`, or what is `missing` and how to get it.
---@return { name: string, ready: boolean, missing?: string }[]
function M.models() end

--- The people in one picture, the one most certain first. Waits. Errors: `unsupported` (no picture), `corrupt`, `too_large`,
--- `busy` (too many wait), `upstream`, `timeout`.
---@param image string|stance.image  bytes of a JPEG, PNG or WebP file, or a picture
---@return pose.Result?
---@return stance.Error? err
function engine:detect(image) end

--- A stream of pictures, in which people are followed. Options that are not given are the engine's.
---@param options? pose.TrackOptions
---@return pose.Session?
---@return stance.Error? err
function engine:track(options) end

--- How the engine's model is doing: what computes, processes, open sessions, pictures that wait, bytes of memory.
---@return { model: string, backend: string, processes: integer, sessions: integer, waiting: integer, resident: number, pids: integer[] }
function engine:info() end

--- The next picture. Waits; at most 8 may be under way at once, and a pose process follows 256 sessions (both `busy`). Errors
--- as those of detect; after one the session goes on with the next picture.
---@param image string|stance.image
---@param seconds number  its time; one that does not go forward is not smoothed
---@return pose.Result?
---@return stance.Error? err
function session:push(image, seconds) end

--- Forgets what was followed. Pictures that are under way are still answered.
function session:close() end

return M
