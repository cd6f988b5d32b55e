-- What a script can reach has a doc comment and types: every function and method of the C modules in lua/stance/meta, and those of
-- stance.* where they stand.
local help = require "stance.console.help"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function files(command)
  local list, pipe = {}, assert(io.popen(command))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

--- The functions that a Lua text defines: `{ owner, name, arguments, doc }`; doc is the comment above it, or "".
local function functions_of(text)
  local list, comment = {}, {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local owner, name, arguments = line:match "^function ([%w_]+)[.:]([%w_]+)%(([^)]*)%)"
    if line:find "^%-%-%-" then comment[#comment + 1] = line
    else
      if name then
        list[#list + 1] = { owner = owner, name = name, arguments = arguments, doc = table.concat(comment, "\n") }
      end
      comment = {}
    end
  end
  return list
end

--- What is missing in the comment of a function.
local function faults(fn)
  local list = {}
  if fn.doc == "" then return { "has no doc comment" } end
  if fn.doc:find "@overload" or fn.doc:find "@type" then return list end
  for argument in fn.arguments:gmatch "[^%s,]+" do
    local pattern = "@param " .. (argument == "..." and "%.%.%." or argument .. "%??") .. " "
    if argument ~= "_" and not fn.doc:find(pattern) then list[#list + 1] = "has no @param " .. argument end
  end
  return list
end

local function complain(complaints) assert.same({}, complaints, table.concat(complaints, "\n")) end

local modules = {}
for name in read("runtime/bind/modules.c"):gmatch "%f[%w]X%(([%w_]+)%)" do modules[#modules + 1] = name end

describe("types for editors", function()
  --- The functions of a C module's definition by name, and all methods.
  local function definition(name)
    local text = read(("lua/stance/meta/%s.lua"):format(name))
    local module_name, functions, methods = text:match "\nreturn ([%w_]+)%s*$", {}, {}
    for _, fn in ipairs(functions_of(text)) do
      if fn.owner == module_name then functions[fn.name] = fn else methods[fn.name] = fn end
    end
    return functions, methods, text
  end

  for _, name in ipairs(modules) do
    describe("of the module " .. name, function()
      it("are those of its functions, with a word on each", function()
        local complaints, functions = {}, definition(name)
        for key, value in pairs(require(name)) do
          if type(value) == "function" and not functions[key] then complaints[#complaints + 1] = key .. " is not defined" end
        end
        for key, fn in pairs(functions) do
          if require(name)[key] == nil then complaints[#complaints + 1] = key .. " is defined, and does not exist" end
          for _, fault in ipairs(faults(fn)) do complaints[#complaints + 1] = key .. " " .. fault end
        end
        complain(complaints)
      end)

      it("are those of its methods' arguments", function()
        local complaints, _, methods = {}, definition(name)
        for key, fn in pairs(methods) do
          for _, fault in ipairs(faults(fn)) do
            -- A method that its name and its types explain needs no words.
            if fault ~= "has no doc comment" or fn.arguments ~= "" then complaints[#complaints + 1] = key .. " " .. fault end
          end
        end
        complain(complaints)
      end)

      it("are found by the console's :help", function()
        local found, complaints = {}, {}
        for _, entry in ipairs(help.parse(read(("lua/stance/meta/%s.lua"):format(name)), name)) do found[entry.tail] = #entry.doc > 0 end
        for key, value in pairs(require(name)) do
          if type(value) == "function" and not found[key] then complaints[#complaints + 1] = key .. " is not found" end
        end
        complain(complaints)
      end)

      it("begin with what it is for", function()
        local _, _, text = definition(name)
        assert.match("^%-%-%-@meta " .. name .. "\n+%-%-%- %u", text)
      end)
    end)
  end

  it("know every method of every object that the runtime gives to scripts", function()
    local known = {}
    for _, name in ipairs(modules) do
      require(name)
      for _, fn in ipairs(functions_of(read(("lua/stance/meta/%s.lua"):format(name)))) do known[fn.name] = true end
    end
    local complaints = {}
    for type_name, meta in pairs(debug.getregistry()) do
      if type(type_name) == "string" and type_name:find "^stance%." and type(meta) == "table" then
        for method in pairs(type(rawget(meta, "__index")) == "table" and meta.__index or {}) do
          if not known[method] then complaints[#complaints + 1] = type_name .. ":" .. method end
        end
      end
    end
    complain(complaints)
  end)

  --- What operators' scripts call. The rest of lua/stance is the host's own, and so are these methods.
  local inner = { job = "Job.close Job.ask Job.take_note Job.past Job.keep_flushing Job.flush Job.flush_soon Job.end_note Job.key",
    schema = "schema_meta.__call" }
  local reached = { "check", "doctor", "group", "http", "ids", "job", "labels", "schema", "signal", "testing", "testing/job", "words",
    "characters", "contact_sheet", "workflows" }
  for _, name in ipairs(reached) do
    it("of stance." .. name:gsub("/", ".") .. " are complete", function()
      local complaints = {}
      for _, fn in ipairs(functions_of(read(("lua/stance/%s.lua"):format(name)))) do
        local full = fn.owner .. "." .. fn.name
        local is_inner = ((inner[name] or "") .. " "):find(full .. " ", 1, true)
        for _, fault in ipairs(is_inner and {} or faults(fn)) do complaints[#complaints + 1] = full .. " " .. fault end
      end
      complain(complaints)
    end)
  end

  it("name each script's purpose in its first line", function()
    local complaints = {}
    for _, path in ipairs(files "find lua policies -name '*.lua' ! -path '*/meta/*' ! -path '*/node_modules/*'") do
      if not read(path):find "^%-%-%-? [%w_/.]+%.lua[ :]" then complaints[#complaints + 1] = path end
    end
    complain(complaints)
  end)
end)
