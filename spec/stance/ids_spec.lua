local ids = require "stance.ids"

describe("ids.job", function()
  it("names type, UTC date and time, and eight hex digits", function()
    for _, case in ipairs {
      { "render", 0, "render_19700101_000000" },
      { "render", 1795173753.9, "render_20261120_112233" },
      { "pose-2_b", 951782399, "pose-2_b_20000228_235959" },
      { "x", 951782400, "x_20000229_000000" },
    } do
      local id = ids.job(case[1], case[2])
      assert.equal(case[3], id:sub(1, -10))
      assert.is_truthy(id:sub(-9):match "^_%x%x%x%x%x%x%x%x$", id)
      assert.equal(id, id:gsub("%u", "")) -- no capitals: safe as file names everywhere
    end
  end)

  it("does not come twice in a microsecond", function()
    local seen = {}
    for _ = 1, 4096 do
      local id = ids.job("t", 1e9)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)

  it("comes in the order of time", function()
    local last = ids.job("t", 1e9)
    for i = 1, 1000 do
      local id = ids.job("t", 1e9 + i * 0.0037)
      assert.is_true(id > last, id)
      last = id
    end
  end)
end)
