local fiber, http, ws = require "fiber", require "http", require "ws"
local captured_log = require "spec.core.captured_log"

local server

local function serve(handler, options)
  server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
    local socket = assert(request:upgrade(options))
    handler(socket, request)
  end })
  return "ws://" .. server:address() .. "/socket"
end

local function echo(socket)
  while true do
    local message, binary = socket:receive()
    if not message then return end
    assert(socket:send(message, binary))
  end
end

describe("ws", function()
  after_each(function()
    if server then server:close() end
    server = nil
  end)

  it("carries text and binary messages both ways", function()
    local socket = assert(ws.connect(serve(echo)))
    assert.is_true(socket:send("grüezi"))
    assert.same({ "grüezi", false }, { socket:receive(2) })
    assert.is_true(socket:send("\0\255", true))
    assert.same({ "\0\255", true }, { socket:receive(2) })
    assert.is_true(socket:send(""))
    assert.same({ "", false }, { socket:receive(2) })
    socket:close()
  end)

  it("carries large messages whole", function()
    local socket = assert(ws.connect(serve(echo)))
    local large = ("0123456789abcdef"):rep(50000)
    assert.is_true(socket:send(large, true))
    assert.equal(large, (socket:receive(5)))
  end)

  it("keeps the order of many", function()
    local socket = assert(ws.connect(serve(echo)))
    for i = 1, 2000 do assert(socket:send(tostring(i))) end
    for i = 1, 2000 do assert.equal(tostring(i), (socket:receive(5))) end
  end)

  it("tells the close code and reason", function()
    local socket = assert(ws.connect(serve(function(peer) peer:close(4001, "enough") end)))
    local message, why = socket:receive(2)
    assert.is_nil(message)
    assert.same({ "closed", 4001, "enough" }, { why.code, why.close_code, why.reason })
    assert.is_false(socket:is_open())
    message, why = socket:send("late")
    assert.same({ nil, "closed" }, { message, why.code })
  end)

  it("is closed when its handler returns, after what it sent", function()
    local socket = assert(ws.connect(serve(function(peer) for i = 1, 100 do peer:send("m" .. i) end end)))
    for i = 1, 100 do assert.equal("m" .. i, (socket:receive(2))) end
    local _, why = socket:receive(2)
    assert.equal(1000, why.close_code)
  end)

  it("is closed with 1011 when its handler fails", function()
    local socket = assert(ws.connect(serve(function() error { code = "internal", message = "boom" } end)))
    local _, why = socket:receive(2)
    assert.equal(1011, why.close_code)
  end)

  it("refuses too large messages with 1009", function()
    local socket = assert(ws.connect(serve(echo, { message_limit = 1000 })))
    assert.is_true(socket:send(("x"):rep(1001)))
    local _, why = socket:receive(2)
    assert.equal(1009, why.close_code)
  end)

  it("refuses text that is no UTF-8", function()
    local socket = assert(ws.connect(serve(echo)))
    local ok, why = socket:send("\255")
    assert.same({ nil, "invalid" }, { ok, why.code })
  end)

  it("closes a client that reads too slowly with 1008", function()
    local result
    local url = serve(function(peer)
      for _ = 1, 4000 do
        local ok, why = peer:send(("x"):rep(10000))
        if not ok then
          result = why.code
          return
        end
        fiber.sleep(0)
      end
    end, { send_budget = 100000 })
    local socket = assert(ws.connect(url))
    for _ = 1, 300 do
      if result then break end
      fiber.sleep(0.01)
    end
    assert.equal("closed", result)
    local message, why
    repeat message, why = socket:receive(2) until not message
    assert.equal(1008, why.close_code)
  end)

  it("drops the oldest messages for a slow client when told to", function()
    local sent = 3000
    local url = serve(function(peer)
      for i = 1, sent do
        assert(peer:send(("%06d"):format(i) .. ("x"):rep(10000)))
      end
      peer:drain()
    end, { send_budget = 100000, drop_oldest = true })
    local socket = assert(ws.connect(url))
    fiber.sleep(0.3)
    local count, last = 0, 0
    while true do
      local message = socket:receive(3)
      if not message then break end
      local number = tonumber(message:sub(1, 6))
      assert.is_true(number > last)
      count, last = count + 1, number
    end
    assert.equal(sent, last)
    assert.is_true(count < sent)
  end)

  it("agrees on a subprotocol", function()
    local url = serve(function(peer) peer:send(peer:protocol()) peer:receive() end, { protocol = "pose.v1" })
    local socket = assert(ws.connect(url, { protocols = "pose.v1.bin, pose.v1" }))
    assert.equal("pose.v1", (socket:receive(2)))
    assert.equal("pose.v1", socket:protocol())
  end)

  it("sends pings, and cuts a peer that never answers", function()
    local over
    local url = serve(function(peer)
      local _, why = peer:receive(5)
      over = why and why.code
    end, { ping = 0.1 })
    local socket = assert(ws.connect(url))
    fiber.sleep(0.5)
    assert.is_nil(over)
    assert.is_true(socket:is_open())
    socket:close()
    fiber.sleep(0.1)
    assert.equal("closed", over)
  end)

  it("times out receiving without losing the connection", function()
    local socket = assert(ws.connect(serve(echo)))
    local message, why = socket:receive(0.05)
    assert.same({ nil, "timeout" }, { message, why.code })
    socket:send("still here")
    assert.equal("still here", (socket:receive(2)))
  end)

  it("says why it cannot connect", function()
    local socket, why = ws.connect("ws://127.0.0.1:1/", { timeout = 2 })
    assert.same({ nil, "upstream" }, { socket, why.code })
    socket, why = ws.connect("http://127.0.0.1/")
    assert.same({ nil, "invalid" }, { socket, why.code })
    server = assert(http.serve { listen = "127.0.0.1:0", handler = function() return 403 end })
    socket, why = ws.connect("ws://" .. server:address())
    assert.same({ nil, "upstream" }, { socket, why.code })
  end)

  it("cancels a handler that waits for something else when its socket is gone", function()
    local over
    local url = serve(function()
      local ok, why = pcall(fiber.sleep, 60)
      over = not ok and why.code
    end)
    assert(ws.connect(url)):close()
    for _ = 1, 500 do
      if over then break end
      fiber.sleep(0.01)
    end
    assert.equal("cancelled", over)
  end)

  it("cancels it too when it is another fiber that reads", function()
    local over, read
    local url = serve(function(socket)
      fiber.spawn(function() read = select(2, socket:receive()) end)
      local ok, why = pcall(fiber.sleep, 60)
      over = not ok and why.code
    end)
    assert(ws.connect(url)):close()
    for _ = 1, 500 do
      if over and read then break end
      fiber.sleep(0.01)
    end
    assert.same({ "cancelled", "closed" }, { over, read and read.code })
  end)

  it("says what is wrong with a handshake to the client, not to the log", function()
    local entered = false
    local route = require("stance.http").new()
    route.ws "/socket" { handler = function() entered = true end }
    server = assert(http.serve { listen = "127.0.0.1:0", handler = route:handler() })
    local headers = { Upgrade = "websocket", Connection = "Upgrade", ["Sec-WebSocket-Version"] = "13", ["Sec-WebSocket-Key"] = "short" }
    local status
    local lines = captured_log(function() status = assert(http.get(server:url() .. "/socket", { headers = headers })).status end)
    for _, line in ipairs(lines) do assert.equal("debug", line.level, line.message) end
    assert.same({ 400, false }, { status, entered })
  end)

  it("refuses foreign origins", function()
    local url = serve(echo)
    local socket = ws.connect(url, { headers = { Origin = "https://evil.example" } })
    assert.is_nil(socket)
    socket = assert(ws.connect(url, { headers = { Origin = "http://" .. server:address() } }))
    socket:close()
  end)
end)
