-- pose_bench.lua - what following people costs: JPEG frames of 1280 x 720 to landmarks, by pose processes.
--
-- One stream at a time: CPU and wall of a frame, by model, and where it goes. Then ten streams of ten frames a second with the full
-- model: aim is no dropped frame and p99 under 150 ms. Then as many frames as the machine's cores carry, by model, and what a session
-- takes of memory. With BENCH_PEERS=1 MediaPipe itself in Chromium looks at the same frames, in the same run. Frames are those of a clip
-- in STANCE_ASSETS (played there and back), else of the mannequin turning. Prints a table and writes build/bench/pose.json.
local fiber, host, json, metrics, pose = require "fiber", require "host", require "json", require "metrics", require "pose"
local render, scene, time, video = require "render", require "scene", require "time", require "video"

local width, height, quality = 1280, 720, 70
local models = { "lite", "full", "heavy" }
local alone, rate, streams, seconds = 100, 10, 10, 10
local carried_seconds, sessions = 3, 200
local results = { unit = "ms unless named otherwise", frame = { width, height, quality = quality } }

for _, model in ipairs(pose.models()) do
  if not model.ready then
    print("pose: " .. model.missing)
    return
  end
end

-- -- Frames -------------------------------------------------------------------------------------------------------------

local function frames_of_clip(path, most)
  local film, list = video.open(path), {}
  while film and #list < most do
    local picture = film:read()
    if not picture then break end
    list[#list + 1] = assert(assert(picture:scale(width, height)):jpeg(quality))
    picture:close()
  end
  if film then film:close() end
  return #list > 1 and list
end

local function frames_of_mannequin(count)
  local body, list = assert(scene.open "mannequin"), {}
  for view in render.ring(body, { angles = count * 8, size = { width, height } }) do
    local picture = assert(require("image").decode(assert(view:png())))
    list[#list + 1] = assert(picture:jpeg(quality))
    if #list == count then break end
  end
  body:close()
  return list
end

local clip = require("spec.e2e.support").shell("realpath -m " .. (os.getenv "STANCE_ASSETS" or "../shared/assets"))
  .. "/clips/tfjs_pose_squats.mp4"
local frames = frames_of_clip(clip, 60)
results.frames = frames and clip:match "[^/]*$" or "mannequin"
frames = frames or frames_of_mannequin(40)

--- There and back, so that nothing jumps.
local function frame(i)
  local period = 2 * (#frames - 1)
  local at = (i - 1) % period
  return frames[1 + (at < #frames and at or period - at)]
end

-- -- Measuring ----------------------------------------------------------------------------------------------------------

local function cpu_of(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if not file then return 0 end
  local fields = {}
  for field in file:read("*a"):gsub("^.*%) ", ""):gmatch "%S+" do fields[#fields + 1] = field end
  file:close()
  return (tonumber(fields[12]) + tonumber(fields[13])) / 100
end

--- CPU seconds of the pose processes, and of the one that asks.
local function cpu(engine)
  local sum = 0
  for _, pid in ipairs(engine:info().pids) do sum = sum + cpu_of(pid) end
  return sum, host.usage().cpu_seconds
end

--- Seconds that all frames so far took, by stage.
local function stages()
  local list = {}
  for stage, sum in metrics.text():gmatch 'pose_seconds_sum{stage="(%a+)"} ([%d.e+-]+)' do list[stage] = tonumber(sum) end
  return list
end

local function percentile(sorted, share) return sorted[math.max(1, math.ceil(#sorted * share))] end

local function line(name, format, ...) print(("%-36s "):format(name) .. format:format(...)) end

-- -- One stream ---------------------------------------------------------------------------------------------------------

local function follow_alone(model)
  local engine = assert(pose.engine { model = model, backend = "cpu" })
  local session, waits = assert(engine:track()), {}
  for i = 1, 10 do assert(session:push(frame(i), i / 30)) end
  local cpu_before, own_before = cpu(engine)
  local before, began = stages(), time.monotonic()
  for i = 1, alone do
    local at = time.monotonic()
    assert(session:push(frame(10 + i), (10 + i) / 30))
    waits[i] = (time.monotonic() - at) * 1000
  end
  local wall = time.monotonic() - began
  local cpu_after, own_after = cpu(engine)
  local after = stages()
  session:close()
  table.sort(waits)
  local function stage(name) return ((after[name] or 0) - (before[name] or 0)) / alone * 1000 end
  local row = { model = model, cpu_ms = (cpu_after - cpu_before) / alone * 1000, own_cpu_ms = (own_after - own_before) / alone * 1000,
    wall_ms = wall / alone * 1000, p50_ms = percentile(waits, 0.5), p99_ms = percentile(waits, 0.99), decode_ms = stage "decode",
    landmarks_ms = stage "landmarks", detect_ms = stage "detect" }
  line(model .. ", one stream", "%6.1f ms CPU a frame (decode %.1f, networks %.1f; asking %.1f)  wall p50 %.1f, p99 %.1f", row.cpu_ms,
    row.decode_ms, row.landmarks_ms + row.detect_ms, row.own_cpu_ms, row.p50_ms, row.p99_ms)
  return row
end

-- -- Ten streams --------------------------------------------------------------------------------------------------------

--- Each frame is sent when it is due, whatever became of those before.
local function follow_many(model)
  local engine = assert(pose.engine { model = model, backend = "cpu" })
  local waits, dropped, fibers = {}, 0, {}
  local cpu_before, own_before
  local start = time.monotonic() + 1
  local settled = start + 2 -- processes have started, people were found
  local function stream(number)
    local session, pushes = assert(engine:track()), {}
    for i = 1, (seconds + 2) * rate do
      local due = start + (i - 1 + (number - 1) / streams) / rate
      fiber.sleep(math.max(0, due - time.monotonic()))
      pushes[i] = fiber.spawn(function()
        local found, why = session:push(frame(number * 7 + i), i / rate)
        if due < settled then return end
        if found then waits[#waits + 1] = (time.monotonic() - due) * 1000 else
          dropped = dropped + 1
          assert(why.code == "busy", why.message)
        end
      end)
    end
    for _, push in ipairs(pushes) do assert(push:join()) end
    session:close()
  end
  for number = 1, streams do fibers[number] = fiber.spawn(stream, number) end
  fiber.sleep(settled - time.monotonic())
  cpu_before, own_before = cpu(engine)
  for number = 1, streams do assert(fibers[number]:join()) end
  local cpu_after, own_after = cpu(engine)
  table.sort(waits)
  local row = { model = model, streams = streams, rate = rate, frames = #waits, dropped = dropped, p50_ms = percentile(waits, 0.5),
    p99_ms = percentile(waits, 0.99), longest_ms = waits[#waits], cores = (cpu_after - cpu_before) / seconds,
    own_cores = (own_after - own_before) / seconds }
  line(("%s, %d streams of %d a second"):format(model, streams, rate),
    "%d dropped of %d  p50 %.0f, p99 %.0f, longest %.0f ms  %.2f cores (asking %.2f)", dropped, #waits + dropped, row.p50_ms, row.p99_ms,
    row.longest_ms, row.cores, row.own_cores)
  return row
end

-- -- What the cores carry -----------------------------------------------------------------------------------------------

--- Measured, and what the CPU of a frame would allow where nobody else computes.
local function carry(model, frame_cpu_ms)
  local engine = assert(pose.engine { model = model, backend = "cpu" })
  local over, count, fibers = false, 0, {}
  for number = 1, 4 do
    fibers[number] = fiber.spawn(function()
      local session, i = assert(engine:track()), 0
      while not over do
        i = i + 1
        assert(session:push(frame(number * 7 + i), i / 30))
        count = count + 1
      end
      session:close()
    end)
  end
  fiber.sleep(1.5)
  local before, began = count, time.monotonic()
  fiber.sleep(carried_seconds)
  local per_second = (count - before) / (time.monotonic() - began)
  over = true
  for number = 1, 4 do assert(fibers[number]:join()) end
  local processes = engine:info().processes
  local most = processes * 1000 / frame_cpu_ms
  line(("%s, all that %d processes carry"):format(model, processes),
    "%6.0f frames/s: %d streams of %d a second (by the CPU of a frame: %.0f, %d)", per_second, math.floor(per_second / rate), rate, most,
    math.floor(most / rate))
  return { model = model, per_second = per_second, streams = math.floor(per_second / rate), processes = processes, most_per_second = most }
end

local function memory_of_sessions()
  local engine = assert(pose.engine { model = "lite", backend = "cpu", people = 1 })
  local list = {}
  local function open(count)
    for _ = 1, count do
      list[#list + 1] = assert(engine:track())
      for i = 1, 2 do assert(list[#list]:push(frame(i), i / 30)) end
    end
    return engine:info().resident
  end
  local before = open(4)
  local each = (open(sessions) - before) / sessions / 1024
  for _, session in ipairs(list) do session:close() end
  line("a session more", "%6.1f KiB of resident memory, the mean of %d", each, sessions)
  return each
end

-- -- Beside MediaPipe ---------------------------------------------------------------------------------------------------

--- The same frames through MediaPipe's own package in Chromium (spec/bench/peers/mediapipe.js).
local function beside_mediapipe(own)
  local root = "build/bench"
  if os.execute(("test -d %s/node_modules/playwright-core -a -x /usr/bin/chromium"):format(root)) ~= 0 then return end
  os.execute(("rm -rf %s/frames && mkdir -p %s/frames"):format(root, root))
  for i = 1, #frames do
    local file = assert(io.open(("%s/frames/%03d.jpg"):format(root, i), "wb"))
    file:write(frames[i])
    file:close()
  end
  local pipe = assert(io.popen("node spec/bench/peers/mediapipe.js build/bench 40 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  local ok, rows = pcall(json.decode, text:match "(%[.*%])%s*$" or "")
  if not ok then return print("MediaPipe in Chromium: " .. text:sub(-300)) end
  for i, row in ipairs(rows) do
    row.cpu_ratio, row.wall_ratio = row.cpu_ms / (own[i].cpu_ms + own[i].own_cpu_ms), row.p50_ms / own[i].p50_ms
    line(row.model .. ", MediaPipe in Chromium", "%6.1f ms CPU a frame, %.1f times ours  wall p50 %.1f (without decoding), %.1f times",
      row.cpu_ms, row.cpu_ratio, row.p50_ms, row.wall_ratio)
  end
  return rows
end

-- -- All of it ----------------------------------------------------------------------------------------------------------

print(("%d JPEG frames of %d x %d (%s), %.0f KiB each"):format(#frames, width, height, results.frames, #frames[1] / 1024))
results.alone, results.carried = {}, {}
for i, model in ipairs(models) do results.alone[i] = follow_alone(model) end
results.many = follow_many "full"
for i, model in ipairs(models) do results.carried[i] = carry(model, results.alone[i].cpu_ms) end
results.session_kib = memory_of_sessions()
results.mediapipe = beside_mediapipe(results.alone)
os.execute "mkdir -p build/bench"
local out = assert(io.open("build/bench/pose.json", "w"))
out:write(json.encode(results), "\n")
out:close()
