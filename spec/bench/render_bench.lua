--- render_bench.lua - what a labelled view of 512 x 512 pixels costs, by stage, for each character there is.
---
---     build/stance-spec --script spec/bench/render_bench.lua
---
--- Takes the mannequin and the files of $STANCE_ASSETS/characters. Prints a table of CPU milliseconds a view, the best of
--- several rounds (import: wall milliseconds, once), and writes build/bench/render.json.
local json, render, scene, time = require "json", require "render", require "scene", require "time"

local rounds, angles = 5, 8
local stages = { "skin", "shadow", "raster", "shade", "label", "encode" }

local function characters()
  local files = { "mannequin" }
  local root = os.getenv "STANCE_ASSETS"
  local list = root and io.popen(("ls -1 '%s/characters' 2>/dev/null"):format(root))
  for name in list and list:lines() or function() end do files[#files + 1] = root .. "/characters/" .. name end
  if list then list:close() end
  return files
end

local function measure(file)
  local began = time.monotonic()
  local body = assert(scene.open(file))
  local row = { name = file:match "[^/]*$", triangles = body:triangles(), import = (time.monotonic() - began) * 1000 }
  began = time.monotonic()
  local cameras = assert(render.cameras(body, { angles = angles }))
  row.place = (time.monotonic() - began) * 1000
  for _ = 1, rounds do
    local views = assert(render.views(body, { cameras = cameras, batch = angles }))
    local bytes = 0
    for view in views:each() do
      bytes = bytes + #assert(view:png())
      assert(view:labels())
    end
    local spent, sum = views:timings(), 0
    for _, stage in ipairs(stages) do sum = sum + spent[stage] * 1000 / angles end
    if not row.sum or sum < row.sum then
      for _, stage in ipairs(stages) do row[stage] = spent[stage] * 1000 / angles end
      row.sum, row.png_kib = sum, bytes / angles / 1024
    end
  end
  body:close()
  return row
end

local head = ("%-30s %9s %7s %6s"):format("", "triangles", "import", "place")
for _, stage in ipairs(stages) do head = head .. (" %7s"):format(stage) end
print(("CPU ms a view of 512 x 512, 4 samples a pixel, batches of %d\n%s %7s %7s"):format(angles, head, "sum", "PNG KiB"))
local rows = {}
for i, file in ipairs(characters()) do
  local row = measure(file)
  rows[i] = row
  local line = ("%-30s %9d %7.1f %6.1f"):format(row.name, row.triangles, row.import, row.place)
  for _, stage in ipairs(stages) do line = line .. (" %7.2f"):format(row[stage]) end
  print(("%s %7.2f %7.1f"):format(line, row.sum, row.png_kib))
end

os.execute "mkdir -p build/bench"
local out = assert(io.open("build/bench/render.json", "w"))
out:write(json.encode { unit = "CPU ms a view of 512 x 512; import and place: wall ms", views = angles, characters = rows }, "\n")
out:close()
