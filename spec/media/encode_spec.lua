local encode = require "encode"
local image = require "image"

local function bytes_of(...)
  return string.char(...)
end

-- A slope with a disc: as pictures are, smooth with edges.
local function picture(width, height, channels)
  local out = {}
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local inside = (x - width / 2) ^ 2 + (y - height / 2) ^ 2 < (height / 3) ^ 2
      for c = 1, channels do
        out[#out + 1] = c == 4 and 255 or inside and (40 * c + x) % 256 or (y * 2 + c * 30) % 256
      end
    end
  end
  local text = {}
  for i = 1, #out, 4000 do text[#text + 1] = string.char(unpack(out, i, math.min(#out, i + 3999))) end
  return table.concat(text), { dtype = "uint8", shape = { height, width, channels } }
end

local function u32(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- The chunks of a PNG by type, checked for order.
local function chunks(png)
  local list, at = {}, 9
  while at < #png do
    local size, kind = u32(png, at), png:sub(at + 4, at + 7)
    list[#list + 1] = { kind = kind, data = png:sub(at + 8, at + 7 + size) }
    at = at + 12 + size
  end
  return list
end

describe("encode", function()
  it("writes colours that read back as they were", function()
    for _, channels in ipairs { 3, 4 } do
      local bytes, array = picture(61, 47, channels)
      for _, level in ipairs { 0, 1, 9 } do
        local back = assert(image.decode(assert(encode.png(bytes, array, { level = level }))))
        local rgba = back:rgba()
        for i = 0, 61 * 47 - 1 do
          if rgba:sub(i * 4 + 1, i * 4 + 3) ~= bytes:sub(i * channels + 1, i * channels + 3) then
            error("pixel " .. i .. " differs at level " .. level)
          end
        end
      end
    end
  end)

  it("writes lossless WebP that reads back, and JPEG and WebP that are near", function()
    local bytes, array = picture(64, 64, 3)
    local function distance(file)
      local rgba, sum = assert(image.decode(file)):rgba(), 0
      for i = 0, 64 * 64 - 1 do
        for c = 1, 3 do sum = sum + math.abs(rgba:byte(i * 4 + c) - bytes:byte(i * 3 + c)) end
      end
      return sum / (64 * 64 * 3)
    end
    assert.equal(0, distance(assert(encode.webp(bytes, array, { lossless = true }))))
    local good, poor = assert(encode.jpeg(bytes, array, { quality = 98 })), assert(encode.jpeg(bytes, array, { quality = 20 }))
    assert.is_true(distance(good) < 3 and distance(poor) < 25 and #poor < #good)
    local webp = assert(encode.webp(bytes, array, { quality = 95 }))
    assert.equal("webp", image.kind(webp))
    assert.is_true(distance(webp) < 6)
  end)

  it("shows the numbers of a mask in colours of their own", function()
    local array = { dtype = "uint8", shape = { 2, 3 } }
    local mask = assert(encode.png(bytes_of(0, 1, 2, 0, 255, 1), array, { palette = true }))
    local list = chunks(mask)
    assert.same({ "IHDR", "PLTE", "IDAT", "IEND" }, { list[1].kind, list[2].kind, list[3].kind, list[4].kind })
    assert.equal(3, list[1].data:byte(10)) -- an index PNG: readers that do not ask for colours get the numbers
    assert.equal(bytes_of(0, 0, 0), list[2].data:sub(1, 3))
    local rgba, seen = assert(image.decode(mask)):rgba(), {}
    for i = 0, 5 do seen[i] = rgba:sub(i * 4 + 1, i * 4 + 3) end
    assert.equal(seen[0], seen[3])
    assert.equal(seen[1], seen[5])
    assert.is_true(seen[1] ~= seen[2] and seen[2] ~= seen[4] and seen[4] ~= seen[0])
    local grey = chunks(assert(encode.png(bytes_of(0, 1, 2, 0, 255, 1), array)))
    assert.equal(0, grey[1].data:byte(10))
  end)

  it("writes depths in millimetres", function()
    -- 1.5 m, infinity, 0.0004 m, 100 m
    local floats = bytes_of(0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0x7f, 0x17, 0xb7, 0xd1, 0x39, 0, 0, 0xc8, 0x42)
    local png = assert(encode.depth(floats, { dtype = "float32", shape = { 2, 2 } }))
    local list = chunks(png)
    assert.equal(16, list[1].data:byte(9))
    assert.equal(0, list[1].data:byte(10))
    local rgba = assert(image.decode(png)):rgba() -- rounded to eight bits
    assert.equal(math.floor(1500 / 257 + 0.5), rgba:byte(1))
    assert.equal(0, rgba:byte(5))
    assert.equal(0, rgba:byte(9))
    assert.equal(255, rgba:byte(13))
  end)

  it("writes arrays for NumPy", function()
    local npy = assert(encode.npy(("x"):rep(48), { dtype = "float32", shape = { 2, 3, 2 } }))
    assert.equal(128 + 48, #npy)
    assert.equal("\147NUMPY\1\0", npy:sub(1, 8))
    assert.matches("^{'descr': '<f4', 'fortran_order': False, 'shape': %(2, 3, 2,%), } *\n$", npy:sub(11, 128))
    assert.matches("'|u1'.*%(5,%)", assert(encode.npy("12345", { dtype = "uint8", shape = { 5 } })))
  end)

  it("refuses what is no picture, in words", function()
    for _, case in ipairs {
      { encode.png, "1234", { dtype = "float32", shape = { 1, 1 } }, "float32 in 2 dimensions, 1 channels, is no PNG" },
      { encode.jpeg, "12", { dtype = "uint8", shape = { 1, 2 } }, "is no JPEG" },
      { encode.depth, "12", { dtype = "uint8", shape = { 1, 2 } }, "is no picture of depths" },
    } do
      local file, err = case[1](case[2], case[3])
      assert.is_nil(file)
      assert.equal("invalid", err.code)
      assert.matches(case[4], err.message)
    end
    assert.has_error(function() encode.png("123", { dtype = "uint8", shape = { 2, 2 } }) end)
    assert.has_error(function() encode.png("1", { dtype = "int8", shape = { 1 } }) end)
    assert.has_error(function() encode.png("1", { dtype = "uint8", shape = {} }) end)
    assert.has_error(function() encode.jpeg("1", { dtype = "uint8", shape = { 1, 1 } }, { quality = 101 }) end)
  end)
end)

describe("a shard", function()
  it("is a tar archive that tar reads", function()
    local shard = assert(encode.shard())
    assert(shard:add("people/000001", { png = "picture", json = "{}", ["depth.png"] = ("d"):rep(1000) }))
    assert(shard:add("people/000002", { png = "", json = "[]" }))
    assert.same({ 2, 5 }, { shard:count() })
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(shard:bytes())
    file:close()
    local pipe = assert(io.popen("tar tvf " .. path .. " && tar xOf " .. path .. " people/000001.depth.png"))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(path)
    local names = {}
    for name in text:gmatch "people/[^\n]+" do names[#names + 1] = name end
    assert.same({
      "people/000001.depth.png", "people/000001.json", "people/000001.png", "people/000002.json", "people/000002.png",
    }, names)
    assert.matches("%-rw%-r%-%-r%-%- 0/0 +1000 1970%-01%-01", text)
    assert.equal(("d"):rep(1000), text:sub(-1000))
  end)

  it("has the same bytes for the same samples", function()
    local one, other = assert(encode.shard()), assert(encode.shard())
    for _, shard in ipairs { one, other } do assert(shard:add("a", { x = "1", y = "2", z = "3" })) end
    assert.equal(one:bytes(), other:bytes())
    assert.equal(0, #one:bytes() % 512)
    other:clear()
    assert.equal(1024, #other:bytes())
  end)

  it("takes a sample whole or not at all", function()
    local shard = assert(encode.shard(4096))
    assert(shard:add("a", { x = ("1"):rep(512) }))
    local before = shard:bytes()
    local err = select(2, shard:add("b", { x = ("1"):rep(512), y = ("2"):rep(512), z = "3" }))
    assert.equal("too_large", err.code)
    assert.equal(before, shard:bytes())
    assert(shard:add("c", { x = ("1"):rep(512) }))
    assert.equal(4 * 512 + 1024, #shard:bytes())
  end)

  it("refuses names that a reader would not give back", function()
    local shard = assert(encode.shard())
    for _, key in ipairs { "", "a.b", "../a", "/a", "a/", "a//b", "a b", ("k"):rep(81) } do
      assert.equal("invalid", select(2, shard:add(key, { x = "1" })).code)
    end
    for _, ending in ipairs { "", ".", "a..b", "a/b", "a b" } do
      assert.equal("invalid", select(2, shard:add("a", { [ending] = "1" })).code)
    end
    assert.equal("invalid", select(2, shard:add("a", {})).code)
    assert.has_error(function() shard:add("a", { "1" }) end)
    shard:close()
    shard:close()
    assert.has_error(function() shard:bytes() end)
  end)
end)
