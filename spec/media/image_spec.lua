local image = require "image"

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function unbase64(text)
  local out, bits, held = {}, 0, 0
  for letter in text:gmatch "[%w+/]" do
    held, bits = (held * 64 + letters:find(letter, 1, true) - 1) % 2 ^ 24, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(math.floor(held / 2 ^ bits) % 256)
    end
  end
  return table.concat(out)
end

-- Four by two pixels of one color each, made with ImageMagick.
local jpeg = unbase64 [[/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8X
GBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAACAAQDA
REAAhEBAxEB/8QAFAABAAAAAAAAAAAAAAAAAAAAB//EABQQAQAAAAAAAAAAAAAAAAAAAAD/xAAVAQEBAAAAAAAAAAAAAAAAAAAHCP/EABQRAQAAAAAAAA
AAAAAAAAAAAAD/2gAMAwEAAhEDEQA/ACIGLTf/2Q==]]
local webp = unbase64 [[UklGRjYAAABXRUJQVlA4ICoAAADQAQCdASoEAAIAAgA0JaACdLoB+AADsAD+7L2P/PTNeYP8nP+3Jl5tsAA=]]

local function pixel(picture, x, y)
  local width = picture:size()
  return { picture:rgba():byte((y * width + x) * 4 + 1, (y * width + x) * 4 + 4) }
end

local function assert_near(expected, got, most)
  for i, value in ipairs(expected) do
    assert.is_true(math.abs(value - got[i]) <= most, ("%s, not %s"):format(table.concat(got, " "), table.concat(expected, " ")))
  end
end

--- A picture without two equal rows or columns.
local function pattern(width, height)
  local picture = image.new(width, height, "#102030")
  for i = 0, math.min(width, height) - 1 do
    picture:fill(i, i, 1, 1, ("#%02x%02x%02x"):format(i * 37 % 256, i * 91 % 256, i * 13 % 256))
  end
  return picture
end

