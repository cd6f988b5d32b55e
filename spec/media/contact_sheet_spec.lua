local image, json, render, scene = require "image", require "json", require "render", require "scene"
local contact_sheet = require "stance.contact_sheet"

describe("contact_sheet", function()
  local cells = {}

  setup(function()
    local body = assert(scene.open "mannequin")
    for view in render.ring(body, { angles = 3, size = { 96, 128 }, samples = 1 }) do
      cells[#cells + 1] = { name = view.name, png = view:png(), labels = json.decode((view:labels())) }
    end
    body:close()
  end)

  local function draw(rows) return contact_sheet.draw("a title", rows, function(cell) return cell end) end

  describe("spread", function()
    for _, case in ipairs {
      { 3, 8, { 1, 2, 3 } }, { 8, 8, { 1, 2, 3, 4, 5, 6, 7, 8 } }, { 16, 8, { 1, 3, 5, 7, 9, 11, 13, 15 } }, { 9, 2, { 1, 5 } },
    } do
      it(("shows %d of %d evenly"):format(#case[3], case[1]), function()
        assert.same(case[3], contact_sheet.spread(case[1], case[2]))
      end)
    end
  end)

  describe("crop", function()
    local function inside(crop, box)
      return crop.x <= box[1] and crop.y <= box[2] and crop.x + crop.side >= box[1] + box[3]
        and crop.y + crop.side >= box[2] + box[4]
    end

    for name, case in pairs {
      ["a body in the middle"] = { { 200, 100, 100, 300 } },
      ["bodies at the edges"] = { { 0, 0, 40, 200 }, { 480, 300, 32, 212 } },
      ["a body in the corner"] = { { 0, 0, 30, 30 } },
      ["a body that fills the picture"] = { { 0, 0, 512, 512 } },
    } do
      it("holds " .. name, function()
        local crop = contact_sheet.crop(case, 512, 512, 256)
        for _, box in ipairs(case) do assert.is_true(inside(crop, box)) end
        assert.is_true(crop.x >= 0 and crop.y >= 0 and crop.x + crop.side <= 512 and crop.y + crop.side <= 512)
        assert.is_true(crop.scale <= 1)
      end)
    end

    it("reaches beyond a picture that is too low", function()
      local crop = contact_sheet.crop({ { 10, 100, 600, 90 } }, 640, 360, 256)
      assert.is_true(inside(crop, { 10, 100, 600, 90 }))
      assert.is_true(crop.y < 0 and crop.y + crop.side > 360)
    end)

    it("is the whole picture when no body is in any", function()
      local crop = contact_sheet.crop({ { 0, 0, 0, 0 } }, 512, 256, 256)
      assert.same({ 0, -128, 512 }, { crop.x, crop.y, crop.side })
    end)
  end)

  it("grows with its rows and columns", function()
    local one = image.decode((assert(draw { { title = "a", cells = cells } })))
    local two = image.decode((assert(draw { { title = "a", cells = cells }, { title = "b", cells = { cells[1] } } })))
    local width, height = one:size()
    local same_width, more_height = two:size()
    assert.equal(width, same_width)
    assert.is_true(more_height > height + 256)
    assert.is_true(width > 3 * 256)
  end)

  it("draws each side in its color", function()
    local bytes = image.decode((assert(draw { { title = "a", cells = cells } }))):rgba()
    local left, right = 0, 0
    for i = 1, #bytes, 4 do
      local r, g, b = bytes:byte(i, i + 2)
      if r > 240 and g > 135 and g < 160 and b < 70 then left = left + 1 end
      if b > 240 and g > 145 and g < 170 and r < 70 then right = right + 1 end
    end
    assert.is_true(left > 300 and right > 300)
  end)

  it("says what is wrong with a picture that cannot be read", function()
    local png, err = draw { { title = "a", cells = { { name = "x", png = "no picture", labels = cells[1].labels } } } }
    assert.is_nil(png)
    assert.equal("unsupported", err.code)
  end)

  it("passes on what the reader raises", function()
    assert.has_error(function()
      contact_sheet.draw("t", { { title = "a", cells = cells } }, function() error({ code = "io", message = "gone" }, 0) end)
    end)
  end)
end)
