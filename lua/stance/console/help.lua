--- help.lua - the doc comments of scripts and C modules, by name: what `:help NAME` shows.
local M = {}

---@class stance.console.Entry
---@field name string       "fiber.Channel:put", "stance.jobs:submit"
---@field module string     "fiber", "stance.jobs"
---@field tail string       "put"
---@field signature string  "fiber.Channel:put(value, timeout)"
---@field doc string[]      lines of its comment, tags included
---@field line integer      of the definition

--- What the line below a comment defines: variable, separator, name, arguments.
local function definition(line)
  local variable, separator, name, arguments = line:match "^%s*function%s+([%w_]+)([.:])([%w_]+)%s*(%b())"
  if variable then return variable, separator, name, arguments end
  name, arguments = line:match "^%s*local%s+function%s+([%w_]+)%s*(%b())"
  if name then return nil, nil, name, arguments end
  variable, name, arguments = line:match "^%s*([%w_]+)%.([%w_]+)%s*=%s*function%s*(%b())"
  if variable then return variable, ".", name, arguments end
  variable, name = line:match "^%s*([%w_]+)%.([%w_]+)%s*="
  return variable, ".", name, nil
end

--- The documented definitions of one file; the first entry is the module itself, where the file begins with a comment.
---@param text string
---@param module string "stance.jobs"
---@return stance.console.Entry[]
function M.parse(text, module)
  local entries, doc, owners, number = {}, {}, {}, 0
  local function add(name, tail, signature, line)
    entries[#entries + 1] = { name = name, module = module, tail = tail, signature = signature, doc = doc, line = line }
  end
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local comment = line:match "^%s*%-%-%- ?(.*)$"
    if comment then
      doc[#doc + 1] = comment
    else
      local class
      for _, words in ipairs(doc) do class = words:match "^@class%s+([%w_.]+)" or class end
      local local_name = line:match "^local%s+([%a_][%w_]*)%s*="
      if class and local_name then owners[local_name] = class end
      if #entries == 0 and #doc > 0 and (local_name or line == "") and not class then
        if not doc[1]:find "^@meta" then add(module, module, module, number) end
        if local_name then owners[local_name] = module end
      elseif #doc > 0 then
        local variable, separator, name, arguments = definition(line)
        local owner = variable and (owners[variable] or module)
        if owner then
          local full = owner .. separator .. name
          add(full, name, full .. (arguments or ""), number)
        elseif name then
          add(module .. " (local) " .. name, name, name .. arguments, number)
        elseif class then
          add(class, class:match "[%w_]+$", class, number)
        end
      end
      doc = {}
    end
  end
  return entries
end

--- Entries that a name may mean, the best first.
---@param entries stance.console.Entry[]
---@param name string "fiber.spawn", "channel:put", "spawn"
---@return stance.console.Entry[] found, boolean exact
function M.find(entries, name)
  local plain = name:lower():gsub(":", ".")
  local module, tail = plain:match "^(.*)%.([^.]+)$"
  local exact, near, loose = {}, {}, {}
  for _, entry in ipairs(entries) do
    local own = entry.name:lower():gsub(":", ".")
    local of = entry.module:lower()
    if own == plain or own == "stance." .. plain then
      exact[#exact + 1] = entry
    elseif tail and entry.tail:lower() == tail and (of == module or of == "stance." .. module or own:sub(-#plain - 1) == "." .. plain) then
      near[#near + 1] = entry
    elseif not tail and entry.tail:lower() == plain then
      near[#near + 1] = entry
    elseif own:find(plain, 1, true) then
      loose[#loose + 1] = entry
    end
  end
  if #exact > 0 then return exact, true end
  if #near > 0 then return near, true end
  return loose, false
end

local function tag_line(words)
  local name, optional, rest = words:match "^@param%s+([%w_.]+)(%??)%s*(.*)$"
  if name then return ("  %s%s: %s"):format(name, optional, rest) end
  rest = words:match "^@return%s+(.*)$"
  if rest then return "  returns " .. rest end
  name, optional, rest = words:match "^@field%s+(%S-)(%??)%s+(.*)$"
  if name then return ("  .%s%s: %s"):format(name, optional, rest) end
  rest = words:match "^@type%s+(.*)$"
  if rest then return "  is a " .. rest end
  if not words:find "^@" then return words end
end

--- An entry as lines of text.
---@param entry stance.console.Entry
---@return string
function M.show(entry)
  local lines = { entry.signature }
  for _, words in ipairs(entry.doc) do
    local line = tag_line(words)
    if line then lines[#lines + 1] = line == "" and "" or "  " .. line end
  end
  return table.concat(lines, "\n")
end

return M
