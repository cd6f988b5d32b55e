local ffi, image, json, render, scene = require "ffi", require "image", require "json", require "render", require "scene"
local arrays, labels, overlay = require "stance.label_arrays", require "stance.labels", require "stance.label_overlay"

describe("labels beside pictures", function()
  local view, png, depth, info

  setup(function()
    local body = assert(scene.open "mannequin")
    for one in render.ring(body, { angles = 1, size = { 64, 96 }, samples = 1 }) do
      view, png = json.decode((one:labels())), one:png()
      depth, info = one:map "depth"
    end
    body:close()
  end)

  local function head_of(file)
    assert.equal("\147NUMPY\1\0", file:sub(1, 8))
    local length = file:byte(9) + 256 * file:byte(10)
    assert.equal(0, (10 + length) % 64)
    return file:sub(11, 10 + length), file:sub(11 + length)
  end

  it("are arrays of keypoints", function()
    local made = arrays.keypoints("h36m_17", 2)
    assert.is_true(made.add(view) and made.add(view))
    local files = made.finish()
    for _, name in ipairs { "keypoints_2d.npy", "keypoints_3d.npy" } do
      local head, bytes = head_of(files[name])
      assert.is_truthy(head:find("'shape': (2, 2, 17, 4)", 1, true), head)
      assert.equal(2 * 2 * 17 * 4 * 4, #bytes)
    end
    local numbers = ffi.cast("const float *", select(2, head_of(files["keypoints_3d.npy"])))
    assert.near(labels.select(view.people[1], "h36m_17")[1].world[2], numbers[1], 1e-5)
    assert.is_true(numbers[17 * 4] ~= numbers[17 * 4])
    assert.equal("Hip\nRHip", files["keypoints.txt"]:sub(1, 8))
    assert.equal("front.png\nfront.png\n", files["views.txt"])
  end)

  it("are maps", function()
    local head, bytes = head_of(arrays.npy(depth, info))
    assert.is_truthy(head:find("{'descr': '<f4', 'fortran_order': False, 'shape': (96, 64), }", 1, true), head)
    assert.equal(depth, bytes)
  end)

  it("are flow as Middlebury writes it, with 1e10 where nothing is known", function()
    local flow = ffi.new("float[8]", { 1.5, -2, 0 / 0, 0 / 0, 0, 3, -0 / 0, 1 / 0 })
    local file = arrays.flo(ffi.string(flow, 32), 2, 2)
    assert.equal("PIEH\2\0\0\0\2\0\0\0", file:sub(1, 12))
    local numbers, out = ffi.cast("const float *", file:sub(13)), {}
    for i = 0, 7 do out[i + 1] = numbers[i] end
    assert.same({ 1.5, -2, 1e10, 1e10, 0, 3, 1e10, math.huge }, out)
  end)

  it("are drawn over their picture, whatever the skeleton", function()
    local plain, seen = image.decode(png):rgba(), {}
    for format in pairs(labels.formats) do
      local drawn = assert(image.decode((assert(overlay.of_file(png, view, { format = format }))))):rgba()
      assert.equal(#plain, #drawn)
      assert.is_true(drawn ~= plain and not seen[drawn])
      seen[drawn] = true
    end
    local nothing, why = overlay.of_file("no picture", view)
    assert.is_nil(nothing)
    assert.equal("unsupported", why.code)
  end)
end)
