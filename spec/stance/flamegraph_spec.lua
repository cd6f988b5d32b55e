local flamegraph = require "stance.flamegraph"

local folded = "a;b;c 3\na;b 1\na;<d> 4\ne 2\n"

describe("a flame graph", function()
  it("is a tree of what was seen", function()
    local root, depth = flamegraph.parse(folded)
    assert.same({ 10, 8, 4, 3, 2, 3 }, { root.count, root.children.a.count, root.children.a.children.b.count,
      root.children.a.children.b.children.c.count, root.children.e.count, depth })
  end)

  it("has a box a function, as wide as its share, with its name escaped", function()
    local svg = flamegraph.svg(folded, { title = "x < y" })
    assert.truthy(svg:find('data-x="0.000000" data-w="0.800000" data-n="a"', 1, true))
    assert.truthy(svg:find('data-w="0.400000" data-n="&lt;d&gt;"', 1, true))
    assert.truthy(svg:find(">x &lt; y</text>", 1, true))
    assert.equal(6, select(2, svg:gsub('<g class="b"', "")))
  end)

  it("may be empty", function() assert.matches("</svg>", flamegraph.svg "") end)
end)
