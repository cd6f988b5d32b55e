--- blender_bench.lua - what a picture of 512 x 512 pixels costs by Blender's engines and by ours, in one run on one machine.
---
---     BENCH_PEERS=1 build/stance-spec --script spec/bench/blender_bench.lua
---
--- The same views of the same body, as PNG files. A picture's cost is what a run of several has over a run of one; what
--- is left of that one is Blender's start and import. Then a job of up to six characters with 8 views each, from files to
--- PNGs and, of ours, labels; Blender has a process for each character. CPU seconds are the system's, of this process and
--- its children. Prints tables and writes build/bench/blender.json. Takes minutes, nearly all of them EEVEE's.
local ffi = require "ffi"
local json, render, scene, time = require "json", require "render", require "scene", require "time"
local blender_views = require "stance.blender_views"

local size, views_many, angles = { 512, 512 }, tonumber(os.getenv "BENCH_VIEWS") or 5, 8
local engines = {
  { name = "EEVEE 64", engine = "eevee", samples = 64 }, { name = "EEVEE 16", engine = "eevee", samples = 16 },
  { name = "Cycles 16", engine = "cycles", samples = 16 }, { name = "Workbench 8", engine = "workbench", samples = 8 },
}
local ours = { 4, 16, 64 }
local jobs = { engines[4], engines[2] }

if os.getenv "BENCH_PEERS" ~= "1" then
  print "blender: set BENCH_PEERS=1 to draw by Blender, which takes minutes"
  return
end
local program, missing = blender_views.check()
if not program then
  print("blender: " .. missing.message)
  return
end

ffi.cdef [[
struct bench_rusage { long user[2], system[2], rest[14]; };
int getrusage(int who, struct bench_rusage *usage);
]]

--- CPU seconds of this process and of its children that have ended.
local function cpu()
  local usage, sum = ffi.new "struct bench_rusage", 0
  for _, who in ipairs { 0, -1 } do
    assert(ffi.C.getrusage(who, usage) == 0)
    for _, part in ipairs { usage.user, usage.system } do sum = sum + tonumber(part[0]) + tonumber(part[1]) / 1e6 end
  end
  return sum
end

local function measured(work)
  local began, used = time.monotonic(), cpu()
  work()
  return { wall = time.monotonic() - began, cpu = cpu() - used }
end

local function characters()
  local root, files = os.getenv "STANCE_ASSETS", {}
  local list = root and io.popen(("ls -1 '%s/characters' 2>/dev/null"):format(root))
  for name in list and list:lines() or function() end do files[#files + 1] = root .. "/characters/" .. name end
  if list then list:close() end
  if #files == 0 then files[1] = "mannequin" end
  return files
end

local function ring(body, count)
  local cameras = assert(render.cameras(body, { angles = angles, size = size }))
  local list = {}
  for i = 1, count do list[i] = cameras[(i - 1) % angles + 1] end
  return list
end

local function by_blender(file, count, what)
  local body = assert(scene.open(file))
  local views = assert(render.views(body, { cameras = ring(body, count) }))
  local done = assert(blender_views.draw(views, { file }, what, function(_, png) assert(#png > 1000) end))
  assert(done.views == count)
  body:close()
  return done.version
end

local function by_us(body, cameras, samples, labels)
  for view in assert(render.views(body, { cameras = cameras, samples = samples, batch = angles })):each() do
    assert(view:png())
    if labels then assert(view:labels()) end
  end
end

local function a_picture(one, many, count)
  return { cpu = (many.cpu - one.cpu) / (count - 1), wall = (many.wall - one.wall) / (count - 1),
    before = { cpu = one.cpu - (many.cpu - one.cpu) / (count - 1), wall = one.wall - (many.wall - one.wall) / (count - 1) } }
end

-- -- A picture -----------------------------------------------------------------------------------------------------------

local files = characters()
local file, largest = files[1], 0
for _, candidate in ipairs(files) do
  local body = assert(scene.open(candidate))
  if body:triangles() > largest then file, largest = candidate, body:triangles() end
  body:close()
end

local results = { unit = "s", character = file:match "[^/]*$", triangles = largest, size = size, ours = {}, blender = {} }
print(("a picture of 512 x 512 of %s (%d triangles), with its PNG"):format(results.character, largest))
print(("%-14s %10s %10s   %s"):format("", "CPU ms", "wall ms", "start and import, CPU s"))

local body = assert(scene.open(file))
for _, samples in ipairs(ours) do
  local known, why = pcall(by_us, body, ring(body, 1), samples) -- warm, too
  if known then
    local best
    for _ = 1, 3 do
      local spent = measured(function() by_us(body, ring(body, 64), samples) end)
      if not best or spent.cpu < best.cpu then best = spent end
    end
    results.ours[#results.ours + 1] = { samples = samples, cpu = best.cpu / 64, wall = best.wall / 64 }
    print(("%-14s %10.2f %10.2f"):format("stance " .. samples, best.cpu / 64 * 1e3, best.wall / 64 * 1e3))
  else
    print(("%-14s %s"):format("stance " .. samples, tostring(why):match "[^\n]*"))
  end
end
body:close()

local against = {}
for _, result in ipairs(results.ours) do against[result.samples] = result end
for _, what in ipairs(engines) do
  local one = measured(function() results.version = by_blender(file, 1, what) end)
  local many = measured(function() by_blender(file, views_many, what) end)
  local cost = a_picture(one, many, views_many)
  cost.name, cost.ratio = what.name, cost.cpu / against[16].cpu
  results.blender[#results.blender + 1] = cost
  print(("%-14s %10.0f %10.0f   %-6.1f  %.0f x the CPU of stance 16"):format(what.name, cost.cpu * 1e3, cost.wall * 1e3,
    cost.before.cpu, cost.ratio))
end

-- -- A job ---------------------------------------------------------------------------------------------------------------

results.job = { characters = math.min(6, #files), views = angles, engines = {} }
local function job_of(name, draw)
  local spent = measured(function()
    for i = 1, results.job.characters do draw(files[i]) end
  end)
  spent.name = name
  results.job.engines[#results.job.engines + 1] = spent
  local first = results.job.engines[1]
  print(("%-14s %10.2f %10.2f   %.0f x, %.0f x"):format(name, spent.cpu, spent.wall, spent.cpu / first.cpu, spent.wall / first.wall))
end

print(("\na job of %d characters with %d views each (Blender %s)\n%-14s %10s %10s"):format(results.job.characters, angles,
  results.version, "", "CPU s", "wall s"))
job_of("stance 16", function(name)
  local opened = assert(scene.open(name))
  by_us(opened, ring(opened, angles), 16, true)
  opened:close()
end)
for _, what in ipairs(jobs) do
  job_of(what.name, function(name) by_blender(name, angles, what) end)
end

os.execute "mkdir -p build/bench"
local out = assert(io.open("build/bench/blender.json", "w"))
out:write(json.encode(results), "\n")
out:close()
