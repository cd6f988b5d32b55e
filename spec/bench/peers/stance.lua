-- stance.lua - ours: a handler that answers a small JSON, and WebSockets; `build/stance-spec --script stance.lua PORT`.
local fiber, http = require "fiber", require "http"

local sockets = {}

local function send_to_all(count, size)
  local message = ("x"):rep(size)
  for _ = 1, count do
    for socket in pairs(sockets) do socket:send(message) end
  end
end

local function serve_socket(request)
  local socket = assert(request:upgrade())
  sockets[socket] = true
  for text in function() return (socket:receive()) end do
    local count, size = text:match "^(%d+) (%d+)$"
    send_to_all(tonumber(count), tonumber(size))
  end
  sockets[socket] = nil
end

assert(http.serve {
  listen = "127.0.0.1:" .. arg[1], request_limit = 1e9, connection_limit = 16000, idle_timeout = 600,
  handler = function(request)
    if request.websocket then return serve_socket(request) end
    return 200, { status = "ok", n = 17 }
  end,
})
fiber.sleep(1e6)
