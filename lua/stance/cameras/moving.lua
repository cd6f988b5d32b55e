--- cameras/moving.lua - cameras in time: along paths, at frames, after what moves.
local boxes, set = require "stance.cameras.boxes", require "stance.cameras.set"

local M = {}

--- The cubic through the points around the piece from knot `i` to the next, at `t` in 0..1 of it: Hermite, tangents by
--- the knots' neighbours (Catmull-Rom for knots that are not evenly spaced).
local function spline(knots, values, i, t)
  local function tangent(k)
    local a, b = math.max(k - 1, 1), math.min(k + 1, #knots)
    return (values(b) - values(a)) / (knots[b] - knots[a])
  end
  local span, a, b = knots[i + 1] - knots[i], values(i), values(i + 1)
  local t2, t3 = t * t, t * t * t
  return (2 * t3 - 3 * t2 + 1) * a + (t3 - 2 * t2 + t) * span * tangent(i) + (3 * t2 - 2 * t3) * b
    + (t3 - t2) * span * tangent(i + 1)
end

---@class stance.path_point
---@field position stance.point
---@field target? stance.point default that of the path
---@field fov? number
---@field roll? number
---@field time? number seconds of the stage, rising; all points have one, or none has

--- Where the way is at a moment of its knots' time, as a camera.
local function stand(options, knots, at)
  local points, i = options.points, 1
  while i < #knots - 1 and at >= knots[i + 1] do i = i + 1 end
  local t = (at - knots[i]) / (knots[i + 1] - knots[i])
  local function along(value) return spline(knots, value, i, t) end
  local position, target = {}, {}
  for k = 1, 3 do
    position[k] = along(function(p) return points[p].position[k] end)
    target[k] = along(function(p) return (points[p].target or options.target)[k] end)
  end
  return { position = position, target = target, fov = along(function(p) return points[p].fov or options.fov or 50 end),
    roll = along(function(p) return points[p].roll or options.roll or 0 end) }
end

---@class stance.path_options
---@field points stance.path_point[]
---@field count integer
---@field target? stance.point
---@field fov? number default 50
---@field roll? number
---@field size? integer[]
---@field lens? table
---@field time? number of all, where the points have none
---@field fps? number where points have times: the camera's next place, a frame later, goes with it, for flow and motion blur

--- Cameras along a smooth way through points. With times each camera stands where the way is at its moment, and takes its
--- picture then; without, they are spread evenly over the points.
---@param options stance.path_options
---@return stance.camera_set
function M.path(options)
  boxes.check_numbers(options, { "count", "fov", "roll", "time", "fps" }, {}, 2)
  local points = options.points
  if type(points) ~= "table" or #points < 2 then error("a path needs two points or more", 2) end
  local knots, count = {}, options.count
  for i, at in ipairs(points) do
    if type(at) ~= "table" then error(("points[%d] must be a table"):format(i), 2) end
    boxes.point(at.position, ("points[%d].position"):format(i))
    boxes.point(at.target or options.target, ("points[%d].target (or one of the path)"):format(i))
    if (at.time == nil) ~= (points[1].time == nil) then error("either all points of a path have a time, or none", 2) end
    knots[i] = at.time or i - 1
    if i > 1 and knots[i] <= knots[i - 1] then error(("points[%d].time must be later than the one before"):format(i), 2) end
  end
  return set.set(count, function(index)
    local at = count > 1 and knots[1] + (knots[#knots] - knots[1]) * (index - 1) / (count - 1) or knots[1]
    local camera = stand(options, knots, at)
    camera.size, camera.lens, camera.time = options.size, options.lens, options.time
    if points[1].time then
      camera.time = at
      camera.next = options.fps and stand(options, knots, at + 1 / options.fps) or nil
    end
    return camera
  end)
end

--- Each camera at each of several times, all cameras of a moment together, since they share its poses.
---@param cameras stance.camera[]|stance.camera_set
---@param times number[] seconds of the stage
---@return stance.camera_set names are NAME_0001, NAME_0002, ...
function M.at_times(cameras, times)
  local base = set.as_set(cameras)
  return set.set(base.count * #times, function(i)
    local moment, number = math.floor((i - 1) / base.count) + 1, (i - 1) % base.count + 1
    local camera = base:at(number)
    camera.time, camera.name = times[moment], ("%s_%04d"):format(camera.name, moment)
    return camera
  end)
end

--- Times of frames as command lines write them: "FIRST:LAST:STEP" (the last one is not taken), "FIRST:LAST", one "FRAME",
--- or several of them with commas between; frames count from 0.
---@param text string
---@param rate number frames a second
---@return number[]|nil seconds, string|nil why
function M.frames(text, rate)
  local times = {}
  for part in (text .. ","):gmatch "%s*([^,]*),%s*" do
    local first, rest = part:match "^(%d+)(.*)$"
    local last = rest and rest:match "^:(%d+)" or rest == "" and tonumber(first) + 1
    local step = rest and rest:match "^:%d+:(%d+)$"
    if rest and rest ~= "" and not step and not rest:find "^:%d+$" then last = nil end
    if not first or not last or step == "0" then
      return nil, ("frames must be like 0:120:10, 0:120, 7 or 1,5,9, not %s"):format(text)
    end
    for frame_number = tonumber(first), tonumber(last) - 1, tonumber(step or 1) do
      times[#times + 1] = frame_number / rate
      if #times > 1e6 then return nil, ("frames %s are more than a million"):format(text) end
    end
  end
  if #times == 0 then return nil, ("frames %s are none"):format(text) end
  return times
end

--- Cameras that follow something: each looks at where it is at the camera's time, and moves along with it when `follow`.
---@param cameras stance.camera[]|stance.camera_set
---@param where fun(time: number): stance.point
---@param options? { follow?: boolean }
---@return stance.camera_set
function M.track(cameras, where, options)
  local base, start = set.as_set(cameras), where(0)
  return set.set(base.count, function(i)
    local camera = base:at(i)
    local target = boxes.point(where(camera.time or 0), "what is tracked")
    if options and options.follow then
      for k = 1, 3 do camera.position[k] = camera.position[k] + target[k] - start[k] end
    end
    camera.target = { target[1], target[2], target[3] }
    return camera
  end)
end

return M
