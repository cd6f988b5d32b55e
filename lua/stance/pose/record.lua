--- record.lua - what was found as text, pose_v1, and as rows of numbers, for .npy files. No effects.
local json = require "json"

local M = {}

M.points = 33

local not_a_number = 0 / 0

local function put_points(out, name, marks)
  local points = {}
  for i, mark in ipairs(marks) do
    points[i] = ('{"x":%.9g,"y":%.9g,"z":%.9g,"visibility":%.9g}'):format(mark.x, mark.y, mark.z, mark.visibility)
  end
  out[#out + 1] = ('"%s":[%s]'):format(name, table.concat(points, ","))
end

local function person_of(person)
  local out = { ('"id":%d,"score":%.9g'):format(person.id, person.score) }
  put_points(out, "landmarks", person.landmarks)
  put_points(out, "world", person.world)
  local roi = person.roi
  if roi then
    out[#out + 1] = ('"roi":{"x":%.9g,"y":%.9g,"size":%.9g,"rotation":%.9g}'):format(roi.x, roi.y, roi.size, roi.rotation)
  end
  return "{" .. table.concat(out, ",") .. "}"
end

--- A picture's pose_v1 object as a line of JSON, its members always in the same order.
---@param found pose.Result with the members of pose_v1 that a command or a job adds: file, stream
---@return string
function M.line(found)
  local out, people = { '"schema":"pose_v1"' }, {}
  for _, name in ipairs { "file", "stream", "seq", "t_capture_ms", "detected", "reset" } do
    if found[name] ~= nil then out[#out + 1] = ('"%s":%s'):format(name, json.encode(found[name])) end
  end
  out[#out + 1] = ('"image":{"width":%d,"height":%d}'):format(found.image.width, found.image.height)
  for i, person in ipairs(found.people) do people[i] = person_of(person) end
  out[#out + 1] = '"people":[' .. table.concat(people, ",") .. "]"
  if #people == 1 then put_points(out, "landmarks", found.people[1].landmarks) end
  return "{" .. table.concat(out, ",") .. "}\n"
end

--- Gives each person of a film a place that they keep for as long as they are followed.
---@param places integer
---@return fun(people: table[]): table<integer, table> people by place
function M.places(places)
  local held = {} -- place -> id
  return function(people)
    local out, by_id = {}, {}
    for _, person in ipairs(people) do by_id[person.id] = person end
    for place = 1, places do
      local person = held[place] and by_id[held[place]]
      if person then
        out[place], by_id[held[place]] = person, nil
      else
        held[place] = nil
      end
    end
    for _, person in ipairs(people) do
      for place = 1, places do
        if by_id[person.id] and not out[place] then
          held[place], out[place], by_id[person.id] = person.id, person, nil
        end
      end
    end
    return out
  end
end

--- A row of an array: people x 33 x (x, y, z, visibility), NaN where nobody is.
---@param by_place table<integer, table>
---@param places integer
---@param field "landmarks"|"world"
---@return number[]
function M.row(by_place, places, field)
  local out = {}
  for place = 1, places do
    local marks = by_place[place] and by_place[place][field]
    for i = 1, M.points do
      local mark = marks and marks[i]
      for _, axis in ipairs { "x", "y", "z", "visibility" } do out[#out + 1] = mark and mark[axis] or not_a_number end
    end
  end
  return out
end

--- The shape of a row: { 33, 4 }, or { people, 33, 4 }.
---@param places integer
---@return integer[]
function M.shape(places) return places == 1 and { M.points, 4 } or { places, M.points, 4 } end

return M
