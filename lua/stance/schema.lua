--- schema.lua - what values must look like, said once: for checking, for defaults, for documentation.
---
---     local t = require "stance.schema"
---     local params = t.object {
---       characters = t.list(t.path) { min = 1 },
---       angles     = t.integer { default = 8, min = 1, max = 360 },
---       height     = t.number { default = 1.6, unit = "m" },
---       mode       = t.enum { "fast", "fine" } { optional = true },
---     }
---     local value, err = params:check(input, { at = "params" })
---
--- A type stands bare (`t.string`) or refined by a call with options (`t.string { max = 64 }`); refining makes a new schema, any
--- number of times. `check` returns a copy with defaults filled in, or nil and an error whose `errors` lists every fault with
--- its path. A field is required unless it has a `default` or is `optional`; JSON null counts as absent. Fields that an object
--- does not know are refused, with a guess at what was meant.
---
--- Options of all types: `default`, `optional`, `doc`, `unit`, `example`.
--- integer, number: `min`, `max`. string: `min`, `max` (bytes), `pattern` (Lua). list: `min`, `max` (entries), `unique`. map: `max`.
local json = require "json"
local guess = require("stance.words").guess

local M = {}

---@class stance.Schema
---@field kind string
---@field options table
---@overload fun(options: table): stance.Schema
local Schema = {}

---@class stance.SchemaFault
---@field path string  "params.angles", "characters[2]"
---@field message string

-- -- Words --------------------------------------------------------------------------------------------------------------

local function is_absent(value) return value == nil or value == json.null end

local function show(value)
  if type(value) == "string" then
    local text = #value > 40 and value:sub(1, 40) .. "..." or value
    return '"' .. text:gsub("[%c\127]", "?") .. '"'
  end
  if value == json.null then return "null" end
  if type(value) == "table" then return #value > 0 and "a list" or "an object" end
  return tostring(value)
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- -- Checking -----------------------------------------------------------------------------------------------------------

--- A check under way.
---@class stance.SchemaRun
---@field faults stance.SchemaFault[]
---@field coerce boolean  strings may stand for numbers and booleans (queries, paths)

