local exposition = require "stance.exposition"
local lint = require "spec.e2e.exposition_lint"

local own = [[
# HELP a_total A.
# TYPE a_total counter
a_total 1
# HELP t_seconds T.
# TYPE t_seconds histogram
t_seconds_bucket{le="1"} 0
t_seconds_bucket{le="+Inf"} 2
t_seconds_sum 5
t_seconds_count 2
]]
local others = {
  two = '# HELP a_total A.\n# TYPE a_total counter\na_total{kind="x y"} 3\n',
  one = "# HELP b B.\n# TYPE b gauge\nb -1\n# HELP a_total A.\n# TYPE a_total counter\na_total 2\n",
}

describe("a page of several processes", function()
  it("has each family once, with what the others count labelled", function()
    assert.equal([[
# HELP a_total A.
# TYPE a_total counter
a_total 1
a_total{worker="one"} 2
a_total{worker="two",kind="x y"} 3
# HELP t_seconds T.
# TYPE t_seconds histogram
t_seconds_bucket{le="1"} 0
t_seconds_bucket{le="+Inf"} 2
t_seconds_sum 5
t_seconds_count 2
# HELP b B.
# TYPE b gauge
b{worker="one"} -1
]], exposition.merge(own, "worker", others))
  end)

  it("is well-formed", function() assert.same({}, (lint.check(exposition.merge(own, "worker", others)))) end)

  it("is the same page when there are no others", function() assert.equal(own, exposition.merge(own, "worker", {})) end)

  it("takes this process's own", function()
    local page = exposition.merge(require("metrics").text(), "worker", { w = require("metrics").text() })
    assert.same({}, (lint.check(page)))
  end)
end)

describe("the check of a page", function()
  local head = "# HELP x_total X.\n# TYPE x_total counter\n"
  for _, case in ipairs {
    { "no HELP", "x_total 1\n" }, { "two samples of one series", head .. "x_total 1\nx_total 2\n" },
    { "a family told twice", head .. "x_total 1\n" .. head }, { "no TYPE", "# HELP x_total X.\nx_total 1\n" },
    { "a counter's name", "# HELP x X.\n# TYPE x counter\nx 1\n" },
    { "a gauge's name", "# HELP x_total X.\n# TYPE x_total gauge\nx_total 1\n" },
    { "milliseconds", "# HELP x_ms X.\n# TYPE x_ms gauge\nx_ms 1\n" }, { "no number", head .. "x_total one\n" },
    { "an open quote", head .. 'x_total{a="b} 1\n' }, { "one label twice", head .. 'x_total{a="b",a="c"} 1\n' },
    { "no end of line", head .. "x_total 1" },
    { "buckets that fall", '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 3\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n' },
    { "no +Inf", '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 1\nh_count 2\n' },
    { "a count of its own", '# HELP h H.\n# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 3\n' },
    { "families in pieces", head .. "x_total 1\n# HELP y Y.\n# TYPE y gauge\ny 1\nx_total{a=\"b\"} 1\n" },
  } do
    it("finds " .. case[1], function() assert.is_true(#(lint.check(case[2])) > 0) end)
  end
end)
