-- exposition_lint.lua - what is wrong with a page of Prometheus' text format, in the spirit of `promtool check metrics`.
local M = {}

local suffixes = { "_bucket", "_sum", "_count" }

--- The family that a sample belongs to.
local function family_of(name, families)
  if families[name] then return name end
  for _, suffix in ipairs(suffixes) do
    local base = name:sub(-#suffix) == suffix and name:sub(1, -#suffix - 1)
    if base and families[base] and families[base].type == "histogram" then return base, suffix end
  end
end

--- `a="1",le="2"` -> { a = "1", le = "2" }, and the labels but `le` in one order; nil when malformed.
local function parse_labels(text)
  local labels, rest, keys = {}, text, {}
  while rest ~= "" do
    local name, after = rest:match '^([%a_][%w_]*)="(.*)$'
    if not name then return nil end
    local value, at = {}, 1
    while after:sub(at, at) ~= '"' do
      if at > #after then return nil end
      local size = after:sub(at, at) == "\\" and 2 or 1
      value[#value + 1] = after:sub(at, at + size - 1)
      at = at + size
    end
    if labels[name] then return nil end
    labels[name] = table.concat(value)
    if name ~= "le" then keys[#keys + 1] = name .. "=" .. labels[name] end
    rest = after:sub(at + 1):gsub("^,", "")
  end
  table.sort(keys)
  return labels, table.concat(keys, ",")
end

local function check_names(family, say)
  local name, kind = family.name, family.type
  if kind == "counter" and not name:find "_total$" then say(name .. ": a counter's name ends in _total") end
  if kind ~= "counter" and name:find "_total$" then say(name .. ": only a counter's name ends in _total") end
  for _, unit in ipairs { "milliseconds", "_ms$", "_ms_", "minutes", "kilobytes", "_kb", "megabytes", "_mb", "percent" } do
    if name:find(unit) then say(name .. ": not a base unit (seconds, bytes, ratios)") end
  end
  if family.help == "" then say(name .. ": no help") end
end

local function check_histograms(family, say)
  for key, series in pairs(family.series) do
    local what = ("%s{%s}"):format(family.name, key)
    table.sort(series.buckets, function(a, b) return a.le < b.le end)
    local last = series.buckets[#series.buckets]
    if not last or last.le ~= math.huge then say(what .. ": no +Inf bucket")
    elseif last.value ~= series.count then say(what .. ": _count is not the +Inf bucket") end
    if not series.sum then say(what .. ": no _sum") end
    for i = 2, #series.buckets do
      if series.buckets[i].value < series.buckets[i - 1].value then say(what .. ": buckets are not cumulative") end
    end
  end
end

local function take_head(line, families, order, say)
  local kind, name, words = line:match "^# (%u+) ([%a_:][%w_:]*) (.*)$"
  if not kind then return say("malformed: " .. line) end
  local family = families[name]
  if kind == "HELP" then
    if family then say(name .. ": told twice") end
    families[name] = { name = name, help = words, series = {} }
    order[#order + 1] = families[name]
  elseif not family or family.type then
    say(name .. ": TYPE must follow HELP, once")
  else
    family.type = words
  end
end

local function take_sample(line, families, seen, say)
  local name, labels_text, value = line:match "^([%a_:][%w_:]*){(.*)} (%S+)$"
  if not name then name, value = line:match "^([%a_:][%w_:]*) (%S+)$" end
  if not name or not tonumber((value:gsub("Inf", "1e999"))) then return say("malformed: " .. line) end
  local family_name, suffix = family_of(name, families)
  if not family_name then return say(name .. ": no HELP and TYPE before it") end
  local labels, key = parse_labels(labels_text or "")
  if not labels then return say("malformed labels: " .. line) end
  local id = name .. "{" .. key .. "}" .. (labels.le or "")
  if seen[id] then say(id .. ": twice") end
  seen[id] = true
  local family = families[family_name]
  if family.last and family ~= seen.family then say(family_name .. ": its samples do not stand together") end
  seen.family, family.last = family, true
  local series = family.series[key] or { buckets = {} }
  family.series[key] = series
  if suffix == "_bucket" then
    table.insert(series.buckets, { le = labels.le == "+Inf" and math.huge or tonumber(labels.le), value = tonumber(value) })
  elseif suffix then
    series[suffix:sub(2)] = tonumber(value)
  end
end

--- Everything that is wrong with `text`, as sentences, and its families by name {name, type, help, series}.
---@param text string
---@return string[] problems, table<string, table> families
function M.check(text)
  local problems, families, order, seen = {}, {}, {}, {}
  local function say(problem) problems[#problems + 1] = problem end
  if text:sub(-1) ~= "\n" then say "the last line does not end" end
  for line in text:gmatch "([^\n]*)\n" do
    if line:sub(1, 1) == "#" then take_head(line, families, order, say) else take_sample(line, families, seen, say) end
  end
  for _, family in ipairs(order) do
    if not family.type then say(family.name .. ": no TYPE") end
    if not next(family.series) then say(family.name .. ": no samples") end
    check_names(family, say)
    if family.type == "histogram" then check_histograms(family, say) end
  end
  return problems, families
end

return M
