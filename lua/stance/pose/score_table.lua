--- score_table.lua - a score as a table for people. No effects.
local score = require "stance.pose.score"

local M = {}

local worst_most = 5

local function percent(share) return share and ("%.0f %%"):format(share * 100) or "-" end

local function number(format, value) return value and format:format(value) or "-" end

local function row(name, sum)
  return { name, tostring(sum.pictures), percent(sum.detection_rate), number("%.2f", sum.oks), percent(sum.pck),
    number("%.0f mm", sum.pa_mpjpe_mm) }
end

--- Characters that bytes begin, which is near enough to columns.
local function width_of(text) return select(2, text:gsub("[^\128-\191]", "")) end

local function align(rows)
  local widths, lines = {}, {}
  for _, cells in ipairs(rows) do
    for i, cell in ipairs(cells) do widths[i] = math.max(widths[i] or 0, width_of(cell)) end
  end
  for r, cells in ipairs(rows) do
    local out = {}
    for i, cell in ipairs(cells) do
      local room = (" "):rep(widths[i] - width_of(cell))
      out[i] = i == 1 and cell .. room or room .. cell
    end
    lines[r] = table.concat(out, "  ")
  end
  return table.concat(lines, "\n") .. "\n"
end

--- "left wrist 62 %": of the joints that PA-MPJPE looks at, those that were missed most.
local function worst(joints)
  local list, words = {}, {}
  for _, name in ipairs(score.joints) do
    if joints[name] and joints[name].pck < 1 then list[#list + 1] = { name = name, pck = joints[name].pck } end
  end
  table.sort(list, function(a, b) return a.pck < b.pck or a.pck == b.pck and a.name < b.name end)
  for i = 1, math.min(#list, worst_most) do words[i] = list[i].name:gsub("_", " ") .. " " .. percent(list[i].pck) end
  return table.concat(words, ", ")
end

--- A line a character, then one of all; below it the joints that were missed most.
---@param scores { all: stance.pose.score, characters: table[], model: string } what a pose job writes to score.json
---@return string
function M.text(scores)
  local rows = { { ("estimated (%s) against labels"):format(scores.model), "pictures", "found", "OKS", "PCK@0.2", "PA-MPJPE" } }
  for _, sum in ipairs(scores.characters) do rows[#rows + 1] = row(sum.name, sum) end
  if #scores.characters ~= 1 then rows[#rows + 1] = row("all", scores.all) end
  local missed = worst(scores.all.joints)
  return align(rows) .. (missed ~= "" and "missed most: " .. missed .. "\n" or "")
end

return M
