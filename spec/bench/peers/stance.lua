-- stance.lua - ours: a handler that answers a small JSON, and WebSockets; `build/stance-spec --script stance.lua PORT`.
local fiber, http, ws = require "fiber", require "http", require "ws"

local sockets = ws.group()

local function send_to_all(count, size)
  local message = ("x"):rep(size)
  for _ = 1, count do sockets:send(message) end
end

local function serve_socket(request)
  local socket = assert(request:upgrade())
  sockets:add(socket)
  for text in function() return (socket:receive()) end do
    local count, size = text:match "^(%d+) (%d+)$"
    send_to_all(tonumber(count), tonumber(size))
  end
end

assert(http.serve {
  listen = "127.0.0.1:" .. arg[1], request_limit = 1e9, connection_limit = 16000, idle_timeout = 600,
  handler = function(request)
    if request.websocket then return serve_socket(request) end
    return 200, { status = "ok", n = 17 }
  end,
})
fiber.sleep(1e6)
