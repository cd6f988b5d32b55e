---@meta image
--- Pictures: read PNG, JPEG and WebP, scale them, draw on them, write PNG and JPEG. Pixels are 8-bit sRGB RGBA. Places are in
--- pixels, (0, 0) the outer corner of the top left one; colors are "#rrggbb" or "#rrggbbaa".
local M = {}

---@class stance.image
local image = {}

--- A new picture, transparent or of one color. Sides of 1 to 16384 pixels, at most 64 megapixels in all.
---@param width integer
---@param height integer
---@param color? string
---@return stance.image|nil, table|nil err
function M.new(width, height, color) end

---@class stance.image.options
---@field upright? boolean  turn a JPEG as its EXIF orientation asks, like browsers do with photos
---@field whole? boolean    refuse a JPEG that is damaged or ends early, instead of filling it up with grey
---@field max_pixels? integer  refuse larger pictures by their header; default 64 megapixels, which nothing may exceed
---@field width? integer    scale it to this size
---@field height? integer

--- Reads a file's bytes, and scales it when a size is given. The kind is told by the first bytes. Waits. Errors:
--- `unsupported`, `too_large`, `corrupt`.
---@param bytes string
---@param options? stance.image.options|integer options, or a width
---@param height? integer
---@return stance.image|nil, table|nil err
function M.decode(bytes, options, height) end

--- What the first bytes say.
---@param bytes string
---@return "png"|"jpeg"|"webp"|nil
function M.kind(bytes) end

--- How wide image:text will be.
---@param height number of capitals, pixels
---@param text string
---@return number pixels
function M.text_width(height, text) end

---@return integer width, integer height
function image:size() end

--- The pixels, 4 bytes each, rows from the top.
---@return string
function image:rgba() end

--- A rectangle. All drawing returns the picture itself.
---@param x number
---@param y number
---@param width number
---@param height number
---@param color string
---@return stance.image
function image:fill(x, y, width, height, color) end

--- A line with round ends.
---@param x0 number
---@param y0 number
---@param x1 number
---@param y1 number
---@param width number
---@param color string
---@return stance.image
function image:line(x0, y0, x1, y1, width, color) end

---@param x number
---@param y number
---@param radius number
---@param color string
---@return stance.image
function image:dot(x, y, radius, color) end

---@param x number
---@param y number
---@param radius number of the line's middle
---@param width number
---@param color string
---@return stance.image
function image:ring(x, y, radius, width, color) end

--- Text in the built-in font; letters outside ASCII show as boxes.
---@param x number
---@param y number the baseline
---@param height number of capitals
---@param text string
---@param color string
---@return stance.image
function image:text(x, y, height, text, color) end

--- Lays another picture over this one, its top left corner at x, y.
---@param from stance.image
---@param x integer
---@param y integer
---@return stance.image
function image:paste(from, x, y) end

--- Draws people over the picture that they were found in: left limbs warm, right ones cool, faint what is hardly visible,
--- ids and scores over the heads; several people in colours of their own.
---@param people pose.Person[] of a result of the module `pose`; at least `landmarks` of each
---@return stance.image
function image:draw_pose(people) end

--- A scaled copy: each pixel is the mean of what it covers. Waits.
---@param width integer
---@param height integer
---@return stance.image|nil, table|nil err
function image:scale(width, height) end

--- The picture as a PNG file, without alpha where all is opaque. Waits; nobody may draw on it meanwhile.
---@param level? integer 1 (fast) to 12 (small); default 6
---@return string|nil, table|nil err
function image:png(level) end

--- The picture as a JPEG file; what is transparent shows the colour that is stored. Waits like png.
---@param quality? integer 1 to 100; default 85
---@return string|nil, table|nil err
function image:jpeg(quality) end

--- Frees the pixels now instead of at the next collection.
function image:close() end

return M
