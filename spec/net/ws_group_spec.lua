local fiber, http, ws = require "fiber", require "http", require "ws"

local server, group

--- A server whose sockets join the group and then do nothing but wait for their end.
local function serve(options)
  group = ws.group()
  server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
    local socket = assert(request:upgrade(options))
    assert(group:add(socket))
    socket:send "welcome"
    while socket:receive() do end
  end })
  return "ws://" .. server:address()
end

local function connect(url, count)
  local list = {}
  for i = 1, count do
    list[i] = assert(ws.connect(url))
    assert.equal("welcome", (list[i]:receive(2)))
  end
  return list
end

local function eventually(condition)
  for _ = 1, 500 do
    if condition() then return true end
    fiber.sleep(0.01)
  end
  return false
end

describe("ws.group", function()
  after_each(function()
    if server then server:close() end
    server, group = nil, nil
  end)

  it("sends each message to all members, in order", function()
    local list = connect(serve(), 5)
    for i = 1, 300 do assert.equal(5, group:send("m" .. i)) end
    for _, socket in ipairs(list) do
      for i = 1, 300 do assert.equal("m" .. i, (socket:receive(2))) end
    end
  end)

  it("sends text and binary of any size", function()
    local list = connect(serve(), 2)
    local sizes = { 0, 1, 125, 126, 65535, 65536, 900000 }
    for _, size in ipairs(sizes) do
      group:send(("x"):rep(size))
      group:send(("\255"):rep(size), true)
      for _, socket in ipairs(list) do
        assert.same({ ("x"):rep(size), false }, { socket:receive(5) })
        assert.same({ ("\255"):rep(size), true }, { socket:receive(5) })
      end
    end
  end)

  it("keeps the order with what is sent to one alone", function()
    local one
    group = ws.group()
    server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
      one = assert(request:upgrade())
      group:add(one)
      while one:receive() do end
    end })
    local socket = assert(ws.connect("ws://" .. server:address()))
    assert.is_true(eventually(function() return group:count() == 1 end))
    for i = 1, 100, 2 do
      group:send(tostring(i))
      one:send(tostring(i + 1))
    end
    for i = 1, 100 do assert.equal(tostring(i), (socket:receive(2))) end
  end)

  it("refuses text that is no UTF-8", function()
    connect(serve(), 1)
    local reached, why = group:send "\255"
    assert.same({ nil, "invalid" }, { reached, why.code })
  end)

  it("has nobody to send to when it is empty", function()
    assert.equal(0, ws.group():send "hello")
  end)

  it("takes a socket once, and gives it back", function()
    local socket
    group = ws.group()
    server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
      socket = assert(request:upgrade())
      while socket:receive() do end
    end })
    local client = assert(ws.connect("ws://" .. server:address()))
    assert.is_true(eventually(function() return socket end))
    assert.is_true(group:add(socket))
    assert.is_true(group:add(socket))
    assert.equal(1, group:count())
    assert.is_true(group:remove(socket))
    assert.is_false(group:remove(socket))
    assert.equal(0, group:send "to nobody")
    socket:send "still here"
    assert.equal("still here", (client:receive(2)))
    socket:close()
    local ok, why = group:add(socket)
    assert.same({ nil, "closed" }, { ok, why.code })
  end)

  it("may share a socket with other groups", function()
    local list, other = connect(serve(), 2), ws.group()
    other:add(list[1])
    assert.equal(2, group:send "from one")
    assert.equal(1, other:send "from the other side")
    list[1]:close()
    assert.is_true(eventually(function() return group:count() == 1 and other:count() == 0 end))
    assert.equal("from one", (list[2]:receive(2)))
  end)

  it("has members that this process opened, too", function()
    local heard = {}
    local clients = ws.group()
    server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
      local socket = assert(request:upgrade())
      for message in function() return (socket:receive()) end do heard[#heard + 1] = message end
    end })
    local sockets = {}
    for i = 1, 3 do
      sockets[i] = assert(ws.connect("ws://" .. server:address()))
      clients:add(sockets[i])
    end
    local long = ("long "):rep(20000)
    assert.equal(3, clients:send(long))
    assert.is_true(eventually(function() return #heard == 3 end))
    assert.same({ long, long, long }, heard)
  end)

  it("forgets a member that leaves", function()
    local list = connect(serve(), 3)
    list[2]:close()
    assert.is_true(eventually(function() return group:count() == 2 end))
    assert.equal(2, group:send "on")
    assert.equal("on", (list[1]:receive(2)))
    assert.equal("on", (list[3]:receive(2)))
  end)

  it("passes over a member that is closing", function()
    local sockets = {}
    group = ws.group()
    server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
      local socket = assert(request:upgrade())
      sockets[#sockets + 1] = socket
      group:add(socket)
      while socket:receive() do end
    end })
    local first, second = assert(ws.connect("ws://" .. server:address())), assert(ws.connect("ws://" .. server:address()))
    assert.is_true(eventually(function() return #sockets == 2 end))
    assert.equal(2, group:send "before")
    sockets[1]:close(4000, "enough")
    assert.equal(1, group:send "after")
    assert.equal("before", (first:receive(2))) -- what was queued goes before the close frame
    local _, why = first:receive(2)
    assert.equal(4000, why.close_code)
    assert.equal("before", (second:receive(2)))
    assert.equal("after", (second:receive(2)))
  end)

  it("closes a member that is too slow, and the others miss nothing", function()
    local list = connect(serve { send_budget = 100000 }, 3)
    local slow, sent, got = list[2], 0, { 0, nil, 0 }
    for _, i in ipairs { 1, 3 } do
      fiber.spawn(function()
        while list[i]:receive(5) do got[i] = got[i] + 1 end
      end)
    end
    local message = ("x"):rep(10000)
    while group:count() == 3 and sent < 20000 do
      group:send(message)
      sent = sent + 1
      fiber.sleep(0)
    end
    assert.equal(2, group:count())
    assert.is_true(eventually(function() return got[1] == sent and got[3] == sent end))
    local text, why
    repeat text, why = slow:receive(2) until not text
    assert.equal(1008, why.close_code)
  end)

  it("drops the oldest messages of a slow member when told to", function()
    local list = connect(serve { send_budget = 100000, drop_oldest = true }, 2)
    local sent, seen = 3000, 0
    local reader = fiber.spawn(function()
      for _ = 1, sent do
        assert(list[1]:receive(5))
        seen = seen + 1
      end
    end)
    local filler = ("x"):rep(10000)
    for i = 1, sent do
      assert.equal(2, group:send(("%06d"):format(i) .. filler))
      while seen < i - 5 do fiber.sleep(0) end -- one keeps pace, the other reads nothing
    end
    assert(reader:join())
    local count, last = 0, 0
    while last < sent do
      local number = tonumber(assert(list[2]:receive(5)):sub(1, 6))
      assert.is_true(number > last)
      count, last = count + 1, number
    end
    assert.is_true(count < sent)
    assert.equal(2, group:count())
  end)

  it("does not take a member for slow that was never asked to read", function()
    local list = connect(serve { send_budget = 100000 }, 2)
    local message = ("x"):rep(10000)
    for _ = 1, 40 do assert.equal(2, group:send(message)) end -- in one turn of the loop
    for _, socket in ipairs(list) do
      for _ = 1, 40 do assert.equal(message, (socket:receive(2))) end
    end
  end)

  it("closes all members, and takes nobody then", function()
    local list = connect(serve(), 3)
    group:send "last"
    group:close(1001, "the host is stopping")
    for _, socket in ipairs(list) do
      assert.equal("last", (socket:receive(2)))
      local _, why = socket:receive(2)
      assert.same({ 1001, "the host is stopping" }, { why.close_code, why.reason })
    end
    assert.equal(0, group:count())
    assert.has_error(function() group:send "x" end, "the group is closed")
    assert.has_error(function() group:add(list[1]) end, "the group is closed")
    group:close()
    assert.equal("websocket group (closed)", tostring(group))
  end)

  it("leaves its members open when it is collected", function()
    local list = connect(serve(), 2)
    group:send "soon"
    group = nil
    collectgarbage()
    collectgarbage()
    for _, socket in ipairs(list) do assert.equal("soon", (socket:receive(2))) end
    assert.is_true(list[1]:is_open())
  end)

  it("refuses what is no socket", function()
    assert.has_error(function() ws.group():add "socket" end)
    assert.has_error(function() ws.group():close(1006) end)
  end)

  it("drains", function()
    local waited
    group = ws.group()
    server = assert(http.serve { listen = "127.0.0.1:0", handler = function(request)
      local socket = assert(request:upgrade())
      group:add(socket)
      group:send "now"
      waited = assert(socket:drain())
      while socket:receive() do end
    end })
    local socket = assert(ws.connect("ws://" .. server:address()))
    assert.equal("now", (socket:receive(2)))
    assert.is_true(eventually(function() return waited end))
  end)

  -- Nothing closes these: the VM does, at its end, with messages that are not sent yet.
  it("may be left open until the VM closes", function()
    local list = connect(serve(), 3)
    group:send "unsent"
    assert.equal(3, #list)
    server = nil
  end)
end)
