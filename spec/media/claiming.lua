-- claiming.lua - a PNG whose header, in good order, claims so many pixels.
local bit = require "bit"

local function crc32(text)
  local crc = -1
  for i = 1, #text do
    crc = bit.bxor(crc, text:byte(i))
    for _ = 1, 8 do crc = bit.bxor(bit.rshift(crc, 1), bit.band(0xedb88320, -bit.band(crc, 1))) end
  end
  return bit.bnot(crc)
end

local function big_endian(value)
  return string.char(bit.band(bit.rshift(value, 24), 255), bit.band(bit.rshift(value, 16), 255), bit.band(bit.rshift(value, 8), 255),
    bit.band(value, 255))
end

--- `png` with another width and height.
return function(png, width, height)
  local header = "IHDR" .. big_endian(width) .. big_endian(height) .. png:sub(25, 29)
  return png:sub(1, 12) .. header .. big_endian(crc32(header)) .. png:sub(34)
end
