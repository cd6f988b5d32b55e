--- closed_loop.lua - renders of a body, found again by the pose networks, against their labels: which landmark is off, by how much,
--- which way.
---
--- Errors are in torsos (from the middle of the shoulders to that of the hips, in the picture), so that PCK@0.2 counts those below
--- 0.2. Only upright moments count: the torso within 35 degrees of the vertical. Landmarks count that are in the picture, hidden or not.
--- Besides its length each error has its mean in the picture (`dx` to the right, `dy` down): the same shift in all views and clips is
--- the label's or the network's idea of the landmark; scatter without a mean is the picture's.
local json, render, scene = require "json", require "render", require "scene"
local labels, score = require "stance.labels", require "stance.pose.score"

local M = {}

local cosine_least = math.cos(math.rad(35))

--- Clips in which people stand or walk, by their names; all where nothing is called so.
local calm_words = { "idle", "stand", "walk", "run", "wave", "interact", "punch", "shoot", "talk", "dance" }

local function clips_of(body, most)
  local calm, all = {}, {}
  for i, clip in ipairs(body:clips()) do
    all[#all + 1] = { index = i, name = clip.name, seconds = clip.seconds }
    for _, word in ipairs(calm_words) do
      if clip.name:lower():find(word, 1, true) then
        calm[#calm + 1] = all[#all]
        break
      end
    end
  end
  local list, out = #calm > 0 and calm or all, {}
  for i = 1, math.min(most, #list) do out[i] = list[math.floor((i - 1) * #list / math.min(most, #list)) + 1] end
  return #out > 0 and out or { { index = 0, name = "rest", seconds = 0 } }
end

local function middle(person, left, right, axis)
  return (person.landmarks[left].world[axis] + person.landmarks[right].world[axis]) / 2
end

local function is_upright(person)
  local sum, rise = 0, 0
  for axis = 1, 3 do
    local d = middle(person, 12, 13, axis) - middle(person, 24, 25, axis)
    sum, rise = sum + d * d, axis == 2 and d or rise
  end
  return rise >= cosine_least * math.sqrt(sum)
end

local function add(sum, landmark, hidden, dx, dy)
  local one = sum[landmark] or { count = 0, hits = 0, seen = 0, seen_hits = 0, error = 0, dx = 0, dy = 0 }
  local length = math.sqrt(dx * dx + dy * dy)
  local hit = length <= 0.2 and 1 or 0
  one.count, one.hits = one.count + 1, one.hits + hit
  if not hidden then one.seen, one.seen_hits = one.seen + 1, one.seen_hits + hit end
  one.error, one.dx, one.dy = one.error + math.min(length, 2), one.dx + dx, one.dy + dy
  sum[landmark] = one
end

local function look(out, engine, view)
  local truth = json.decode((assert(view:labels())))
  local person = truth.people[1]
  local torso = score.torso(person)
  if not is_upright(person) or torso < 8 then return end
  out.pictures = out.pictures + 1
  local found = assert(engine:detect((assert(view:png()))))
  local best = score.compare(truth, found.people)[1]
  out.comparisons[#out.comparisons + 1] = best
  local by_view = out.views[truth.view.name] or { hits = 0, count = 0 }
  out.views[truth.view.name] = by_view
  local estimate = found.people[1]
  for i, mark in ipairs(person.landmarks) do
    if mark.visibility > 0 then
      by_view.count = by_view.count + 1
      by_view.hits = by_view.hits + (best.correct[mark.name] and 1 or 0)
      if estimate then
        local at = estimate.landmarks[i]
        add(out.landmarks, mark.name, mark.visibility == 1, (at.x * truth.image.width - mark.pixel[1]) / torso,
          (at.y * truth.image.height - mark.pixel[2]) / torso)
      end
    end
  end
end

---@class closed_loop.result
---@field pictures integer upright ones
---@field comparisons table[] of stance.pose.score
---@field landmarks table<string, table> { count, hits, seen, seen_hits, error, dx, dy }: sums
---@field views table<string, { hits: integer, count: integer }> by name

--- Draws a body all around in some of its clips and looks for it in the pictures. Waits.
---@param engine table pose.engine
---@param file string as scene.open takes it
---@param options? { angles?: integer, clips?: integer, times?: integer, size?: integer, look?: table }
---@return closed_loop.result
function M.measure(engine, file, options)
  options = options or {}
  local body = assert(scene.open(file))
  local out = { name = file:match "[^/]*$", pictures = 0, comparisons = {}, landmarks = {}, views = {} }
  local size, times = options.size or 512, options.times or 2
  for _, clip in ipairs(clips_of(body, options.clips or 3)) do
    for t = 1, times do
      local time = clip.seconds * (t - 0.5) / times
      for view in render.ring(body, { angles = options.angles or 8, size = { size, size }, clip = clip.index, time = time }) do
        look(out, engine, view)
      end
    end
  end
  body:close()
  return out
end

--- The share of correct landmarks; of those that are seen, when `seen`; of some landmarks, when `names`.
---@param result closed_loop.result
---@param seen? boolean
---@param names? string[]
---@return number
function M.pck(result, seen, names)
  local hits, count = 0, 0
  for _, name in ipairs(names or labels.landmarks) do
    local one = result.landmarks[name]
    if one then hits, count = hits + (seen and one.seen_hits or one.hits), count + (seen and one.seen or one.count) end
  end
  return count > 0 and hits / count or 0
end

--- The table that people read.
---@param results closed_loop.result[]
---@return string
function M.text(results)
  local lines = { ("%-28s %8s %6s %6s %7s %7s"):format("PCK@0.2 of upright pictures", "pictures", "found", "OKS", "PCK", "seen") }
  for _, result in ipairs(results) do
    local sum = score.sum(result.comparisons)
    lines[#lines + 1] = ("%-28s %8d %5.0f%% %6.2f %6.1f%% %6.1f%%"):format(result.name, result.pictures,
      100 * (sum.detection_rate or 0), sum.oks or 0, 100 * (sum.pck or 0), 100 * M.pck(result, true))
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "by landmark: share correct, mean error, mean shift to the right and down, in torsos"
  local head = ("%-18s"):format ""
  for _, result in ipairs(results) do head = head .. (" %26s"):format(result.name:sub(1, 26)) end
  lines[#lines + 1] = head
  for _, name in ipairs(labels.landmarks) do
    local line = ("%-18s"):format(name)
    for _, result in ipairs(results) do
      local one = result.landmarks[name]
      line = line .. (one and ("  %4.0f%% %5.2f (%+5.2f %+5.2f)"):format(100 * one.hits / one.count, one.error / one.count,
        one.dx / one.count, one.dy / one.count) or (" "):rep(27))
    end
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = ""
  for _, result in ipairs(results) do
    local list = {}
    for view, sum in pairs(result.views) do list[#list + 1] = ("%s %.0f%%"):format(view, 100 * sum.hits / sum.count) end
    table.sort(list)
    lines[#lines + 1] = ("%-28s %s"):format(result.name, table.concat(list, ", "))
  end
  return table.concat(lines, "\n")
end

return M
