--- flamegraph.lua - folded stacks as a picture: each box a function, as wide as its share of the samples, its callees on top.
---
--- The SVG is complete in itself: a click on a box makes it as wide as the picture (on the title: all of it), the box at the upper
--- right searches names and tells their share.
local fiber = require "fiber"

local M = {}

local width, row, margin, least = 1200, 17, 10, 0.1 -- pixels; narrower boxes are left out
local pause_every = 500 -- boxes, so that a host goes on answering

local function new_node(name) return { name = name, count = 0, children = {}, order = {} } end

--- Folded stacks as a tree {name, count, children, order}.
---@param folded string  lines "a;b;c COUNT"
---@return table root, integer depth
function M.parse(folded)
  local root, depth = new_node "all", 0
  for stack, count in folded:gmatch "([^\n]+) (%d+)\n" do
    local node, level = root, 0
    count = tonumber(count)
    root.count = root.count + count
    for name in stack:gmatch "[^;]+" do
      local child = node.children[name]
      if not child then
        child = new_node(name)
        node.children[name], node.order[#node.order + 1] = child, name
      end
      child.count = child.count + count
      node, level = child, level + 1
    end
    depth = math.max(depth, level)
  end
  return root, depth
end

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
local function escape(text) return (text:gsub('[&<>"]', escapes)) end

--- Warm for Lua, cool for C; the same name has the same colour.
local function color(name, root)
  local hash = 7
  for i = 1, #name do hash = (hash * 31 + name:byte(i)) % 997 end
  local part = hash / 997
  if root == "Lua" then return ("rgb(%d,%d,%d)"):format(225 + 30 * part, 120 + 90 * part, 60) end
  return ("rgb(%d,%d,%d)"):format(110 + 60 * part, 165 + 50 * part, 215 + 30 * part)
end

local head = [[<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="11">
<style>rect{stroke:#fff;stroke-width:.5}g.b{cursor:pointer}g.b:hover rect{stroke:#000;stroke-width:1}text{pointer-events:none}</style>
<rect width="100%%" height="100%%" fill="#fbfbf8"/>
<text id="title" x="%d" y="20" font-size="14" style="pointer-events:auto;cursor:pointer">%s</text>
<text id="find" x="%d" y="20" text-anchor="end" style="pointer-events:auto;cursor:pointer">search</text>
]]

local script = [==[<script><![CDATA[
(function () {
  var W = %d, M = %d, boxes = [].slice.call(document.querySelectorAll("g.b"));
  function num(g, n) { return parseFloat(g.getAttribute("data-" + n)); }
  function show(from, size) {
    boxes.forEach(function (g) {
      var x = (num(g, "x") - from) / size, w = num(g, "w") / size;
      var a = Math.max(0, x), b = Math.min(1, x + w), r = g.querySelector("rect"), t = g.querySelector("text");
      g.style.display = b - a > 0 && (b - a) * W > 0.3 ? "" : "none";
      r.setAttribute("x", M + a * W); r.setAttribute("width", Math.max(0, (b - a) * W));
      t.setAttribute("x", M + a * W + 3);
      var n = Math.floor(((b - a) * W - 6) / 6.7), name = g.getAttribute("data-n");
      t.textContent = n < 3 ? "" : name.length <= n ? name : name.slice(0, n - 2) + "..";
    });
  }
  boxes.forEach(function (g) { g.addEventListener("click", function () { show(num(g, "x"), num(g, "w")); }); });
  document.getElementById("title").addEventListener("click", function () { show(0, 1); });
  document.getElementById("find").addEventListener("click", function () {
    var word = prompt("part of a name") || "", spans = [];
    boxes.forEach(function (g) {
      var hit = word && g.getAttribute("data-n").indexOf(word) >= 0, r = g.querySelector("rect");
      r.style.fill = hit ? "#d050d0" : "";
      if (hit) spans.push([num(g, "x"), num(g, "x") + num(g, "w")]);
    });
    spans.sort(function (a, b) { return a[0] - b[0]; });
    var all = 0, end = 0;
    spans.forEach(function (s) { all += Math.max(0, s[1] - Math.max(end, s[0])); end = Math.max(end, s[1]); });
    this.textContent = word ? word + ": " + (all * 100).toFixed(1) + " %%" : "search";
  });
})();
// ]]></script>
</svg>
]==]

--- A flame graph. Must be called in a fiber: it pauses for others.
---@param folded string
---@param options? { title?: string }
---@return string svg
function M.svg(folded, options)
  local root, depth = M.parse(folded)
  local height, drawn = 50 + (depth + 1) * row, 0
  local out = { head:format(width, height, width, height, margin, escape(options and options.title or "flame graph"), width - margin) }
  local inner = width - 2 * margin
  local function draw(node, level, from, kind)
    local share = node.count / math.max(1, root.count)
    if share * inner < least then return end
    local x, wide, y = margin + from * inner, share * inner, height - 10 - (level + 1) * row
    local fits = math.floor((wide - 6) / 6.7)
    local label = fits < 3 and "" or #node.name <= fits and node.name or node.name:sub(1, fits - 2) .. ".."
    out[#out + 1] = ('<g class="b" data-x="%.6f" data-w="%.6f" data-n="%s"><title>%s: %d samples, %.1f %%</title>'
      .. '<rect x="%.2f" y="%d" width="%.2f" height="%d" fill="%s"/><text x="%.2f" y="%d">%s</text></g>\n'):format(from, share,
      escape(node.name), escape(node.name), node.count, share * 100, x, y, wide, row - 1, level == 0 and "#ddd" or color(node.name, kind),
      x + 3, y + 12, escape(label))
    drawn = drawn + 1
    if drawn % pause_every == 0 then fiber.yield() end
    table.sort(node.order)
    for _, name in ipairs(node.order) do
      local child = node.children[name]
      draw(child, level + 1, from, level == 0 and name or kind)
      from = from + child.count / math.max(1, root.count)
    end
  end
  draw(root, 0, 0)
  out[#out + 1] = script:format(inner, margin)
  return table.concat(out)
end

return M
