--- overlay.lua - skeletons drawn over the pictures that they were found in.
---
--- The body's left is orange, its right blue, what joins the two white; what the network does not see well is faint. Of several
--- people each has a number, in the colour of its bones' rims.
local image, labels = require "image", require "stance.labels"

local M = {}

local hues = { left = "#ff9430", right = "#2f9bff", middle = "#ffffff" }
local rims = { "#101318", "#7a1f5c", "#1f6b3a", "#7a5a12", "#4a2a8a", "#8a2a2a" } -- by person, in turn
local face_marks = 11 -- the first landmarks: close together, drawn small
local faint, clear = 0.25, 0.95

local function with_alpha(color, visibility)
  local alpha = faint + (clear - faint) * math.max(0, math.min(1, visibility))
  return ("%s%02x"):format(color, math.floor(alpha * 255))
end

--- How wide the body's lines are: by its own size, and neither invisible nor a blot.
local function line_width(marks, width, height)
  local least_y, most_y = math.huge, -math.huge
  for _, mark in ipairs(marks) do least_y, most_y = math.min(least_y, mark.y), math.max(most_y, mark.y) end
  local most = math.max(2, math.sqrt(width * height) / 120)
  return math.max(1.5, math.min(most, (most_y - least_y) * height / 110))
end

local function side_of(a, b)
  local one, other = labels.side(labels.landmarks[a]), labels.side(labels.landmarks[b])
  return one == other and one or "middle"
end

local function draw_bones(picture, marks, place, thick, rim)
  for pass = 1, 2 do -- the rims of all bones lie under their colours
    for _, pair in ipairs(labels.skeleton_33) do
      local a, b = marks[pair[1]], marks[pair[2]]
      local is_face, visibility = pair[1] <= face_marks, math.min(a.visibility, b.visibility)
      local ax, ay = place(a)
      local bx, by = place(b)
      local wide = is_face and thick * 0.4 or thick
      if pass == 1 then
        picture:line(ax, ay, bx, by, wide + math.max(1.5, thick * 0.6), with_alpha(rim, visibility * 0.6))
      else
        picture:line(ax, ay, bx, by, wide, with_alpha(hues[side_of(pair[1], pair[2])], visibility))
      end
    end
  end
end

local function draw_joints(picture, marks, place, thick, rim)
  for i, mark in ipairs(marks) do
    local x, y = place(mark)
    local radius = thick * (i <= face_marks and 0.6 or 1.15)
    picture:dot(x, y, radius + math.max(0.75, thick * 0.3), with_alpha(rim, mark.visibility * 0.8))
    picture:dot(x, y, radius, with_alpha(hues[labels.side(labels.landmarks[i])], mark.visibility))
  end
end

local function draw_number(picture, person, place, thick, rim)
  local x, y = place(person.landmarks[1])
  local text, height = ("%d"):format(person.id), math.max(10, thick * 5)
  local wide = image.text_width(height, text)
  local top = math.max(0, y - height * 4)
  picture:fill(x - wide / 2 - height / 2, top, wide + height, height * 1.8, rim .. "d0")
  picture:text(x - wide / 2, top + height * 1.4, height, text, "#ffffff")
end

--- Draws on a picture and returns it.
---@param picture stance.image
---@param people pose.Person[]
---@return stance.image
function M.draw(picture, people)
  local width, height = picture:size()
  local function place(mark) return mark.x * width, mark.y * height end
  for i, person in ipairs(people) do
    local thick, rim = line_width(person.landmarks, width, height), rims[(i - 1) % #rims + 1]
    draw_bones(picture, person.landmarks, place, thick, rim)
    draw_joints(picture, person.landmarks, place, thick, rim)
    if #people > 1 then draw_number(picture, person, place, thick, rim) end
  end
  return picture
end

--- The file of a picture with the people on it, as PNG. Waits.
---@param bytes string JPEG, PNG or WebP
---@param people pose.Person[]
---@return string|nil png, table|nil err
function M.of_file(bytes, people)
  local picture, why = image.decode(bytes)
  if not picture then return nil, why end
  local png
  png, why = M.draw(picture, people):png(1)
  picture:close()
  return png, why
end

return M