local function fault(run, path, ...)
  run.faults[#run.faults + 1] = { path = path, message = string.format(...) }
end

local function member(path, key)
  if type(key) == "number" then return path .. "[" .. key .. "]" end
  return path == "" and tostring(key) or path .. "." .. tostring(key)
end

local check_value

local function range_words(options, noun)
  local least, most = options.min, options.max
  if least and most then return noun .. " from " .. least .. " to " .. most end
  if least then return noun .. " of at least " .. least end
  if most then return noun .. " of at most " .. most end
  return noun
end

local function coerced_number(run, value)
  if run.coerce and type(value) == "string" and value:match "^[-+]?%d*%.?%d*[eE]?[-+]?%d*$" then return tonumber(value) end
  return value
end

local function check_number(schema, run, path, value, noun, whole)
  local options, number = schema.options, coerced_number(run, value)
  local good = type(number) == "number" and number == number and number ~= math.huge and number ~= -math.huge
    and (not whole or (number == math.floor(number) and math.abs(number) <= 2 ^ 53))
    and (not options.min or number >= options.min) and (not options.max or number <= options.max)
  if good then return number end
  local unit = options.unit and not whole and " (" .. options.unit .. ")" or ""
  fault(run, path, "must be %s%s, got %s", range_words(options, noun), unit, show(value))
end

local function size_words(options, one, many)
  local least, most = options.min, options.max
  if least and most and least == most then return least .. " " .. (least == 1 and one or many) end
  if least and most then return least .. " to " .. most .. " " .. many end
  if least then return "at least " .. least .. " " .. (least == 1 and one or many) end
  return "at most " .. most .. " " .. (most == 1 and one or many)
end

local function in_size(options, size)
  return (not options.min or size >= options.min) and (not options.max or size <= options.max)
end

local function check_string(schema, run, path, value)
  local options = schema.options
  if type(value) ~= "string" then return fault(run, path, "must be a string, got %s", show(value)) end
  if not in_size(options, #value) then
    return fault(run, path, "must have %s, has %d", size_words(options, "byte", "bytes"), #value)
  end
  if options.pattern and not value:match(options.pattern) then
    return fault(run, path, "must match %s, got %s", options.pattern, show(value))
  end
  return value
end

local function check_path(schema, run, path, value)
  local text = check_string(schema, run, path, value)
  if not text then return nil end
  if text == "" or text:find "%z" then return fault(run, path, "must be a path, got %s", show(text)) end
  return text
end

local function check_boolean(_, run, path, value)
  if run.coerce and type(value) == "string" then
    if value == "1" or value == "true" or value == "" then return true end
    if value == "0" or value == "false" then return false end
  end
  if type(value) == "boolean" then return value end
  fault(run, path, "must be true or false, got %s", show(value))
end

local function check_enum(schema, run, path, value)
  local number = coerced_number(run, value)
  for _, allowed in ipairs(schema.values) do
    if value == allowed or number == allowed then return allowed end
  end
  local words = {}
  for i, allowed in ipairs(schema.values) do words[i] = show(allowed) end
  local hint = type(value) == "string" and guess(value, schema.values)
  fault(run, path, "must be one of %s, got %s%s", table.concat(words, ", "), show(value),
    hint and "; did you mean " .. show(hint) .. "?" or "")
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for key in pairs(value) do
    if type(key) ~= "number" then return false end
    count = count + 1
  end
  return count == #value
end

local function check_list(schema, run, path, value)
  local options = schema.options
  if run.coerce and type(value) == "string" then value = { value } end
  if not is_list(value) then return fault(run, path, "must be a list, got %s", show(value)) end
  if not in_size(options, #value) then
    return fault(run, path, "must have %s, has %d", size_words(options, "entry", "entries"), #value)
  end
  local copy, seen = {}, {}
  for i = 1, #value do
    copy[i] = check_value(schema.element, run, member(path, i), value[i])
    if options.unique and copy[i] ~= nil then
      if seen[copy[i]] then fault(run, member(path, i), "is there twice: %s", show(copy[i])) end
      seen[copy[i]] = true
    end
  end
  return copy
end

local function check_size(_, run, path, value)
  if is_list(value) and #value == 2 then
    local w, h = value[1], value[2]
    if type(w) == "number" and type(h) == "number" and w == math.floor(w) and h == math.floor(h) and w >= 1 and h >= 1
      and w <= 16384 and h <= 16384 then
      return { w, h }
    end
  end
  fault(run, path, "must be [width, height] in pixels, from 1 to 16384, got %s", show(value))
end

local function check_map(schema, run, path, value)
  if type(value) ~= "table" or #value > 0 then return fault(run, path, "must be an object, got %s", show(value)) end
  local copy, count = {}, 0
  for _, key in ipairs(sorted_keys(value)) do
    count = count + 1
    copy[key] = check_value(schema.element, run, member(path, key), value[key])
  end
  local most = schema.options.max
  if most and count > most then fault(run, path, "must have at most %d entries, has %d", most, count) end
  return copy
end

local function report_unknown(schema, run, path, unknown)
  for _, key in ipairs(sorted_keys(unknown)) do
    local hint = guess(tostring(key), schema.names)
    fault(run, member(path, key), hint and 'is not known here; did you mean "%s"?' or "is not known here", hint)
  end
end

local function check_object(schema, run, path, value)
  if type(value) ~= "table" or #value > 0 then return fault(run, path, "must be an object, got %s", show(value)) end
  local copy = {}
  local fields, names, prefix = schema.fields, schema.names, path == "" and "" or path .. "."
  for i = 1, #names do
    local key = names[i]
    copy[key] = check_value(fields[key], run, prefix .. key, value[key])
  end
  if schema.options.open then
    for key, rest in pairs(value) do if schema.fields[key] == nil then copy[key] = rest end end
    return copy
  end
  local unknown
  for key in pairs(value) do
    if schema.fields[key] == nil then
      unknown = unknown or {}
      unknown[key] = true
    end
  end
  if unknown then report_unknown(schema, run, path, unknown) end
  return copy
end

local checks = {
  integer = function(schema, run, path, value) return check_number(schema, run, path, value, "an integer", true) end,
  number = function(schema, run, path, value) return check_number(schema, run, path, value, "a number", false) end,
  string = check_string, path = check_path, boolean = check_boolean, enum = check_enum, list = check_list, size = check_size,
  map = check_map, object = check_object,
  any = function(_, _, _, value) return value end,
}

local function copy_deep(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = copy_deep(inner) end
  return copy
end

function check_value(schema, run, path, value)
  if is_absent(value) then
    local default = schema.options.default
    if default ~= nil then return copy_deep(default) end
    if schema.options.optional then return nil end
    if value == json.null and schema.kind == "any" then return value end
    return fault(run, path, "is missing")
  end
  return checks[schema.kind](schema, run, path, value)
end

--- The value with defaults filled in, as a copy; or nil and an error of code "invalid" whose `errors` lists all faults.
---@param value any
---@param options? { at?: string, coerce?: boolean }  at: what paths begin with; coerce: strings stand for numbers and booleans
---@return any value, { code: string, message: string, errors: stance.SchemaFault[] }|nil err
function Schema:check(value, options)
  local run = { faults = {}, coerce = options and options.coerce or false }
  local copy = check_value(self, run, options and options.at or "", value)
  local first = run.faults[1]
  if not first then return copy end
  local message = (first.path == "" and "the value" or first.path) .. " " .. first.message
  if #run.faults > 1 then message = message .. " (and " .. #run.faults - 1 .. " more)" end
  return nil, M.error { code = "invalid", message = message, errors = run.faults }
end

local error_meta = { __tostring = function(self) return self.message end }

--- An error table that prints as its message.
---@param fields { code: string, message: string }
function M.error(fields) return setmetatable(fields, error_meta) end

-- -- JSON Schema --------------------------------------------------------------------------------------------------------

local describe = {
  integer = function(s, out) out.type, out.minimum, out.maximum = "integer", s.options.min, s.options.max end,
  number = function(s, out) out.type, out.minimum, out.maximum = "number", s.options.min, s.options.max end,
  string = function(s, out) out.type, out.minLength, out.maxLength = "string", s.options.min, s.options.max end,
  path = function(_, out) out.type, out.minLength = "string", 1 end,
  boolean = function(_, out) out.type = "boolean" end,
  any = function() end,
  enum = function(s, out) out.enum = s.values end,
  list = function(s, out)
    out.type, out.items, out.minItems, out.maxItems = "array", s.element:json_schema(), s.options.min, s.options.max
    out.uniqueItems = s.options.unique
  end,
  size = function(_, out)
    out.type, out.minItems, out.maxItems = "array", 2, 2
    out.items = { type = "integer", minimum = 1, maximum = 16384 }
  end,
  map = function(s, out)
    out.type, out.additionalProperties, out.maxProperties = "object", s.element:json_schema(), s.options.max
  end,
  object = function(s, out)
    out.type, out.properties, out.additionalProperties = "object", {}, s.options.open or false
    local required = {}
    for _, name in ipairs(s.names) do
      local field = s.fields[name]
      out.properties[name] = field:json_schema()
      if field.options.default == nil and not field.options.optional then required[#required + 1] = name end
    end
    if #required > 0 then out.required = required end
  end,
}

--- The same as JSON Schema (2020-12), for documentation. Lua patterns are left out: they are no regular expressions.
---@return table
function Schema:json_schema()
  local out = {}
  describe[self.kind](self, out)
  local doc, unit = self.options.doc, self.options.unit
  out.description = doc and unit and doc .. " (" .. unit .. ")" or doc or unit and "in " .. unit or nil
  out.default, out.examples = self.options.default, self.options.example ~= nil and { self.options.example } or nil
  return out
end

-- -- Making -------------------------------------------------------------------------------------------------------------

local known_options = {
  default = true, optional = true, doc = true, unit = true, example = true, min = true, max = true, pattern = true,
  unique = true, open = true,
}

local function take_options(options, level)
  for key in pairs(options) do
    if not known_options[key] then
      local hint = guess(tostring(key), sorted_keys(known_options))
      error("a schema has no option '" .. tostring(key) .. "'" .. (hint and "; did you mean '" .. hint .. "'?" or ""), level + 1)
    end
  end
end

local schema_meta = { __index = Schema }

local function make(fields) return setmetatable(fields, schema_meta) end

--- Refines: a new schema with these options over the old ones.
function schema_meta.__call(self, options)
  if type(options) ~= "table" then error("refine a schema with a table of options", 2) end
  take_options(options, 2)
  local copy = {}
  for key, value in pairs(self) do copy[key] = value end
  copy.options = {}
  for key, value in pairs(self.options) do copy.options[key] = value end
  for key, value in pairs(options) do copy.options[key] = value end
  local refined = make(copy)
  if refined.options.default ~= nil then
    local _, why = refined:check(refined.options.default, { at = "default" })
    if why then error(why.message, 2) end
  end
  return refined
end

local function is_schema(value) return getmetatable(value) == schema_meta end

---@type stance.Schema
M.integer = make { kind = "integer", options = {} }
---@type stance.Schema
M.number = make { kind = "number", options = {} }
---@type stance.Schema
M.string = make { kind = "string", options = {} }
---@type stance.Schema
M.boolean = make { kind = "boolean", options = {} }
--- A file's or folder's path; policies say which may be reached.
---@type stance.Schema
M.path = make { kind = "path", options = {} }
--- [width, height] in pixels.
---@type stance.Schema
M.size = make { kind = "size", options = {} }
---@type stance.Schema
M.any = make { kind = "any", options = {} }

--- One of these values. Options may stand among them: `t.enum { 1, 4, 8, default = 4 }`.
---@param values table
---@return stance.Schema
function M.enum(values)
  local list, options = {}, {}
  for key, value in pairs(values) do if type(key) ~= "number" then options[key] = value end end
  for i, value in ipairs(values) do list[i] = value end
  if #list == 0 then error("an enum needs values", 2) end
  local schema = make { kind = "enum", values = list, options = {} }
  return next(options) and schema(options) or schema
end

--- A list whose entries all look like `element`.
---@param element stance.Schema
---@return stance.Schema
function M.list(element)
  if not is_schema(element) then error("a list needs the schema of its entries", 2) end
  return make { kind = "list", element = element, options = {} }
end

--- An object with any names, whose values all look like `element`.
---@param element stance.Schema
---@return stance.Schema
function M.map(element)
  if not is_schema(element) then error("a map needs the schema of its values", 2) end
  return make { kind = "map", element = element, options = {} }
end

--- An object with these fields. `{ open = true }` lets others through unchecked.
---@param fields table<string, stance.Schema>
---@return stance.Schema
function M.object(fields)
  for name, field in pairs(fields) do
    if type(name) ~= "string" or not is_schema(field) then error("field '" .. tostring(name) .. "' is not a schema", 2) end
  end
  return make { kind = "object", fields = fields, names = sorted_keys(fields), options = {} }
end

M.is_schema = is_schema

return M