describe("image", function()
  describe("png", function()
    for _, size in ipairs { { 1, 1 }, { 3, 5 }, { 16, 16 }, { 257, 31 }, { 5, 300 } } do
      it(("comes back as it was: %d x %d"):format(size[1], size[2]), function()
        local before = pattern(size[1], size[2])
        local after = image.decode(before:png())
        assert.same(size, { after:size() })
        assert.equal(before:rgba(), after:rgba())
      end)
    end

    it("keeps alpha where there is any", function()
      local before = image.new(20, 20):fill(3, 3, 10, 10, "#ff000080")
      assert.equal(before:rgba(), image.decode(before:png()):rgba())
    end)

    it("gives the same bytes for the same pixels", function()
      assert.equal(pattern(64, 64):png(), pattern(64, 64):png())
    end)

    it("refuses a level that there is not", function()
      assert.has_error(function() image.new(1, 1):png(13) end)
    end)
  end)

  describe("decode", function()
    it("reads JPEG", function()
      local picture = assert(image.decode(jpeg))
      assert.same({ 4, 2 }, { picture:size() })
      assert_near({ 0xcc, 0x33, 0x11, 255 }, pixel(picture, 3, 1), 3)
    end)

    it("reads WebP", function()
      local picture = assert(image.decode(webp))
      assert.same({ 4, 2 }, { picture:size() })
      assert_near({ 0x33, 0x66, 0xcc, 255 }, pixel(picture, 0, 0), 6)
    end)

    it("scales what it reads when a size is given", function()
      local picture = image.decode(image.new(10, 10, "#336699"):png(), 4, 7)
      assert.same({ 4, 7 }, { picture:size() })
      assert.same({ 0x33, 0x66, 0x99, 255 }, pixel(picture, 3, 6))
    end)

    local png = "\137PNG\r\n\26\n\0\0\0\13IHDR"
    for name, case in pairs {
      ["no picture"] = { "hello", "unsupported" },
      ["nothing"] = { "", "unsupported" },
      ["a JPEG that ends early"] = { jpeg:sub(1, 100), "corrupt" },
      ["a PNG that ends early"] = { png, "corrupt" },
      ["a WebP that ends early"] = { webp:sub(1, 24), "corrupt" },
    } do
      it("refuses " .. name, function()
        local picture, err = image.decode(case[1])
        assert.is_nil(picture)
        assert.equal(case[2], err.code)
      end)
    end

    it("refuses a picture of too many pixels by its header", function()
      -- 20000 x 2 pixels: the header is right, and next to nothing follows
      local picture, err = image.decode(unbase64 "iVBORw0KGgoAAAANSUhEUgAATiAAAAACCAIAAAAyQnt3AAAACUlEQVR4nGMAAAABAAFe/335")
      assert.is_nil(picture)
      assert.equal("too_large", err.code)
    end)

    it("tells kinds by the first bytes", function()
      assert.equal("jpeg", image.kind(jpeg))
      assert.equal("webp", image.kind(webp))
      assert.equal("png", image.kind(image.new(1, 1):png()))
      assert.is_nil(image.kind "GIF89a")
    end)
  end)

  describe("jpeg", function()
    it("comes back about as it was", function()
      for _, quality in ipairs { 85, 95 } do
        local picture = assert(image.decode(assert(image.new(33, 21, "#3366cc"):fill(0, 0, 16, 21, "#cc3311"):jpeg(quality))))
        assert.same({ 33, 21 }, { picture:size() })
        assert_near({ 0xcc, 0x33, 0x11, 255 }, pixel(picture, 4, 10), 4)
        assert_near({ 0x33, 0x66, 0xcc, 255 }, pixel(picture, 28, 10), 4)
      end
    end)

    it("refuses a quality that there is not", function()
      assert.has_error(function() image.new(1, 1):jpeg(0) end)
      assert.has_error(function() image.new(1, 1):jpeg(101) end)
    end)
  end)

  describe("decode with options", function()
    -- an EXIF segment that says 6, "the first row is the right side", after the start of a JPEG
    local function turned(file)
      local exif = "Exif\0\0MM\0*\0\0\0\8\0\1\1\18\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
      return file:sub(1, 2) .. "\255\225\0" .. string.char(#exif + 2) .. exif .. file:sub(3)
    end

    it("turns photos upright when asked to", function()
      local file = turned(image.new(32, 16, "#3366cc"):fill(0, 0, 16, 16, "#cc3311"):jpeg(95))
      assert.same({ 32, 16 }, { image.decode(file):size() })
      local upright = image.decode(file, { upright = true })
      assert.same({ 16, 32 }, { upright:size() })
      assert_near({ 0xcc, 0x33, 0x11, 255 }, pixel(upright, 8, 4), 4)
      assert_near({ 0x33, 0x66, 0xcc, 255 }, pixel(upright, 8, 28), 4)
    end)

    it("refuses half a photo when asked to", function()
      local file = pattern(100, 100):jpeg()
      file = file:sub(1, #file * 3 / 4)
      assert.is_not_nil(image.decode(file))
      assert.equal("corrupt", select(2, image.decode(file, { whole = true })).code)
    end)

    it("has a limit of the caller's", function()
      local file = image.new(20, 10):png()
      assert.equal("too_large", select(2, image.decode(file, { max_pixels = 199 })).code)
      assert.same({ 5, 4 }, { image.decode(file, { max_pixels = 200, width = 5, height = 4 }):size() })
    end)

    it("refuses nonsense", function()
      assert.has_error(function() image.decode("", { max_pixels = -1 }) end)
      assert.has_error(function() image.decode("", { width = 3 }) end)
    end)
  end)

  describe("scale", function()
    it("takes the mean of what a pixel covers", function()
      local picture = image.new(4, 4, "#000000"):fill(0, 0, 2, 4, "#ffffff")
      assert.same({ 128, 128, 128, 255 }, pixel(picture:scale(1, 1), 0, 0))
      assert.same({ 255, 255, 255, 255 }, pixel(picture:scale(2, 2), 0, 1))
    end)

    it("does not mix in the color of what cannot be seen", function()
      local picture = image.new(2, 1):fill(0, 0, 1, 1, "#ff0000")
      assert.same({ 255, 0, 0, 128 }, pixel(picture:scale(1, 1), 0, 0))
    end)
  end)

  describe("drawing", function()
    it("covers half of a pixel by half", function()
      local picture = image.new(2, 1, "#000000"):fill(0, 0, 1.5, 1, "#ffffff")
      assert.same({ 255, 255, 255, 255 }, pixel(picture, 0, 0))
      assert.same({ 128, 128, 128, 255 }, pixel(picture, 1, 0))
    end)

    --- Somebody in the middle third of the picture, arms and legs spread.
    local function person(id, visibility)
      local landmarks = {}
      for i = 1, 33 do landmarks[i] = { x = 0.5, y = 0.3, z = 0, visibility = visibility } end
      local function put(mark, x, y) landmarks[mark + 1].x, landmarks[mark + 1].y = x, y end
      put(11, 0.6, 0.4)
      put(12, 0.4, 0.4)
      for mark, x in pairs { [13] = 0.7, [15] = 0.8, [14] = 0.3, [16] = 0.2 } do put(mark, x, 0.4) end
      for mark = 23, 32 do put(mark, mark % 2 == 1 and 0.6 or 0.4, mark < 25 and 0.6 or mark < 27 and 0.75 or 0.9) end
      return { id = id, score = 0.9, landmarks = landmarks }
    end

    it("draws people: left warm, right cool, nothing elsewhere", function()
      local picture = image.new(400, 400, "#808080")
      assert.equal(picture, picture:draw_pose { person(1, 1) })
      assert.same({ 255, 148, 48, 255 }, pixel(picture, 260, 160)) -- left upper arm
      assert.same({ 47, 155, 255, 255 }, pixel(picture, 140, 160))
      assert.same({ 255, 255, 255, 255 }, pixel(picture, 200, 160)) -- between the shoulders
      assert.same({ 128, 128, 128, 255 }, pixel(picture, 20, 300))
    end)

    it("draws faintly what is not seen well, and second people in other colors", function()
      local faint = image.new(400, 400, "#000000"):draw_pose { person(1, 0.2) }
      local red = pixel(faint, 260, 160)[1]
      assert.is_true(red > 20 and red < 120, red)
      local second = image.new(400, 400):draw_pose { person(1, 1), person(2, 1) }
      assert.same({ 255, 214, 51, 255 }, pixel(second, 260, 160))
    end)

    it("draws people of whom much is outside, or nowhere", function()
      local odd = person(7, 1)
      for i, mark in ipairs(odd.landmarks) do mark.x, mark.y = mark.x * (i % 5 - 2) * 1e5, i % 7 == 0 and 0 / 0 or mark.y end
      image.new(64, 64):draw_pose { odd, odd }
      image.new(1, 1):draw_pose { odd, person(1, 1) }
      image.new(8, 8):draw_pose {}
    end)

    it("refuses what is no person", function()
      local picture = image.new(8, 8)
      assert.has_error(function() picture:draw_pose { { landmarks = {} } } end)
      assert.has_error(function() picture:draw_pose { 1 } end)
      assert.has_error(function() picture:draw_pose(1) end)
    end)

    it("cuts what lies outside", function()
      local picture = image.new(8, 8, "#000000")
      picture:line(-1e9, 4, 1e9, 4, 2, "#ffffff"):dot(-50, -50, 10, "#ff0000"):ring(100, 100, 20, 2, "#ff0000")
      picture:text(-20, 500, 12, "far away", "#ff0000"):paste(image.new(3, 3, "#00ff00"), 6, -2)
      assert.same({ 255, 255, 255, 255 }, pixel(picture, 0, 4))
      assert.same({ 0, 255, 0, 255 }, pixel(picture, 7, 0))
      assert.same({ 0, 0, 0, 255 }, pixel(picture, 0, 7))
    end)

    it("writes text as wide as it says", function()
      local width = image.text_width(12, "front_right")
      local picture = image.new(math.ceil(width) + 20, 24, "#ffffff"):text(5, 17, 12, "front_right", "#000000")
      local inked, last = 0, 0
      local columns, rows = picture:size()
      for x = 0, columns - 1 do
        for y = 0, rows - 1 do
          if pixel(picture, x, y)[1] < 128 then inked, last = inked + 1, x end
        end
      end
      assert.is_true(inked > 100)
      assert.is_true(last <= 5 + width)
    end)

    for _, color in ipairs { "red", "#12345", "#1234567", "#gg0000", "" } do
      it("refuses the color '" .. color .. "'", function()
        assert.has_error(function() image.new(1, 1):fill(0, 0, 1, 1, color) end)
      end)
    end

    it("on a closed image is an error", function()
      local picture = image.new(2, 2)
      picture:close()
      assert.has_error(function() picture:fill(0, 0, 1, 1, "#000000") end)
      assert.has_error(function() picture:size() end)
    end)
  end)
end)
