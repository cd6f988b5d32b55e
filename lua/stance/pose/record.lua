--- record.lua - people as rows of numbers, for .npy files. No effects.
local M = {}

M.points = 33

local not_a_number = 0 / 0

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
