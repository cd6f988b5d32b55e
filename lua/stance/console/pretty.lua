--- pretty.lua - Lua values as people read them: sorted, indented, never endless.
---
---     pretty.text({ b = 2, "one", a = { deep = true } })     -- { "one", a = { deep = true }, b = 2 }
---
--- Limits keep any value readable: levels, entries a table, bytes a string and bytes in all. What was left out is marked with an
--- ellipsis, and the second result says that something was.
local console, json = require "console", require "json"

local M = {}

local keys_sorted = 5000 -- a table with more is shown in the order it has

local escapes = { ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ["\\"] = "\\\\", ['"'] = '\\"', ["\0"] = "\\0" }

local reserved = {}
local words = "and break do else elseif end false for function goto if in local nil not or repeat return then true until while"
for word in words:gmatch "%a+" do reserved[word] = true end

local colors = { string = "32", number = "36", constant = "33", thing = "35", error = "31", note = "2" }

---@class stance.console.PrettyOptions
---@field color? boolean  escapes of a terminal
---@field width? integer  columns; 80
---@field depth? integer  levels of tables; 4
---@field items? integer  entries a table; 100
---@field text? integer   bytes a string; 1000
---@field bytes? integer  bytes in all; 256 KiB

--- A thousand's separators: 12,345.
---@param count integer
---@return string
function M.count(count)
  local digits = ("%d"):format(count)
  return (digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

-- -- Scalars --------------------------------------------------------------------------------------------------------

--- Bytes that are no UTF-8, or that a terminal would obey, become \ddd.
local function escape(text)
  text = text:gsub('[%c"\\\127]', function(byte) return escapes[byte] or ("\\%03d"):format(byte:byte()) end)
  if not text:find "[\128-\255]" then return text end
  text = text:gsub("\194[\128-\159]", function(control) return ("\\194\\%d"):format(control:byte(2)) end)
  local out, at = {}, 1
  while at <= #text do
    local good = text:match("^[%z\1-\127]+", at) or text:match("^[\194-\223][\128-\191]", at)
      or text:match("^\224[\160-\191][\128-\191]", at) or text:match("^[\225-\236\238\239][\128-\191][\128-\191]", at)
      or text:match("^\237[\128-\159][\128-\191]", at) or text:match("^\240[\144-\191][\128-\191][\128-\191]", at)
      or text:match("^[\241-\243][\128-\191][\128-\191][\128-\191]", at) or text:match("^\244[\128-\143][\128-\191][\128-\191]", at)
    out[#out + 1] = good or ("\\%03d"):format(text:byte(at))
    at = at + (good and #good or 1)
  end
  return table.concat(out)
end

--- A string as Lua would write it, cut after `limit` bytes.
---@param text string
---@param limit integer
---@return string shown, boolean cut
function M.quote(text, limit)
  if #text <= limit then return '"' .. escape(text) .. '"', false end
  local cut = limit
  while cut > 1 and (text:byte(cut + 1) or 0) >= 128 and (text:byte(cut + 1) or 0) < 192 do cut = cut - 1 end
  return ('"%s…" (%s bytes)'):format(escape(text:sub(1, cut)), M.count(#text)), true
end

---@param value number
---@return string
function M.number(value)
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%d"):format(value) end
  local short = ("%.14g"):format(value)
  return tonumber(short) == value and short or ("%.17g"):format(value)
end

local function describe_function(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" or info.source == "=wait" then return "function (C)" end -- what waits is C with a piece of Lua around it
  return ("function %s:%d"):format(info.short_src, info.linedefined)
end

local function columns(text)
  local _, continued = text:gsub("[\128-\191]", "")
  return #text - continued
end

-- -- Tables ---------------------------------------------------------------------------------------------------------

local type_order = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local type_a, type_b = type(a), type(b)
  if type_a ~= type_b then return (type_order[type_a] or 4) < (type_order[type_b] or 4) end
  if type_a == "number" or type_a == "string" then return a < b end
  return tostring(a) < tostring(b)
end

---@class stance.console.Printer
local Printer = {}
Printer.__index = Printer

function Printer:paint(kind, text)
  return self.color and ("\27[%sm%s\27[0m"):format(colors[kind], text) or text
end

--- -> text, columns; counts what it makes.
function Printer:leaf(kind, text)
  self.used = self.used + #text
  return self:paint(kind, text), columns(text)
end

function Printer:note(text)
  self.cut = true
  return self:leaf("note", text)
end

--- The entries that are not 1..n, sorted where that is cheap.
local function other_keys(value, length, limit)
  local keys, count = {}, 0
  for key in next, value do
    if not (type(key) == "number" and key >= 1 and key <= length and key == math.floor(key)) then
      count = count + 1
      if count <= math.max(limit, keys_sorted) then keys[count] = key end
    end
  end
  if count <= keys_sorted then table.sort(keys, before) end
  return keys, count
end

local function array_length(value)
  local length = 0
  while rawget(value, length + 1) ~= nil do length = length + 1 end
  return length
end

function Printer:key(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not reserved[key] then return self:leaf("note", key), columns(key) end
  local text, width = self:value(key, 0, "?", self.depth)
  return "[" .. text .. "]", width + 2
end

--- The parts of a table: { text, columns } each.
function Printer:parts(value, indent, path, level)
  local parts, left = {}, self.items
  local function add(text, width) parts[#parts + 1] = { text, width } end
  local length = array_length(value)
  for i = 1, math.min(length, left) do
    if self.used > self.bytes then break end
    add(self:value(rawget(value, i), indent + 2, ("%s[%d]"):format(path, i), level + 1))
  end
  left = left - math.min(length, left)
  local keys, count = other_keys(value, length, left)
  local shown = 0
  for i = 1, math.min(count, left) do
    if self.used > self.bytes then break end
    local key_text, key_width = self:key(keys[i])
    local name = type(keys[i]) == "string" and "." .. keys[i] or "[" .. tostring(keys[i]) .. "]"
    local text, width = self:value(rawget(value, keys[i]), indent + 2, path .. name, level + 1)
    add(key_text .. " = " .. text, width and key_width + 3 + width)
    shown = i
  end
  local missing = math.max(0, length - self.items) + count - shown
  if self.used > self.bytes then add(self:note "…")
  elseif missing > 0 then add(self:note(("… %s more"):format(M.count(missing)))) end
  return parts
end

--- -> text, columns (nil when it has several lines)
function Printer:table(value, indent, path, level)
  if next(value) == nil then return "{}", 2 end
  if level >= self.depth then return self:note "{…}" end
  self.open[value] = path
  local parts = self:parts(value, indent, path, level)
  self.open[value] = nil
  local width, one_line = 4, true
  for _, part in ipairs(parts) do
    one_line = one_line and part[2] ~= nil
    width = width + (part[2] or 0) + 2
  end
  local texts = {}
  for i, part in ipairs(parts) do texts[i] = part[1] end
  if one_line and indent + width <= self.width then return "{ " .. table.concat(texts, ", ") .. " }", width end
  local space = (" "):rep(indent + 2)
  return "{\n" .. space .. table.concat(texts, ",\n" .. space) .. "\n" .. (" "):rep(indent) .. "}", nil
end

--- What a __tostring says, on one line.
function Printer:described(value, kind)
  local ok, text = pcall(tostring, value)
  if not ok or type(text) ~= "string" then text = "(its __tostring failed)" end
  return self:leaf(kind, escape(text:sub(1, self.text)):gsub('\\"', '"'), nil)
end

function Printer:error(value)
  local text = value.message
  text = type(text) == "string" and text or tostring(value)
  return self:leaf("error", ("error %s: %s"):format(tostring(value.code), (escape(text:sub(1, self.text)):gsub('\\"', '"'))))
end

function Printer:value(value, indent, path, level)
  local kind = type(value)
  if kind == "string" then
    local text, cut = M.quote(value, self.text)
    self.cut = self.cut or cut
    return self:leaf("string", text)
  elseif kind == "number" then
    return self:leaf("number", M.number(value))
  elseif kind == "nil" or kind == "boolean" then
    return self:leaf("constant", tostring(value))
  elseif value == json.null then
    return self:leaf("constant", "null")
  elseif kind == "function" then
    return self:leaf("thing", describe_function(value))
  elseif kind ~= "table" then
    return self:described(value, "thing")
  end
  local meta = console.metatable(value)
  local has_text = type(meta) == "table" and rawget(meta, "__tostring") ~= nil
  if has_text and type(rawget(value, "code")) == "string" and rawget(value, "message") ~= nil then return self:error(value) end
  if has_text then return self:described(value, "thing") end
  if self.open[value] then return self:leaf("note", "<cycle: " .. self.open[value] .. ">") end
  return self:table(value, indent, path, level)
end

-- -- Faces ----------------------------------------------------------------------------------------------------------

--- A value as text, and whether something was left out. Calls `__tostring` of what has one, and no other code.
---@param value any
---@param options? stance.console.PrettyOptions
---@return string text, boolean cut
function M.text(value, options)
  options = options or {}
  local printer = setmetatable({
    color = options.color, width = options.width or 80, depth = options.depth or 4, items = options.items or 100,
    text = options.text or 1000, bytes = options.bytes or 256 * 1024, used = 0, open = {}, cut = false,
  }, Printer)
  local text = printer:value(value, 0, "_", 0)
  return text, printer.cut
end

--- A copy of the value that JSON can carry: what it cannot becomes text.
---@param value any
---@return any
function M.plain(value, open, level)
  local kind = type(value)
  open, level = open or {}, level or 1
  if value == nil then return json.null end
  if kind == "number" then return value == value and math.abs(value) ~= math.huge and value or tostring(value) end
  if kind == "string" or kind == "boolean" or value == json.null then return value end
  if open[value] then return "<cycle>" end
  local meta = console.metatable(value)
  local is_error = kind == "table" and type(rawget(value, "code")) == "string" and rawget(value, "message") ~= nil
  if kind ~= "table" or level > 32 or (type(meta) == "table" and rawget(meta, "__tostring") and not is_error) then
    return (M.text(value, { depth = 1, items = 3 }))
  end
  open[value] = true
  local length, copy = array_length(value), {}
  local is_array = length > 0 and select(2, other_keys(value, length, 0)) == 0
  for key, item in next, value do copy[is_array and key or tostring(key)] = M.plain(item, open, level + 1) end
  open[value] = nil
  return is_array and json.array(copy) or copy
end

return M
