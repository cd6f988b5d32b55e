-- tarantool.lua - Tarantool's own sockets, a fiber a connection: `tarantool tarantool.lua PORT`.
local json, log, socket = require "json", require "log", require "socket"

local head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

local function handler() return { status = "ok", n = 17 } end

local function serve(client)
  client:nonblock(true)
  client:setsockopt("tcp", "TCP_NODELAY", true)
  while true do
    local request = client:read "\r\n\r\n"
    if not request or request == "" then return end
    local method, path = request:match "^(%u+) (%S+) HTTP/1%.[01]\r\n"
    local body = json.encode(handler(method, path))
    if not client:write(head:format(#body, body)) then return end
  end
end

log.level(1)
assert(socket.tcp_server("127.0.0.1", tonumber(arg[1]), { handler = serve, name = "bench" }))
