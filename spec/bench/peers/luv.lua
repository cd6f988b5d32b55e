-- luv.lua - LuaJIT on libuv without more: `luajit luv.lua PORT`.
local json, uv = require "cjson", require "luv"

local head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

local function handler() return { status = "ok", n = 17 } end

local function serve(client)
  local input = ""
  client:read_start(function(_, chunk)
    if not chunk then return client:close() end
    input = input .. chunk
    while true do
      local _, last = input:find("\r\n\r\n", 1, true)
      if not last then return end
      local method, path = input:match "^(%u+) (%S+) HTTP/1%.[01]\r\n"
      input = input:sub(last + 1)
      local body = json.encode(handler(method, path))
      client:write(head:format(#body, body))
    end
  end)
end

local server = uv.new_tcp()
assert(server:bind("127.0.0.1", tonumber(arg[1])))
server:listen(1024, function()
  local client = uv.new_tcp()
  server:accept(client)
  client:nodelay(true)
  serve(client)
end)
uv.run()
