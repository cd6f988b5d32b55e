--- closed_loop_bench.lua - how well the pose networks find the bodies that we draw, by character, view and landmark.
---
---     STANCE_ASSETS=../shared/assets build/stance-spec --script spec/bench/closed_loop_bench.lua
---
--- Takes the mannequin and the files of $STANCE_ASSETS/characters and /avatars (CLOSED_LOOP=mh_,woman: those whose names have one of
--- these in them). Prints tables and writes build/bench/closed_loop.json.
local json, pose = require "json", require "pose"
local closed_loop = require "spec.bench.closed_loop"

for _, model in ipairs(pose.models()) do
  if not model.ready then
    print("closed loop: " .. model.missing)
    return
  end
end

local function wanted(name)
  if not name:match "%.fbx$" and not name:match "%.glb$" and not name:match "%.vrm$" then return false end
  local words = os.getenv "CLOSED_LOOP"
  if not words then return true end
  for word in words:gmatch "[^,]+" do
    if name:find(word, 1, true) then return true end
  end
  return false
end

local function characters()
  local files, root = {}, os.getenv "STANCE_ASSETS"
  if not os.getenv "CLOSED_LOOP" then files[1] = "mannequin" end
  for _, folder in ipairs { "characters", "avatars" } do
    local list = root and io.popen(("cd '%s/%s' 2>/dev/null && for f in *; do echo \"$PWD/$f\"; done"):format(root, folder))
    for path in list and list:lines() or function() end do
      if wanted(path:match "[^/]*$") then files[#files + 1] = path end
    end
    if list then list:close() end
  end
  return files
end

local engine = assert(pose.engine { model = "full", people = 1 })
local results = {}
for _, file in ipairs(characters()) do
  results[#results + 1] = closed_loop.measure(engine, file)
  io.stderr:write(".")
end
io.stderr:write "\n"
print(closed_loop.text(results))

os.execute "mkdir -p build/bench"
local out = assert(io.open("build/bench/closed_loop.json", "w"))
for _, result in ipairs(results) do result.comparisons = nil end
out:write(json.encode { unit = "torsos; sums over pictures", characters = results }, "\n")
out:close()
