-- The table of metrics in deploy/docs/operate.md names each that the sources declare, and no other.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function files(...)
  local pipe = io.popen("find " .. table.concat({ ... }, " "))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

--- name -> type of all that the sources declare.
local function declared()
  local found = {}
  for _, path in ipairs(files("runtime", "-name '*.c'")) do
    local text = read(path)
    for kind, name in text:gmatch 'METRIC_(%u+),%s*"([%l_]+)"' do found[name] = kind:lower() end
    for name, kind in text:gmatch 'put%(out, "(process_[%l_]+)", "(%l+)"' do found[name] = kind end
  end
  for _, path in ipairs(files("lua", "-name '*.lua'", "-not", "-path '*/meta/*'", "-not", "-path '*/virtual/*'")) do
    local text = read(path)
    for kind, name in text:gmatch 'metrics%.(%l+)%s*{%s*name = "([%l_]+)"' do found[name] = kind end
    for name, kind in text:gmatch '# TYPE ([%l_]+) (%l+)"' do found[name] = kind end
    for kind, name in text:gmatch '%f[%w_](gauge)%("([%l_]+)", "' do found[name] = kind end
  end
  return found
end

describe("the table of metrics", function()
  local documented = {}
  for name, kind in read("deploy/docs/operate.md"):gmatch "\n| `([%l_]+)[^|]*` | (%l+) |" do documented[name] = kind end
  local known = declared()

  it("has those of the sources", function()
    local count = 0
    for _ in pairs(known) do count = count + 1 end
    assert.is_true(count > 50)
  end)

  for name, kind in pairs(known) do
    it("tells of " .. name, function() assert.equal(kind, documented[name], "add it to deploy/docs/operate.md") end)
  end
  for name in pairs(documented) do
    it("tells the truth of " .. name, function() assert.is_not_nil(known[name], "nothing declares it any more") end)
  end
end)
