--- pose_frame_bench.lua - what a frame of a followed stream costs, from JPEG to landmarks, for each model.
---
---     build/stance-spec --script spec/bench/pose_frame_bench.lua
---
--- Needs the models (make models) and a photo of a person, $STANCE_ASSETS/images/tfjs_pose.jpg. Prints a table of CPU
--- milliseconds a frame of 1280 x 720 on one thread, medians, and writes build/bench/pose_frame.json.
local json = require "json"
local peers = require "spec.bench.peers"

local photo = (os.getenv "STANCE_ASSETS" or "") .. "/images/tfjs_pose.jpg"
local file = io.open(photo)
if not file then return print "pose: skipped, set STANCE_ASSETS to a folder with images/tfjs_pose.jpg" end
file:close()

local text = peers.output(("build/bench/pose_frame '%s'"):format(photo))
local ok, result = pcall(json.decode, text)
if not ok or #result.models == 0 then return print("pose: skipped, " .. text) end
print(("CPU ms a frame of %d x %d\n%-8s %-16s %7s %7s %7s %7s %7s"):format(result.width, result.height, "", "backend", "decode",
  "track", "frame", "p95", "MB"))
for _, row in ipairs(result.models) do
  print(("%-8s %-16s %7.2f %7.2f %7.2f %7.2f %7.1f"):format(row.model, row.backend, row.decode, row.track, row.frame,
    row.frame_p95, row.memory_mb))
end
os.execute "mkdir -p build/bench"
local out = assert(io.open("build/bench/pose_frame.json", "w"))
out:write(text)
out:close()
