--- cameras.lua - where cameras stand: pure arithmetic on boxes and points, for render.views.
---
---     local box = stage:box()
---     local set = cameras.sphere { box = box, count = 200, seed = 7 }
---     for view in render.views(stage, { cameras = set }):each() do ... end
---
--- What makes several cameras gives a set: `set.count` and `set:at(i)`, which makes the i-th when it is asked for, so a
--- hundred thousand cost no memory; `set:list()` makes all. A camera is a table as render.views takes it: name, position,
--- target, fov, size and so on. Metres, degrees; y up; azimuth counts from the front (+z) to the body's right, elevation
--- from the horizon up; `fov` is vertical.
---
--- Distance: a box is framed from `bbox_diagonal / 2 / tan(fov / 2) x padding`, with fov 50 and padding 1.2 where
--- nothing else is said (fov of the picture's shorter side, for which `size` is looked at). Where `distance` is given,
--- it holds.
---
--- The names of the pipeline that this replaces, and what does their work here:
---
---     animated bounding box over all frames    stage:box() (body:box { clip = } for one body)
---     character box, its diagonal and centre   body:box(), cameras.bbox_diagonal, cameras.center
---     distance by box, padding, fov            cameras.distance
---     camera at an angle (45)                  cameras.framed { angle = 45 }
---     track constraint                         cameras.track, render's stage:track
---     views around a character (8, 3.5 m)      render.ring; cameras.ring { distance = 3.5, height = 1.6 }
---     Mixamo scale 0.01, armature of a file    nothing: bodies are in metres, and know their skeleton (scene.open)
local around, boxes, files = require "stance.cameras.around", require "stance.cameras.boxes", require "stance.cameras.files"
local moving, set = require "stance.cameras.moving", require "stance.cameras.set"

local M = {}

M.set, M.as_set = set.set, set.as_set
M.center, M.bbox_diagonal, M.union = boxes.center, boxes.bbox_diagonal, boxes.union
M.distance, M.fov, M.focal = boxes.distance, boxes.fov, boxes.focal
M.framed, M.ring, M.sphere, M.grid, M.random = around.framed, around.ring, around.sphere, around.grid, around.random
M.path, M.at_times, M.frames, M.track = moving.path, moving.at_times, moving.frames, moving.track
M.decode, M.encode, M.colmap = files.decode, files.encode, files.colmap

return M
