---@meta scene
--- Bodies: characters from FBX, glTF, GLB and VRM files (told by their contents, not by their names), and the built-in
--- mannequin. Whatever a file uses, a body is in metres, upright, facing +z, its left at +x, standing on y = 0.
---
---     local body, err = scene.open("walker.fbx")
---     if not body then return nil, err end
---     for _, clip in ipairs(body:clips()) do print(clip.name, clip.seconds) end
---     body:close()
local M = {}

---@class stance.body
local body = {}

---@class stance.scene_options
--- Without a stature the file's size is kept where it is a human one (0.3 to 2.4 m), and mended where it is not.
---@field stature? number metres, 0.1 to 10: scale the body to this

---@class stance.mannequin_options
---@field stature? number metres, 0.3 to 3; default 1.75
---@field seed? integer of the wood's grain
---@field detail? 1|2|3 coarse, usual, fine

---@class stance.clip
---@field name string
---@field seconds number
---@field rate number keys a second

---@class stance.joint
---@field name string
---@field parent? integer the number of the joint above it; none: a root

---@class stance.box
---@field min number[] x, y, z, metres
---@field max number[]

---@class stance.scene_report
---@field format "fbx"|"gltf"|"glb"|"vrm0"|"vrm1"
---@field rig string how the skeleton was understood: the name of a table of retarget/rigs/ ("mixamo", ...), "vrm" (the file
---told), "names" (by words of retarget/rigs/words.lua), "shape"
---@field bones { bone: string, joint: string, how: "file"|"table"|"words"|"shape" }[] VRM 1.0's bones, their joints, and what
---told them. `require "retarget.rigs".describe(report)` makes lines of them
---@field missing string[] bones that a human must have by VRM 1.0, and this one has not
---@field file_stature number metres, if the file's units are taken at their word
---@field stature number metres
---@field scale number by which the file's size was multiplied
---@field turned boolean whether the body lay or faced another way and was turned
---@field lifted number metres that the clips were moved up to stand on the ground
---@field landmarks integer how many of MediaPipe's 33 were found
---@field textures integer how many pictures were read
---@field seconds number that the import took
---@field warnings string[] what is missing or was changed

--- Opens a body, which a confined process of its own reads (settings scene_memory, scene_timeout; metrics
--- scene_imports_total{outcome=}, scene_import_seconds). The path "mannequin" is the built-in one. Textures are looked
--- for in the file's folder and below, nowhere else. Waits. Errors: `not_found`, `io`, `too_large`, `unsupported` (no
--- format that is read), `corrupt` (or it brought the importer down), `invalid` (no mesh, no human skeleton), `timeout`,
--- `no_memory`.
---@param path string
---@param options? stance.scene_options|stance.mannequin_options
---@return stance.body|nil, table|nil err
function M.open(path, options) end

--- The same for a file in memory; its textures must be inside it. Waits.
---@param bytes string
---@param name string what it is called, in messages and labels
---@param options? stance.scene_options
---@return stance.body|nil, table|nil err
function M.open_bytes(bytes, name, options) end

--- The built-in mannequin as a GLB file. The same options give the same bytes. Waits.
---@param options? stance.mannequin_options
---@return string|nil glb, table|nil err
function M.mannequin(options) end

--- The file's name without folder and ending.
---@return string
function body:name() end

---@return stance.clip[]
function body:clips() end

---@return stance.joint[]
function body:joints() end

--- Which of MediaPipe's 33 landmarks were found, by name.
---@return table<string, boolean>
function body:landmarks() end

---@return stance.scene_report
function body:report() end

---@return integer
function body:triangles() end

---@return integer
function body:vertices() end

--- The box around the body over all frames of a clip (a name, or a number from 1), or in its rest pose. Waits.
--- Errors: `not_found` (no such clip).
---@param options? { clip?: string|integer }
---@return stance.box|nil, table|nil err
function body:box(options) end

--- Gives the body back; views that were made of it stay good. May be repeated.
function body:close() end

return M
