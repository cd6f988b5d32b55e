--- exposition.lua - Prometheus' text format: the metrics of several processes as one page.
local M = {}

---@class stance.exposition.Family
---@field name string
---@field head string  the lines HELP and TYPE
---@field samples string[]

--- Lines of a page as families, in order. Samples belong to the TYPE line before them.
---@param text string  as metrics.text() gives it
---@return stance.exposition.Family[] families, table<string, stance.exposition.Family> by_name
function M.parse(text)
  local list, by_name, family = {}, {}, nil
  for line in text:gmatch "[^\n]+" do
    local name = line:match "^# HELP (%S+)"
    if name then
      family = { name = name, head = line, samples = {} }
      list[#list + 1], by_name[name] = family, family
    elseif line:byte() == 35 then -- "#": TYPE
      family.head = family.head .. "\n" .. line
    else
      family.samples[#family.samples + 1] = line
    end
  end
  return list, by_name
end

--- `name{a="b"} 1` with the label put in front: `name{worker="w",a="b"} 1`.
local function labelled(sample, label)
  local name, rest = sample:match "^([%w_]+)(.*)$"
  if rest:byte() == 123 then return ("%s{%s,%s"):format(name, label, rest:sub(2)) end
  return ("%s{%s}%s"):format(name, label, rest)
end

--- A page with all families of `own` as they are, and those of the others with `label` set to their name.
---@param own string
---@param label string
---@param others table<string, string>  page by name
---@return string
function M.merge(own, label, others)
  local list, by_name = M.parse(own)
  local names = {}
  for name in pairs(others) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local prefix = ('%s="%s"'):format(label, name)
    for _, family in ipairs((M.parse(others[name]))) do
      local known = by_name[family.name]
      if not known then
        known = { name = family.name, head = family.head, samples = {} }
        list[#list + 1], by_name[family.name] = known, known
      end
      for _, sample in ipairs(family.samples) do known.samples[#known.samples + 1] = labelled(sample, prefix) end
    end
  end
  local lines = {}
  for _, family in ipairs(list) do
    lines[#lines + 1] = family.head
    for _, sample in ipairs(family.samples) do lines[#lines + 1] = sample end
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
