local top = require "stance.top"

describe("quantiles of what came between two looks", function()
  local bounds = { 1, 2, 4 }
  local function quantile(before, after, q) return top.quantile({ counts = before }, { bounds = bounds, counts = after }, q) end

  for _, case in ipairs {
    { "nothing came", { 5, 5, 5, 5 }, { 5, 5, 5, 5 }, 0.5, nil },
    { "all in the first bucket", { 0, 0, 0, 0 }, { 10, 10, 10, 10 }, 0.5, 0.5 },
    { "the middle of a bucket", { 0, 0, 0, 0 }, { 0, 10, 10, 10 }, 0.5, 1.5 },
    { "only what is new", { 100, 100, 100, 100 }, { 100, 110, 110, 110 }, 0.5, 1.5 },
    { "across buckets", { 0, 0, 0, 0 }, { 50, 90, 100, 100 }, 0.99, 3.8 },
    { "beyond the last bound", { 0, 0, 0, 0 }, { 0, 0, 0, 4 }, 0.99, 4 },
    { "no former look at it", {}, { 2, 2, 2, 2 }, 1, 1 },
    { "no histogram at all", {}, {}, 0.5, nil },
  } do
    it("are known: " .. case[1], function()
      local value = quantile(case[2], case[3], case[4])
      if case[5] then assert.is_true(math.abs(value - case[5]) < 1e-9, tostring(value)) else assert.is_nil(value) end
    end)
  end
end)
