--- contact_sheet.lua - one picture of many: rows of characters, columns of views, skeletons drawn over them. The colours are those of
--- stance.label_overlay.
local group, image = require "stance.group", require "image"
local labels, overlay = require "stance.labels", require "stance.label_overlay"

local M = {}

local paper, ink, soft = "#f3f1ed", "#26292e", "#7b7f86"
local hues = overlay.hues
local margin, gap, title_room, row_room, cell_side, caption_room = 28, 10, 62, 38, 256, 22
local row_height = row_room + cell_side + caption_room
local max_rows, max_columns = 40, 8

---@class stance.contact_sheet.cell
---@field name string the view's name
---@field png string the picture
---@field labels table its labels, decoded

---@class stance.contact_sheet.row
---@field title string
---@field note? string in small letters behind the title
---@field cells stance.contact_sheet.cell[]

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
  local entries = { { "hidden by others", hues.others, true }, { "hidden", soft, true }, { "body's right", hues.right },
    { "body's left", hues.left } }
  for _, entry in ipairs(entries) do
    x = x - image.text_width(9, entry[1])
    sheet:text(x, y, 9, entry[1], soft)
    x = x - 12
    if entry[3] then sheet:ring(x, y - 4.5, 4, 1.6, entry[2]) else sheet:dot(x, y - 4.5, 4.5, entry[2]) end
    x = x - 22
  end
end

--- The square part of a row's pictures to show: where the body is in any of them, with some room, and not so little that
--- it would have to be enlarged. It reaches beyond a picture whose sides are too short.
---@param boxes number[][] x, y, width, height
---@param width integer of the pictures
---@param height integer
---@param shown_side integer pixels that it is shown with
---@return { x: integer, y: integer, side: integer, scale: number }
function M.crop(boxes, width, height, shown_side)
  local x0, y0, x1, y1 = width, height, 0, 0
  for _, box in ipairs(boxes) do
    if box[3] > 0 and box[4] > 0 then
      x0, y0 = math.min(x0, box[1]), math.min(y0, box[2])
      x1, y1 = math.max(x1, box[1] + box[3]), math.max(y1, box[2] + box[4])
    end
  end
  if x0 >= x1 or y0 >= y1 then x0, y0, x1, y1 = 0, 0, width, height end
  local side = math.ceil(math.max(x1 - x0, y1 - y0) * 1.2)
  side = math.min(math.max(side, math.min(shown_side, width, height)), math.max(width, height))
  local function start(from, to, size)
    local wished = math.floor((from + to - side) / 2 + 0.5)
    if side > size then return -math.floor((side - size) / 2) end
    return math.max(0, math.min(size - side, wished))
  end
  return { x = start(x0, x1, width), y = start(y0, y1, height), side = side, scale = shown_side / side }
end

local function draw_cell(sheet, cell, crop, x, y)
  local picture, err = image.decode(cell.png)
  if not picture then return nil, err end
  local part = image.new(crop.side, crop.side):paste(picture, -crop.x, -crop.y)
  picture:close()
  local small
  small, err = part:scale(cell_side, cell_side)
  part:close()
  if not small then return nil, err end
  overlay.draw_skeletons(small, cell.labels, { crop = crop })
  sheet:paste(small, x, y)
  small:close()
  sheet:text(x + 1, y + cell_side + 15, 9, fit_text(cell.name, 9, cell_side), soft)
  return true
end

local function draw_row(sheet, row, cells, top)
  sheet:text(margin, top + 26, 12, row.title, ink)
  if row.note then sheet:text(margin + image.text_width(12, row.title) + 12, top + 26, 9, row.note, soft) end
  local boxes, size = {}, cells[1].labels.image
  for i, cell in ipairs(cells) do boxes[i] = labels.box(cell.labels) end
  local crop = M.crop(boxes, size.width, size.height, cell_side)
  local failure
  group.map(cells, 2, function(cell, i)
    local ok, why = draw_cell(sheet, cell, crop, margin + (i - 1) * (cell_side + gap), top + row_room)
    if not ok then failure = why end
    return true
  end)
  return failure
end

local function begin_sheet(title, columns, row_count)
  local width = math.max(2 * margin + columns * cell_side + (columns - 1) * gap, 640)
  local sheet, err = image.new(width, title_room + row_count * row_height + margin, paper)
  if not sheet then return nil, err end
  sheet:text(margin, 40, 16, fit_text(title, 16, width - 2 * margin - 390), ink)
  legend(sheet, width - margin, 38)
  return sheet
end

--- Draws the sheet. At most 40 rows and 8 columns are shown; of longer rows views that are evenly spread. A row's
--- pictures are of one size, and all show the same part of it: where the body is. Waits.
---@param title string
---@param rows stance.contact_sheet.row[]
---@param read fun(cell: any): stance.contact_sheet.cell reads a cell when its row's turn has come; waits, may raise
---@return string|nil png
---@return table|nil err
function M.draw(title, rows, read)
  local columns, row_count = 1, math.min(#rows, max_rows)
  for _, row in ipairs(rows) do columns = math.max(columns, math.min(#row.cells, max_columns)) end
  local sheet, err = begin_sheet(title, columns, row_count)
  if not sheet then return nil, err end
  for r = 1, row_count do
    local cells = {}
    for c, index in ipairs(M.spread(#rows[r].cells, columns)) do cells[c] = read(rows[r].cells[index]) end
    local why = draw_row(sheet, rows[r], cells, title_room + (r - 1) * row_height)
    if why then return nil, why end
  end
  return sheet:png(4)
end

return M
