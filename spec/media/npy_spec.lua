local npy = require "npy"

describe("npy", function()
  it("writes what numpy.lib.format tells", function()
    local array = assert(npy.new { 2, 1 })
    assert(array:append { 1, -2 })
    assert(array:append { 0.5, 1e30 })
    assert(array:append { 0 / 0, 1 / 0 })
    local bytes = array:bytes()
    assert.equal("\147NUMPY\1\0", bytes:sub(1, 8))
    local length = bytes:byte(9) + 256 * bytes:byte(10)
    assert.equal(0, (10 + length) % 64)
    local head = bytes:sub(11, 10 + length)
    assert.is_truthy(head:find("^{'descr': '<f4', 'fortran_order': False, 'shape': %(3, 2, 1%), } *\n$"), head)
    local data = bytes:sub(11 + length)
    assert.equal(3 * 2 * 4, #data)
    assert.equal("\0\0\128\63" .. "\0\0\0\192" .. "\0\0\0\63" .. "\202\242\73\113", data:sub(1, 16))
    assert.equal("\0\0\128\127", data:sub(21))
    local high, low = data:byte(20, 20), data:byte(19, 19)
    assert.is_true(high % 128 == 127 and low > 128) -- a NaN
    assert.equal(3, array:rows())
  end)

  it("grows", function()
    local array = assert(npy.new { 3 })
    for i = 1, 1000 do assert(array:append { i, i, i }) end
    assert.equal("\0\0\122\68", array:bytes():sub(-4)) -- 1000
  end)

  it("may have no rows, and rows of one number", function()
    assert.is_truthy(assert(npy.new { 33, 4 }):bytes():find("'shape': (0, 33, 4)", 1, true))
    local flat = assert(npy.new {})
    assert(flat:append { 7 })
    assert.is_truthy(flat:bytes():find("'shape': (1,), }", 1, true))
  end)

  it("refuses rows of another length, and shapes that are none", function()
    local array = assert(npy.new { 2 })
    assert.has_error(function() array:append { 1 } end, "a row has 2 numbers, not 1")
    for _, shape in ipairs { { 0 }, { -1 }, { 1, 1, 1, 1, 1, 1, 1, 1, 1 }, { "x" } } do
      assert.is_false((pcall(npy.new, shape)))
    end
    local none, err = npy.new { 2 ^ 31 - 1, 2 ^ 31 - 1 }
    assert.same({ nil, "too_large" }, { none, err.code })
    assert.equal(0, array:rows())
  end)
end)
