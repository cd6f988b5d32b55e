---@meta motion
--- How people move: clips of BVH, Acclaim (AMC with ASF), FBX, glTF, GLB, VRM and VRMA files, played by any body.
---
---     local walk = assert(motion.open("walk.bvh"))
---     local steps = assert(walk:bind(body, { in_place = true }))
---     print(steps:seconds(), steps:report().planted)
---
--- Limbs of the body point where the motion's limbs point, whatever the proportions; the path is scaled by the length of
--- the legs; planted feet stay where they are (retarget/tuning.lua).
local M = {}

---@class stance.motion
local motion = {}

---@class stance.bound_motion
local bound = {}

---@class stance.motion_clip
---@field name string
---@field seconds number
---@field rate number frames a second

---@class stance.motion_options
---@field clip? string|integer a clip's name, or its number from 1 (the default)
---@field speed? number 1; 2 is twice as fast
---@field root_scale? number 1; of the way over the ground, times what the length of the legs says
---@field in_place? boolean the way over the ground is taken out
---@field mirror? boolean left and right exchanged
---@field front? boolean turned so that the first frame faces +z
---@field feet? boolean whether planted feet are held; true
---@field tuning? { feet: table<string, number|boolean> } in the place of numbers of retarget/tuning.lua

---@class stance.motion_report
---@field scale number metres on the body a unit of the motion
---@field floor number the height of the motion's ankles when they stand, metres on the body
---@field planted number share of the time that a foot is planted, the mean of both
---@field sunk number metres that the hips were lowered at most so that feet reach the floor
---@field bones integer joints of the body that have turns of their own
---@field skipped string[] human bones that the body has and the motion has not

--- Opens a file of motions. "FILE#CLIP" has this clip alone. An AMC file's skeleton is looked for beside it
--- (walk_01.amc: walk_01.asf or walk.asf) when it is not named. Waits. Errors: `not_found`, `io`, `too_large`,
--- `unsupported`, `corrupt` (with the line), `invalid` (no human skeleton).
---@param path string
---@param options? { skeleton?: string } the path of an ASF file
---@return stance.motion|nil, table|nil err
function M.open(path, options) end

--- The same of a file's bytes. Waits.
---@param bytes string
---@param name string what the file is called
---@param options? { skeleton?: string } the bytes of an ASF file
---@return stance.motion|nil, table|nil err
function M.open_bytes(bytes, name, options) end

--- The clips of an open body, for others to play. Errors: `invalid` (it has none).
---@param body stance.body
---@return stance.motion|nil, table|nil err
function M.of(body) end

--- The file's name without folder and ending.
---@return string
function motion:name() end

---@return "bvh"|"acclaim"|"fbx"|"gltf"|"glb"|"vrm0"|"vrm1"
function motion:format() end

---@return stance.motion_clip[]
function motion:clips() end

--- Which joint is which bone (VRM 1.0's names): { hips = "Hips", leftUpperLeg = "LeftUpLeg", ... }.
---@return table<string, string>
function motion:bones() end

--- Computes a clip for a body. Waits. Errors: `not_found` (no such clip), `invalid` (numbers out of range, or the body
--- lacks limbs), `too_large`.
---@param body stance.body
---@param options? stance.motion_options
---@return stance.bound_motion|nil, table|nil err
function motion:bind(body, options) end

--- Gives the motion back; what was bound stays good. May be repeated.
function motion:close() end

--- "walk", or "moves#walk" of a file with clips of other names.
---@return string
function bound:name() end

---@return number
function bound:seconds() end

--- Frames a second.
---@return number
function bound:rate() end

---@return stance.motion_report
function bound:report() end

--- Whether a foot rests on the floor.
---@param side "left"|"right"
---@param time number seconds
---@return boolean
function bound:planted(side, time) end

--- The box around the body over the whole motion. Waits.
---@return stance.box|nil, table|nil err
function bound:box() end

--- Gives it back; views that play it stay good. May be repeated.
function bound:close() end

return M
