--- label_overlay.lua - the labels of a view drawn over its picture: skeletons, boxes, who it is.
---
--- The body's left is orange, its right blue, the middle white; a point that the body hides is an empty ring, a pink one when
--- somebody else hides it, and a bone between two hidden points is faint. Points outside the picture, or that the skeleton does not
--- have, are left out.
local image, labels = require "image", require "stance.labels"

local M = {}

local hues = { left = "#ff9430", right = "#2f9bff", middle = "#ffffff" }
local others = "#ff5fa8"
local box_hues = { "#ffd84a", "#63e06b", "#c58bff", "#4fd8e0", "#ff8a8a", "#d0d0d0" }

--- Colours of sides ("left", "right", "middle"), and of what others hide ("others").
---@type table<string, string>
M.hues = { left = hues.left, right = hues.right, middle = hues.middle, others = others }

-- The face's eleven points lie close together: drawn small, and with thin lines.
local face = {}
for i = 1, 11 do face[labels.landmarks[i]] = true end

local function shown(mark) return mark.visibility > 0 end

local function hidden(mark) return mark.visibility < 2 end

local function bone_side(a, b)
  local one, other = labels.side(a.name), labels.side(b.name)
  return one == other and one or "middle"
end

-- What is drawn first lies under all that follows: the dark rims of all bones under their colors.
local function draw_bones(picture, marks, bones, place)
  for pass = 1, 2 do
    for _, pair in ipairs(bones) do
      local a, b = marks[pair[1]], marks[pair[2]]
      if shown(a) and shown(b) then
        local both_hidden, is_face = hidden(a) and hidden(b), face[a.name] and face[b.name]
        local ax, ay = place(a)
        local bx, by = place(b)
        local width = is_face and 1 or 2.6
        if pass == 1 and not both_hidden and not is_face then
          picture:line(ax, ay, bx, by, width + 1.8, "#10131890")
        elseif pass == 2 then
          picture:line(ax, ay, bx, by, width, hues[bone_side(a, b)] .. (both_hidden and "70" or "f0"))
        end
      end
    end
  end
end

local function draw_points(picture, marks, place)
  for _, mark in ipairs(marks) do
    if shown(mark) then
      local x, y = place(mark)
      local hue, is_face = hues[labels.side(mark.name)], face[mark.name]
      local radius = is_face and 1.5 or 3.2
      if hidden(mark) then
        picture:ring(x, y, radius, 2.6, "#10131870")
        picture:ring(x, y, radius, 1.3, mark.state == "occluded" and others or hue)
      else
        picture:dot(x, y, radius + (is_face and 0.6 or 1), "#101318c0")
        picture:dot(x, y, radius, hue)
      end
    end
  end
end

--- Draws the skeletons of a view's labels over its picture, or over a part of it that was scaled.
---@param picture stance.image
---@param view table labels of the view, decoded
---@param options? { format?: string, crop?: { x: number, y: number, scale: number } } the skeleton, as for labels.select (default
--- "mediapipe_33"); the part's corner in the labelled picture, and its scale
function M.draw_skeletons(picture, view, options)
  local format, crop = options and options.format or "mediapipe_33", options and options.crop or { x = 0, y = 0, scale = 1 }
  local function place(mark) return (mark.pixel[1] - crop.x) * crop.scale, (mark.pixel[2] - crop.y) * crop.scale end
  local people = {}
  for i, person in ipairs(view.people) do people[i] = labels.select(person, format) end
  for _, marks in ipairs(people) do draw_bones(picture, marks, labels.bones[format], place) end
  for _, marks in ipairs(people) do draw_points(picture, marks, place) end
end

local function draw_frame(picture, box, width, color)
  local x0, y0, x1, y1 = box[1], box[2], box[1] + box[3], box[2] + box[4]
  for _, line in ipairs { { x0, y0, x1, y0 }, { x1, y0, x1, y1 }, { x1, y1, x0, y1 }, { x0, y1, x0, y0 } } do
    picture:line(line[1], line[2], line[3], line[4], width, color)
  end
end

local function draw_boxes(picture, view)
  local _, height = picture:size()
  for i, person in ipairs(view.people) do
    if person.area > 0 then
      local color = box_hues[(i - 1) % #box_hues + 1]
      draw_frame(picture, person.full_box, 1, color .. "80")
      draw_frame(picture, person.box, 1.6, color)
      local text = ("%d %s %.0f%%"):format(person.id, person.person, 100 * person.visible)
      local x, y = math.max(person.box[1], 0), math.max(person.box[2] - 4, 12)
      picture:fill(x, y - 10, image.text_width(8, text) + 6, 13, "#101318b0")
      picture:text(x + 3, math.min(y, height - 2), 8, text, color)
    end
  end
end

--- The file of a picture with all of its labels on it: skeletons, boxes (the faint ones: with what is hidden or cut), ids, how much
--- of each is seen. Waits.
---@param bytes string PNG, JPEG or WebP
---@param view table its labels, decoded
---@param options? { format?: string } as for M.draw_skeletons
---@return string|nil png, table|nil err
function M.of_file(bytes, view, options)
  local picture, why = image.decode(bytes, { whole = true })
  if not picture then return nil, why end
  draw_boxes(picture, view)
  M.draw_skeletons(picture, view, options)
  local png
  png, why = picture:png(1)
  picture:close()
  return png, why
end

return M
