--- contact_sheet.lua - one picture of many: rows of characters, columns of views, skeletons drawn over them.
---
--- The body's left is orange, its right blue, the middle white; a joint that the body hides is an empty ring, and a
--- bone between two such joints is faint. Landmarks outside the picture, or that the skeleton does not have, are left
--- out.
local group, image, labels = require "stance.group", require "image", require "stance.labels"

local M = {}

local paper, ink, soft = "#f3f1ed", "#26292e", "#7b7f86"
local hues = { left = "#ff9430", right = "#2f9bff", middle = "#ffffff" }
local margin, gap, title_room, row_room, caption_room = 28, 10, 62, 38, 22
local max_rows, max_columns = 40, 8

---@class stance.contact_sheet.cell
---@field name string the view's name
---@field png string the picture
---@field labels table its labels, decoded

---@class stance.contact_sheet.row
---@field title string
---@field note? string in small letters behind the title
---@field cells stance.contact_sheet.cell[]

-- The face's eleven points lie close together: drawn small, and without lines but those from ear to ear.
local face_marks = 11

local function shown(mark) return mark.known and mark.in_frame end

local function bone_side(a, b)
  local one, other = labels.side(a.name), labels.side(b.name)
  return one == other and one or "middle"
end

local function draw_bones(picture, marks, scale)
  for pass = 1, 2 do -- dark rims of all bones lie under all colours
    for _, pair in ipairs(labels.skeleton_33) do
      local a, b = marks[pair[1]], marks[pair[2]]
      local is_face = pair[1] <= face_marks
      if shown(a) and shown(b) then
        local hidden = a.occluded and b.occluded
        local ax, ay, bx, by = a.pixel[1] * scale, a.pixel[2] * scale, b.pixel[1] * scale, b.pixel[2] * scale
        local width = is_face and 1.2 or 2.4
        if pass == 1 and not hidden then
          picture:line(ax, ay, bx, by, width + 1.8, "#10131890")
        elseif pass == 2 then
          picture:line(ax, ay, bx, by, width, hues[bone_side(a, b)] .. (hidden and "70" or "f0"))
        end
      end
    end
  end
end

local function draw_joints(picture, marks, scale)
  for i, mark in ipairs(marks) do
    if shown(mark) then
      local x, y, hue = mark.pixel[1] * scale, mark.pixel[2] * scale, hues[labels.side(mark.name)]
      local radius = i <= face_marks and 1.3 or 2.9
      if mark.occluded then
        picture:ring(x, y, radius, 2.4, "#10131860")
        picture:ring(x, y, radius, 1.2, hue)
      else
        picture:dot(x, y, radius + 1, "#101318c0")
        picture:dot(x, y, radius, hue)
      end
    end
  end
end

--- Draws the skeleton of a view's labels over its picture, which may be scaled.
---@param picture stance.image
---@param view table labels of the view, decoded
---@param scale? number pixels of `picture` a pixel of the labelled picture; default 1
function M.draw_skeleton(picture, view, scale)
  draw_bones(picture, view.landmarks, scale or 1)
  draw_joints(picture, view.landmarks, scale or 1)
end

--- Which of `count` things to show when at most `room` fit: evenly spread, the first among them.
---@param count integer
---@param room integer
---@return integer[]
function M.spread(count, room)
  local out = {}
  local shown_count = math.min(count, room)
  for i = 1, shown_count do out[i] = math.floor((i - 1) * count / shown_count) + 1 end
  return out
end

local function fit_text(text, height, width)
  if image.text_width(height, text) <= width then return text end
  while #text > 1 and image.text_width(height, text .. "...") > width do text = text:sub(1, -2) end
  return text .. "..."
end

local function legend(sheet, right, y)
  local x = right
  for _, entry in ipairs { { "hidden", nil }, { "body's right", hues.right }, { "body's left", hues.left } } do
    x = x - image.text_width(9, entry[1])
    sheet:text(x, y, 9, entry[1], soft)
    x = x - 12
    if entry[2] then sheet:dot(x, y - 4.5, 4.5, entry[2]) else sheet:ring(x, y - 4.5, 4, 1.6, soft) end
    x = x - 22
  end
end

local function draw_cell(sheet, cell, x, y, width, height)
  local picture, err = image.decode(cell.png, width, height)
  if not picture then return nil, err end
  M.draw_skeleton(picture, cell.labels, width / cell.labels.image.width)
  sheet:paste(picture, x, y)
  picture:close()
  sheet:text(x + 1, y + height + 15, 9, fit_text(cell.name, 9, width), soft)
  return true
end

--- Draws the sheet. At most 40 rows and 8 columns are shown; of longer rows views that are evenly spread. Waits.
---@param title string
---@param rows stance.contact_sheet.row[]
---@param cell_of fun(cell: any): stance.contact_sheet.cell|nil, table|nil reads a cell just before it is drawn; waits
---@return string|nil png
---@return table|nil err
function M.draw(title, rows, cell_of)
  local columns, width, height = 1, 256, 256
  for _, row in ipairs(rows) do columns = math.max(columns, math.min(#row.cells, max_columns)) end
  local row_count = math.min(#rows, max_rows)
  local first = rows[1] and cell_of(rows[1].cells[1])
  if first then
    height = math.max(64, math.min(512, math.floor(width * first.labels.image.height / first.labels.image.width + 0.5)))
  end
  local total_width = math.max(2 * margin + columns * width + (columns - 1) * gap, 560)
  local row_height = row_room + height + caption_room
  local sheet, err = image.new(total_width, title_room + row_count * row_height + margin, paper)
  if not sheet then return nil, err end
  sheet:text(margin, 40, 16, fit_text(title, 16, total_width - 2 * margin - 270), ink)
  legend(sheet, total_width - margin, 38)

  local places = {}
  for r = 1, row_count do
    local row, top = rows[r], title_room + (r - 1) * row_height
    sheet:text(margin, top + 26, 12, row.title, ink)
    if row.note then sheet:text(margin + image.text_width(12, row.title) + 12, top + 26, 9, row.note, soft) end
    for c, index in ipairs(M.spread(#row.cells, columns)) do
      places[#places + 1] = { cell = row.cells[index], x = margin + (c - 1) * (width + gap), y = top + row_room }
    end
  end
  local failure
  group.map(places, 2, function(place)
    local cell, why = cell_of(place.cell)
    local ok = cell
    if cell then ok, why = draw_cell(sheet, cell, place.x, place.y, width, height) end
    if not ok then failure = failure or why end
    return true
  end)
  if failure then return nil, failure end
  return sheet:png(6)
end

return M
